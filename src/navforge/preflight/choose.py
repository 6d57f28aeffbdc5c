"""`auto`: the batch size that fits, and as many loader workers as keep the step fed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from navforge.core.sizes import write_size
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import Finding, ok, refused
from navforge.preflight.memory import MARGIN, most_workers
from navforge.preflight.steps import fitting_batch, largest_batch, line
from navforge.training.run_base import RunBase

AUTO = "auto"
GPU_MOST, CPU_MOST = 256, 32
"""Largest batch sizes that are tried; on CPU larger ones are not faster."""
WORKERS_MOST = 16
"""Workers per loader where the step time on the target is not known."""
SPARE = 1.25
"""How much faster loading should be than the step."""
NEGLIGIBLE = 0.02
"""Share of a step that loading in the training process may take."""


def choose(context: PreflightContext) -> tuple[RunBase, list[Finding]]:
    """The config with numbers for what was `auto`, and how they were chosen; None stays where nothing is known.

    Args:
        context: of the config as given, measured.
    """
    findings: list[Finding] = []
    if context.config.train.batch_size is None:
        size, finding = _batch_size(context)
        findings.append(finding)
        context = _with(context, batch_size=size or None)
    if context.config.train.loader_workers is None:
        findings += list(_workers(context))
        context = _with(context, loader_workers=_number_of_workers(context)[0])
    return context.config, findings


def _with(context: PreflightContext, **changes: int | None) -> PreflightContext:
    return replace(context, config=replace(context.config, train=replace(context.config.train, **changes)))


def _batch_size(context: PreflightContext) -> tuple[int, Finding]:
    step, machine, config = context.step, context.machine, context.config
    give = "give train.batch_size=N, or run navforge preflight on a node of the kind the run is for"
    if step is None:
        return 0, refused(AUTO, "train.batch_size=auto: no step could be measured", give)
    ranks = config.nodes * config.devices * config.train.accumulate
    most = GPU_MOST if context.on_gpu else CPU_MOST
    if context.scenes is not None:
        most = max(1, min(most, context.scenes // ranks))
    if context.on_gpu:
        if machine.gpu_bytes is None:
            return 0, refused(
                AUTO,
                f"train.batch_size=auto: the GPU memory of {machine.name} is not known",
                f"gpu_memory_gb in the cluster profile; or {give}",
            )
        size = fitting_batch(step, machine.gpu_bytes, most)
        how = f"measured on {step.device}" if step.on_gpu else "by a count of tensor sizes, not measured on the GPU"
        room = f"{write_size(machine.gpu_bytes)} of GPU memory"
    else:
        size = _cpu_batch(context, most)
        how, room = "measured on CPU", f"{write_size(machine.memory_bytes or 0)} of host memory"
    if not size:
        return 0, refused(AUTO, f"train.batch_size=auto: not even a batch of 1 fits into {room} ({how})", give)
    return size, ok(AUTO, f"train.batch_size={size}: fits {room} ({how}), at most {most} tried")


def _cpu_batch(context: PreflightContext, most: int) -> int:
    step, loader, memory = context.step, context.loader, context.machine.memory_bytes
    if step is None or not step.samples or loader is None or memory is None:
        return 0
    fixed, each = line([(sample.batch_size, sample.peak_bytes) for sample in step.samples])
    room = MARGIN * memory / context.config.devices - loader.rank_bytes
    if step.failed_at is not None:
        most = min(most, step.failed_at - 1)
    return largest_batch(fixed, each + loader.example_bytes, room, most)


def _workers(context: PreflightContext) -> Iterator[Finding]:
    if context.loader is None:
        yield refused(
            AUTO,
            "train.loader_workers=auto: loading could not be measured",
            "mend that, or give train.loader_workers=N",
        )
        return
    count, why = _number_of_workers(context)
    yield ok(AUTO, f"train.loader_workers={count}: {why}")


def _number_of_workers(context: PreflightContext) -> tuple[int | None, str]:
    loader, batch = context.loader, context.config.train.batch_size
    if loader is None or batch is None:
        return None, "nothing is measured"
    by_cpus = max(1 if context.on_gpu else 0, int(context.cpus_per_rank) - 1)
    most, limit = by_cpus, f"{context.cpus_per_rank:g} CPUs per rank"
    if context.machine.memory_bytes is not None:
        by_memory = most_workers(loader, context.host_plan(batch, 1), context.machine.memory_bytes)
        if by_memory < most:
            most, limit = by_memory, f"{write_size(context.machine.memory_bytes)} of host memory"
    step = context.step
    if step is None or not step.samples or not context.comparable:
        return min(most, WORKERS_MOST), f"what {limit} allow; the step time there is not known"
    step_s = step.seconds_at(batch).value
    load_s = batch / loader.examples_per_s
    if load_s <= NEGLIGIBLE * step_s:
        return 0, f"loading takes {load_s / step_s:.1%} of a step, no worker is needed"
    wanted = math.ceil(SPARE * load_s / step_s)
    if wanted > most:
        return most, f"{wanted} would keep a step of {step_s:.2f} s fed, {limit} allow {most}"
    return wanted, f"{wanted} x {loader.examples_per_s:.1f} examples/s keep a step of {step_s:.2f} s fed"

"""The preflight before a run is started here or submitted to a cluster: opens the files, measures, chooses, checks."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from navforge.preflight import choose, disk, machine, partition
from navforge.preflight.allocation import Allocation
from navforge.preflight.checks import CHECKS, NAMES, require_names
from navforge.preflight.context import PreflightContext
from navforge.preflight.files import Files, open_files
from navforge.preflight.finding import Report, in_order, join
from navforge.preflight.machine import Machine
from navforge.preflight.memory import node_bytes
from navforge.preflight.probe import probe
from navforge.preflight.record import write_record
from navforge.preflight.request import SCENES, Measured, Request
from navforge.slurm.profile import ClusterProfile
from navforge.training.run_base import RunBase

SECONDS = 54.0
"""What a preflight may take; opening a large split from raw logs may take longer, and measuring then has LEAST_S."""
LEAST_S = 20.0


def run(
    config: RunBase,
    *,
    profile: ClusterProfile | None = None,
    job: Allocation | None = None,
    force: Sequence[str] = (),
    seconds: float = SECONDS,
    record: bool = False,
) -> Report:
    """Check a run before it starts.

    Args:
        config: of the run; `auto` values are chosen.
        profile: cluster it will be submitted to; None: it runs on this machine.
        job: what a batch script asks for, or the Slurm job this process is in.
        force: names of checks whose refusal is accepted.
        seconds: time for measuring.
        record: write `preflight.json` into the run folder, for the ranks; only done where nothing is refused.

    Returns:
        Findings, figures and the resolved config. `Report.require()` refuses.

    Raises:
        ConfigError: `force` names a check that does not exist.
    """
    require_names(force)
    began = time.monotonic()
    context = _asked(config, profile, job)
    files = open_files(config)
    context = replace(
        context,
        scenes=files.examples,
        val_scenes=files.val_examples,
        free_bytes=disk.free_bytes(config.out),
    )
    measured = _measured(context, files, max(LEAST_S, seconds - (time.monotonic() - began)))
    context = replace(
        context,
        loader=measured.loader,
        step=measured.step,
        start_s=measured.start_s,
        checkpoint_s=measured.checkpoint_s,
    )
    resolved, chosen = choose.choose(context)
    context = replace(context, config=resolved)
    found = join([files.findings, measured.findings, chosen, *(check.find(context) for check in CHECKS)])
    shown = {**figures(context), "preflight_s": round(time.monotonic() - began, 1)}
    report = Report(in_order(found, NAMES), shown, resolved).accept(force)
    if record and not report.refused:
        write_record(config.out, report, context, force)
    return report


def figures(context: PreflightContext) -> dict[str, Any]:
    """What the table shows below the findings; bytes, seconds and counts."""
    train = context.config.train
    values: dict[str, Any] = {
        "ranks": context.config.nodes * context.config.devices,
        "batch_size": train.batch_size,
        "loader_workers": train.loader_workers,
        "scenes": context.scenes,
        "gpu_bytes": None,
        "host_bytes": None,
    }
    if context.loader is not None and train.batch_size is not None and train.loader_workers is not None:
        plan = context.host_plan(train.batch_size, train.loader_workers)
        values["host_bytes"] = node_bytes(context.loader, plan)
        values["loader_examples_per_s"] = context.loader.examples_per_s
        values["worker_bytes"] = context.loader.worker_bytes
    if context.step is not None and train.batch_size is not None:
        if context.step.on_gpu and context.step.samples:
            values["gpu_bytes"] = context.step.bytes_at(train.batch_size)
        elif context.step.bound is not None:
            values["gpu_bytes_at_least"] = context.step.bound[0] + context.step.bound[1] * train.batch_size
        if context.step.samples:
            step = context.step.seconds_at(context.batch or train.batch_size)
            values["step_s"] = step.value
            values["step_range_s"] = [step.low, step.high]
            values["measured_on"] = context.step.device
    if (rate := context.rank_samples_per_s) is not None:
        values["rank_samples_per_s"] = rate.value
        values["rank_samples_per_s_range"] = [rate.low, rate.high]
    duration = context.duration
    if duration is not None and context.comparable:
        values["duration_s"] = duration.value
        values["duration_range_s"] = [duration.low, duration.high]
        epoch = context.epoch
        assert epoch is not None
        values["epoch_s"] = epoch.value
        values["epoch_range_s"] = [epoch.low, epoch.high]
    return {name: value for name, value in values.items() if value is not None}


def _asked(config: RunBase, profile: ClusterProfile | None, job: Allocation | None) -> PreflightContext:
    """What is asked for, of whom, and what they offer."""
    target: Machine
    request = visible = None
    if profile is not None:
        target, request = (
            machine.of_profile(profile, config.devices),
            partition.of_profile(profile, config.nodes, config.devices, on_gpu=config.train.accelerator != "cpu"),
        )
    elif job is not None:
        target, request = machine.of_allocation(job, config.devices), partition.of_allocation(job)
    else:
        target, visible = machine.this_machine(), machine.count_gpus()
    return PreflightContext(
        config=config,
        machine=target,
        allocation=job if profile is None else None,
        visible_gpus=visible,
        request=request,
    )


def _measured(context: PreflightContext, files: Files, seconds: float) -> Measured:
    """Measurements, where the files allow them."""
    if files.split is None or not files.usable(context.config):
        return Measured()
    here, gpu_bytes = machine.available_memory()[0], machine.first_gpu()[1]
    on_gpu_here = gpu_bytes is not None and context.config.train.accelerator != "cpu"
    away = context.on_gpu and not on_gpu_here
    request = Request(
        config=_here(context.config, away=away),
        split=files.split,
        frames=None if files.frames is None else files.frames.part(SCENES),
        scenes=context.scenes or 0,
        val_scenes=context.val_scenes,
        batch_sizes=batch_sizes(context.batch, on_gpu=on_gpu_here, away=away),
        memory_bytes=gpu_bytes if on_gpu_here and gpu_bytes is not None else here,
        evaluate=files.cache is not None,
        threads=int(os.environ.get("OMP_NUM_THREADS") or 1),
        count=away,
        seconds=seconds,
    )
    return probe(request)


def batch_sizes(wanted: int | None, *, on_gpu: bool, away: bool) -> tuple[int, ...]:
    """Sizes of a step to measure: two below the wanted one and it; doubling for auto; one where only the fact counts.

    Args:
        wanted: None for auto.
        on_gpu: steps run on a GPU here.
        away: the run is for a GPU that is not here, so that times here mean nothing.
    """
    if away:
        return (min(2, wanted or 2),)
    if wanted is None:
        most = choose.GPU_MOST if on_gpu else choose.CPU_MOST
        return tuple(2**n for n in range(1, most.bit_length()))
    return tuple(sorted({min(2, wanted), max(1, wanted // 4), wanted}))


def _here(config: RunBase, *, away: bool) -> RunBase:
    """The config as it can be tried on this machine."""
    if not away:
        return config
    return replace(config, train=replace(config.train, accelerator="cpu", precision=_cpu_precision(config)))


def _cpu_precision(config: RunBase) -> str:
    return "bf16-mixed" if config.train.precision == "16-mixed" else config.train.precision

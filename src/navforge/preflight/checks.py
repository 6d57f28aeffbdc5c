"""The checks, in the order of the table: what each needs of the context, and what it refuses.

To add one: a function from numbers to findings in the module of its family, and a function with `_check` here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from navforge.core.errors import ConfigError
from navforge.preflight import disk, duration, files, memory, network, numerics, partition, ranks, steps
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import Finding


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    name: str
    refuses: str
    """What it refuses, for documentation."""
    find: Callable[[PreflightContext], Iterable[Finding]]
    on_node: bool = False
    """Whether it is cheap enough, and worth it, to be repeated where a rank runs."""


CHECKS: list[Check] = []
"""What is checked against a context, in the order of the table."""


def _check(
    name: str, refuses: str, *, on_node: bool = False
) -> Callable[[Callable[[PreflightContext], Iterable[Finding]]], None]:
    """Append a function from a context to findings to `CHECKS`."""
    return lambda find: CHECKS.append(Check(name, refuses, find, on_node))


@_check("tasks", "another number of tasks or nodes than ranks", on_node=True)
def _tasks(context: PreflightContext) -> Iterable[Finding]:
    if context.allocation is not None:
        yield from ranks.check_tasks(context.allocation, context.config.nodes, context.config.devices)


@_check("placement", "tasks that are not, or may not be, spread evenly over the nodes", on_node=True)
def _placement(context: PreflightContext) -> Iterable[Finding]:
    if context.allocation is not None:
        yield from ranks.check_placement(context.allocation, context.config.nodes, context.config.devices)


@_check("srun", "one process in a job of several tasks, started without srun", on_node=True)
def _srun(context: PreflightContext) -> Iterable[Finding]:
    if context.allocation is not None:
        yield from ranks.check_srun(context.allocation)


@_check("gpus", "ranks without a GPU of their own, GPUs that would stay idle", on_node=True)
def _gpus(context: PreflightContext) -> Iterable[Finding]:
    devices, accelerator = context.config.devices, context.config.train.accelerator
    if context.allocation is not None:
        yield from ranks.check_gpus(context.allocation, devices, accelerator)
    elif context.visible_gpus is not None:
        yield from ranks.check_visible(context.visible_gpus, devices, accelerator)


@_check("cpus", "more loader workers than CPUs of a rank", on_node=True)
def _cpus(context: PreflightContext) -> Iterable[Finding]:
    workers = context.config.train.loader_workers
    if workers is not None:
        yield from ranks.check_cpus(workers, context.cpus_per_rank)


@_check("network", "environment variables by which ranks could not talk to each other", on_node=True)
def _network(context: PreflightContext) -> Iterable[Finding]:
    nodes, devices = context.config.nodes, context.config.devices
    if context.machine.here:
        yield from network.check_network(os.environ, nodes, devices, on_gpu=context.on_gpu)
    elif context.allocation is not None and nodes * devices > 1:
        yield from network.check_variables(context.allocation.environ, nodes, on_gpu=context.on_gpu)


@_check("partition", "what the partition does not offer or would never start")
def _partition(context: PreflightContext) -> Iterable[Finding]:
    if context.request is not None:
        yield from partition.check_here(context.request)


@_check("host_memory", "ranks, loader workers and batches above the memory of a node", on_node=True)
def _memory(context: PreflightContext) -> Iterable[Finding]:
    batch, workers = context.config.train.batch_size, context.config.train.loader_workers
    if context.loader is not None and batch is not None and workers is not None:
        plan = context.host_plan(batch, workers)
        yield from memory.check_memory(
            context.loader, plan, context.machine.memory_bytes, context.machine.memory_source
        )


@_check("shared_memory", "batches in flight above the free space of /dev/shm", on_node=True)
def _shared(context: PreflightContext) -> Iterable[Finding]:
    batch, workers = context.config.train.batch_size, context.config.train.loader_workers
    if context.loader is not None and batch is not None and workers is not None:
        plan = context.host_plan(batch, workers)
        yield from memory.check_shared_memory(context.loader, plan, context.machine.shared_memory_bytes)


@_check("gpu_memory", "a step above the memory of one GPU", on_node=True)
def _gpu_memory(context: PreflightContext) -> Iterable[Finding]:
    batch = context.config.train.batch_size
    if context.on_gpu and context.step is not None and batch is not None:
        yield from steps.check_gpu_memory(context.step, batch, context.machine.gpu_bytes, context.machine.gpu_name)


@_check("disk", "checkpoints above the free disk space", on_node=True)
def _disk(context: PreflightContext) -> Iterable[Finding]:
    if context.step is not None and context.free_bytes is not None:
        size = disk.checkpoint_bytes(context.step.state_bytes, context.step.trainable)
        yield from disk.check_disk(size, context.config.train.keep_best, context.free_bytes, context.config.out)


@_check("run_folder", "a run folder that cannot be written", on_node=True)
def _writable(context: PreflightContext) -> Iterable[Finding]:
    yield from disk.check_writable(context.config.out)


@_check("time_limit", "a run that would be killed at its time limit and not go back into the queue")
def _time(context: PreflightContext) -> Iterable[Finding]:
    machine, step = context.machine, context.step
    target = (machine.gpu_name or "a GPU") if context.on_gpu else f"CPUs of {machine.name}"
    yield from duration.check_time(
        context.duration,
        machine.time_limit_s,
        requeue=machine.requeue,
        measured_on="nothing" if step is None else step.device,
        target=target,
        same=context.comparable,
    )


@_check("numerics", "a machine that computes other trajectories than the reference", on_node=True)
def _numerics(context: PreflightContext) -> Iterable[Finding]:
    yield from numerics.check_numerics()


@_check("paths", "data, caches and stores that are not there", on_node=True)
def _paths(context: PreflightContext) -> Iterable[Finding]:
    yield from files.check_paths(context.config)


WHILE_MEASURING: tuple[tuple[str, str], ...] = (
    ("vocabulary", "a missing or damaged vocabulary, or one of another size than the planner's name says"),
    ("split", "scenes that are not on disk, training scenes in the validation split"),
    ("cache", "a metric cache that is missing, made by other code, or lacks scenes of the split"),
    ("teacher", "a teacher store of other scenes, vocabulary, protocol, metric cache or without a column"),
    ("store", "an input store of other inputs, other code, or that lacks scenes"),
    ("features", "a feature store of another encoder, other weights, other code, or that lacks scenes"),
    ("align", "a feature store to be drawn towards that is missing, damaged or lacks scenes"),
    ("resume", "a checkpoint in the run folder that other files, another planner or other ranks made"),
    ("planner", "a planner whose inputs, features, plans or losses are not finite tensors of the agreed shapes"),
    ("evaluation", "a planner that cannot be evaluated on two scenes"),
    ("loading", "a loader worker that fails or is killed on the real data"),
    ("step", "a training step that fails or is killed"),
    ("auto", "an auto value for which nothing fits"),
)
"""Checks that happen while context are gathered, and what each refuses."""

NAMES = tuple(dict.fromkeys([*(check.name for check in CHECKS), *(name for name, _ in WHILE_MEASURING)]))
"""What `force=` may name."""


def require_names(force: Iterable[str]) -> None:
    """Raise ConfigError if a check does not exist."""
    for name in force:
        if name not in NAMES:
            raise ConfigError(f"force: no check is called {name!r}; checks: {', '.join(NAMES)}")

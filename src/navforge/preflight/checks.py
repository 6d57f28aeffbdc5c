"""The checks, in the order of the table. To add one: a function in the module of its family, and a line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from navforge.preflight import disk, duration, files, memory, network, numerics, partition, ranks, steps
from navforge.preflight.context import Facts
from navforge.preflight.finding import Finding


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    name: str
    refuses: str
    """What it refuses, for documentation."""
    find: Callable[[Facts], Iterable[Finding]]
    on_node: bool = False
    """Whether it is cheap enough, and worth it, to be repeated where a rank runs."""


def _tasks(facts: Facts) -> Iterable[Finding]:
    if facts.allocation is not None:
        yield from ranks.check_tasks(facts.allocation, facts.config.nodes, facts.config.devices)


def _placement(facts: Facts) -> Iterable[Finding]:
    if facts.allocation is not None:
        yield from ranks.check_placement(facts.allocation, facts.config.nodes, facts.config.devices)


def _srun(facts: Facts) -> Iterable[Finding]:
    if facts.allocation is not None:
        yield from ranks.check_srun(facts.allocation)


def _gpus(facts: Facts) -> Iterable[Finding]:
    devices, accelerator = facts.config.devices, facts.config.train.accelerator
    if facts.allocation is not None:
        yield from ranks.check_gpus(facts.allocation, devices, accelerator)
    elif facts.visible_gpus is not None:
        yield from ranks.check_visible(facts.visible_gpus, devices, accelerator)


def _cpus(facts: Facts) -> Iterable[Finding]:
    workers = facts.config.train.loader_workers
    if workers is not None:
        yield from ranks.check_cpus(workers, facts.cpus_per_rank)


def _network(facts: Facts) -> Iterable[Finding]:
    if facts.machine.here:
        ranks_in_all = facts.config.nodes * facts.config.devices
        yield from network.check_network(os.environ, ranks_in_all, on_gpu=facts.on_gpu)


def _partition(facts: Facts) -> Iterable[Finding]:
    if facts.request is not None and facts.cluster is not None:
        yield from partition.check_partition(facts.request, facts.cluster)


def _memory(facts: Facts) -> Iterable[Finding]:
    batch, workers = facts.config.train.batch_size, facts.config.train.loader_workers
    if facts.loader is not None and batch is not None and workers is not None:
        plan = facts.host_plan(batch, workers)
        yield from memory.check_memory(facts.loader, plan, facts.machine.memory_bytes, facts.machine.memory_source)


def _shared(facts: Facts) -> Iterable[Finding]:
    batch, workers = facts.config.train.batch_size, facts.config.train.loader_workers
    if facts.loader is not None and batch is not None and workers is not None:
        plan = facts.host_plan(batch, workers)
        yield from memory.check_shared_memory(facts.loader, plan, facts.machine.shared_memory_bytes)


def _gpu_memory(facts: Facts) -> Iterable[Finding]:
    batch = facts.config.train.batch_size
    if facts.on_gpu and facts.step is not None and batch is not None:
        yield from steps.check_gpu_memory(facts.step, batch, facts.machine.gpu_bytes, facts.machine.gpu_name)


def _disk(facts: Facts) -> Iterable[Finding]:
    if facts.step is not None and facts.free_bytes is not None:
        size = disk.checkpoint_bytes(facts.step.parameters, facts.step.buffer_bytes)
        yield from disk.check_disk(size, facts.config.train.keep_best, facts.free_bytes, facts.config.out)


def _writable(facts: Facts) -> Iterable[Finding]:
    yield from disk.check_writable(facts.config.out)


def _time(facts: Facts) -> Iterable[Finding]:
    machine, step = facts.machine, facts.step
    target = (machine.gpu_name or "a GPU") if facts.on_gpu else f"CPUs of {machine.name}"
    yield from duration.check_time(
        facts.duration,
        machine.time_limit_s,
        requeue=machine.requeue,
        measured_on="nothing" if step is None else step.device,
        target=target,
        same=facts.comparable,
    )


def _numerics(facts: Facts) -> Iterable[Finding]:
    yield from numerics.check_numerics()


def _paths(facts: Facts) -> Iterable[Finding]:
    yield from files.check_paths(facts.config)


CHECKS: tuple[Check, ...] = (
    Check("tasks", "another number of tasks or nodes than ranks", _tasks, on_node=True),
    Check("placement", "tasks that are not, or may not be, spread evenly over the nodes", _placement, on_node=True),
    Check("srun", "one process in a job of several tasks, started without srun", _srun, on_node=True),
    Check("gpus", "ranks without a GPU of their own, GPUs that would stay idle", _gpus, on_node=True),
    Check("cpus", "more loader workers than CPUs of a rank", _cpus, on_node=True),
    Check("network", "environment variables that name network interfaces this node lacks", _network, on_node=True),
    Check("partition", "what the partition does not offer or would never start", _partition),
    Check("host_memory", "ranks, loader workers and batches above the memory of a node", _memory, on_node=True),
    Check("shared_memory", "batches in flight above the free space of /dev/shm", _shared, on_node=True),
    Check("gpu_memory", "a step above the memory of one GPU", _gpu_memory, on_node=True),
    Check("disk", "checkpoints above the free disk space", _disk, on_node=True),
    Check("run_folder", "a run folder that cannot be written", _writable, on_node=True),
    Check("time_limit", "a run that would be killed at its time limit and not go back into the queue", _time),
    Check("numerics", "a machine that computes other trajectories than the reference", _numerics, on_node=True),
    Check("paths", "data, caches and stores that are not there", _paths, on_node=True),
)
"""What is checked against facts."""

WHILE_MEASURING: tuple[tuple[str, str], ...] = (
    ("vocabulary", "a missing or damaged vocabulary, or one of another size than the planner's name says"),
    ("split", "scenes that are not on disk, training scenes in the validation split"),
    ("cache", "a metric cache that is missing, made by other code, or lacks scenes of the split"),
    ("teacher", "a teacher store of other scenes, vocabulary, protocol, metric cache or without a column"),
    ("store", "an input store of other inputs, other code, or that lacks scenes"),
    ("resume", "a checkpoint in the run folder that other files, another planner or other ranks made"),
    ("planner", "a planner whose inputs, features, plans or losses are not finite tensors of the agreed shapes"),
    ("evaluation", "a planner that cannot be evaluated on two scenes"),
    ("loading", "a loader worker that fails or is killed on the real data"),
    ("step", "a training step that fails or is killed"),
    ("auto", "an auto value for which nothing fits"),
)
"""Checks that happen while facts are gathered, and what each refuses."""

NAMES = tuple(dict.fromkeys([*(check.name for check in CHECKS), *(name for name, _ in WHILE_MEASURING)]))
"""What `force=` may name."""

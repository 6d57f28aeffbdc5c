"""What can be judged of a batch script that calls another trainer, without knowing the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from navforge.core.sizes import GIB, write_size
from navforge.preflight import network, partition, ranks
from navforge.preflight.allocation import Allocation
from navforge.preflight.checks import NAMES, require_names
from navforge.preflight.finding import REFUSED, WARNING, Finding, Report, in_order, join, ok, warning
from navforge.preflight.memory import MEMORY
from navforge.preflight.trainer import Trainer

LOADER_BYTES = int(2.5 * GIB)
"""What a loader worker took that decodes three 1080p cameras and holds the pickled logs of navtrain."""


def check_script(allocation: Allocation, trainer: Trainer, force: Sequence[str] = ()) -> Report:
    """Findings on tasks, nodes, srun, GPUs, CPUs, memory and partition; the report names what was not judged.

    Args:
        allocation: what the script asks for.
        trainer: its training command.
        force: names of checks whose refusal is accepted.

    Raises:
        ConfigError: `force` names a check that does not exist.
    """
    require_names(force)
    began = time.monotonic()
    nodes = trainer.nodes or allocation.nodes
    devices = trainer.devices or _devices(allocation)
    launch = [
        *ranks.check_tasks(allocation, nodes, devices),
        *ranks.check_placement(allocation, nodes, devices),
        *ranks.check_srun(allocation, trainer.name),
        *ranks.check_gpus(allocation, devices, "auto"),
    ]
    request = partition.of_allocation(allocation)
    findings = join(
        [
            _unless_it_starts_ranks(launch, allocation, trainer),
            _cpus(allocation, trainer, devices),
            _memory(allocation, trainer, devices),
            network.check_variables(allocation.environ, nodes, on_gpu=bool(allocation.gpus_per_node)),
            partition.check_here(request),
        ]
    )
    figures = {"ranks": nodes * devices, "preflight_s": round(time.monotonic() - began, 1)}
    if trainer.workers is not None:
        figures["loader_workers"] = trainer.workers
    judged = {finding.check for finding in findings}
    missing = tuple(name for name in NAMES if name not in judged)
    return Report(in_order(findings, NAMES), figures, not_judged=missing, command=trainer.name).accept(force)


def _devices(allocation: Allocation) -> int:
    """Ranks of a node where the command does not say: one per task, or one per GPU for a launcher."""
    if allocation.launcher is not None:
        return allocation.gpus_per_node or 1
    return allocation.tasks_per_node or -(-allocation.tasks // allocation.nodes)


def _unless_it_starts_ranks(findings: list[Finding], allocation: Allocation, trainer: Trainer) -> Iterator[Finding]:
    """Refusals as warnings where one process per node is started that may start the ranks of its node by itself.

    Lightning does not: where Slurm says how many tasks there are, they are its ranks.
    """
    may_start_ranks = allocation.launcher is None and allocation.tasks == allocation.nodes and not trainer.lightning
    for finding in findings:
        if may_start_ranks and finding.level == REFUSED and finding.check in (ranks.TASKS, ranks.PLACEMENT, ranks.GPUS):
            words = f"{finding.message}; unless {trainer.name} itself starts the ranks of its node"
            yield replace(finding, level=WARNING, message=words)
        else:
            yield finding


def _cpus(allocation: Allocation, trainer: Trainer, devices: int) -> Iterator[Finding]:
    if trainer.workers is None or allocation.cpus_per_task is None:
        return
    cpus = float(allocation.cpus_per_task)
    if allocation.launcher is not None:  # without srun it has the CPUs of all tasks of its node
        tasks = 1 if allocation.srun else allocation.tasks_per_node or -(-allocation.tasks // allocation.nodes)
        cpus = cpus * tasks / devices
    yield from ranks.check_cpus(trainer.workers, cpus, key="num_workers")


def _memory(allocation: Allocation, trainer: Trainer, devices: int) -> Iterator[Finding]:
    """Memory of a node against the number of its processes; what each takes is known to the run alone."""
    workers = devices * (trainer.workers or 0)
    processes = f"{devices} rank{'s' * (devices != 1)}" + (f" and {workers} loader workers" if workers else "")
    memory = allocation.memory_bytes
    if memory is None:
        yield warning(
            MEMORY,
            f"{allocation.origin} does not say how much memory {processes} get; the partition's default counts",
            "#SBATCH --mem=N",
        )
        return
    each = memory / (devices + workers)
    shown = f"{processes} on {write_size(memory)} of a node: {write_size(each)} each"
    if each < LOADER_BYTES:
        yield warning(
            MEMORY,
            f"{shown}; workers that decode camera images were seen to take {write_size(LOADER_BYTES)}",
            "fewer loader workers, or #SBATCH --mem=N",
        )
    else:
        yield ok(MEMORY, f"{shown}; what they take was not measured")

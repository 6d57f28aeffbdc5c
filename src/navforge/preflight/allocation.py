"""What a Slurm job was given, as its environment tells, and what a batch script asks for.

The variables are those of Slurm 22.05 and later. `SLURM_STEP_ID` is there only for processes that `srun` started;
`SLURM_NTASKS_PER_NODE` only if the per-node count was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from navforge.core.sizes import MIB


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """A job's share of a cluster; None where it is not stated."""

    origin: str
    """`job 42`, or the script's name."""
    srun: bool
    """Whether the ranks are started by srun."""
    launcher: str | None = None
    """Program that starts all ranks of a node by itself, such as `navforge train`; None: each task is a rank."""
    nodes: int = 1
    tasks: int = 1
    """Processes srun starts in all."""
    tasks_per_node: int | None = None
    """The count per node that was asked for."""
    placement: tuple[int, ...] | None = None
    """Tasks on each node, where Slurm has placed them."""
    gpus_per_node: int | None = None
    visible_gpus: int | None = None
    """GPUs this process sees."""
    cpus_per_task: int | None = None
    memory_bytes: int | None = None
    """Per node."""
    time_limit_s: int | None = None
    partition: str | None = None
    account: str | None = None
    requeue: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables that a batch script sets."""


def from_environment(environ: Mapping[str, str]) -> Allocation | None:
    """The allocation a process finds itself in; None outside of Slurm."""
    if "SLURM_JOB_ID" not in environ:
        return None
    numbers = {name: _whole(environ.get(f"SLURM_{name}")) for name in _NUMBERS}
    cpus, nodes = numbers["CPUS_PER_TASK"], numbers["JOB_NUM_NODES"] or numbers["NNODES"] or 1
    memory = numbers["MEM_PER_NODE"]
    if memory is None and numbers["MEM_PER_CPU"] is not None and numbers["CPUS_ON_NODE"] is not None:
        memory = numbers["MEM_PER_CPU"] * numbers["CPUS_ON_NODE"]
    placed = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE")
    return Allocation(
        origin=f"job {environ['SLURM_JOB_ID']}",
        srun="SLURM_STEP_ID" in environ,
        nodes=nodes,
        tasks=numbers["NTASKS"] or numbers["NPROCS"] or 1,
        tasks_per_node=numbers["NTASKS_PER_NODE"],
        placement=None if placed is None else expand_counts(placed),
        gpus_per_node=_gpus_on_node(environ, numbers["GPUS_ON_NODE"]),
        visible_gpus=visible_gpus(environ),
        cpus_per_task=cpus,
        memory_bytes=None if not memory else memory * MIB,
        partition=environ.get("SLURM_JOB_PARTITION"),
        account=environ.get("SLURM_JOB_ACCOUNT"),
    )


_NUMBERS = (
    "JOB_NUM_NODES",
    "NNODES",
    "NTASKS",
    "NPROCS",
    "NTASKS_PER_NODE",
    "GPUS_ON_NODE",
    "CPUS_PER_TASK",
    "CPUS_ON_NODE",
    "MEM_PER_NODE",
    "MEM_PER_CPU",
)


def expand_counts(text: str) -> tuple[int, ...]:
    """`2(x2),1` as (2, 2, 1): Slurm's way to write a number per node."""
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            return ()
        counts += [int(match.group(1))] * int(match.group(2) or 1)
    return tuple(counts)


def visible_gpus(environ: Mapping[str, str]) -> int | None:
    """Number of GPUs `CUDA_VISIBLE_DEVICES` leaves; None where it is not set."""
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    kept = 0
    for name in names:
        if not name or name == "-1" or name.lower() in ("none", "nodevfiles"):
            break
        kept += 1
    return kept


def _gpus_on_node(environ: Mapping[str, str], stated: int | None) -> int:
    """GPUs of the job on this node; Slurm leaves the variables out where the job has none."""
    if stated is not None:
        return stated
    listed = environ.get("SLURM_JOB_GPUS") or environ.get("SLURM_STEP_GPUS")
    return len(listed.split(",")) if listed else 0


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

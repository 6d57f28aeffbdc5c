"""What a job asks for against what its partition offers.

Slurm accepts some jobs that it never starts: a time limit or a node count above the partition's leaves them pending for
ever (`PartitionTimeLimit`, `PartitionNodeLimit`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from navforge.core.sizes import MIB
from navforge.preflight.allocation import Allocation
from navforge.preflight.finding import Finding, ok, refused, warning
from navforge.slurm import client, durations
from navforge.slurm.output import Node, Partition
from navforge.slurm.profile import ClusterProfile

PARTITION = "partition"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a job asks of a partition; None where it takes the default."""

    partition: str | None
    account: str | None
    nodes: int
    gpus_per_node: int
    gpu_type: str | None
    cpus_per_node: int
    memory_mb: int | None
    time_limit_s: int | None


@dataclass(frozen=True)
class Cluster:
    """What the cluster offers."""

    partitions: Sequence[Partition]
    nodes: Sequence[Node]


def of_profile(profile: ClusterProfile, nodes: int, devices: int, *, on_gpu: bool = True) -> Request:
    """What a run of `nodes` x `devices` ranks asks for under a profile, with a GPU for each or with none."""
    return Request(
        partition=profile.partition,
        account=profile.account,
        nodes=nodes,
        gpus_per_node=devices if on_gpu else 0,
        gpu_type=profile.gpu_type if on_gpu else None,
        cpus_per_node=profile.cpus_per_rank * devices,
        memory_mb=profile.job_memory_gb(devices) * 1024,
        time_limit_s=profile.time_limit_s,
    )


def of_task(profile: ClusterProfile, *, cpus: int, gpus: int, memory_gb: int) -> Request:
    """What a task of a job array asks for under a profile."""
    return Request(
        partition=profile.partition,
        account=profile.account,
        nodes=1,
        gpus_per_node=gpus,
        gpu_type=profile.gpu_type if gpus else None,
        cpus_per_node=cpus,
        memory_mb=memory_gb * 1024,
        time_limit_s=profile.time_limit_s,
    )


def of_allocation(job: Allocation) -> Request:
    """What a batch script asks for."""
    per_node = job.tasks_per_node or -(-job.tasks // job.nodes)
    return Request(
        partition=job.partition,
        account=job.account,
        nodes=job.nodes,
        gpus_per_node=job.gpus_per_node or 0,
        gpu_type=None,
        cpus_per_node=(job.cpus_per_task or 1) * per_node,
        memory_mb=None if job.memory_bytes is None else job.memory_bytes // MIB,
        time_limit_s=job.time_limit_s,
    )


def check_here(request: Request) -> Iterator[Finding]:
    """`check_partition` against the cluster that Slurm's commands of this machine speak of; a warning without them."""
    try:
        cluster = Cluster(client.partitions(), client.nodes())
    except client.SlurmError as error:
        yield warning(PARTITION, f"not checked: {error}", "run navforge preflight where Slurm's commands are")
        return
    yield from check_partition(request, cluster)


def check_partition(request: Request, cluster: Cluster) -> Iterator[Finding]:
    """Name, account, time, nodes, and per node GPUs, CPUs and memory."""
    partition = _find(request.partition, cluster.partitions)
    if isinstance(partition, Finding):
        yield partition
        return
    problems = [*_limits(request, partition), *_hardware(request, partition, cluster.nodes)]
    yield from problems
    if not any(finding.level != "ok" for finding in problems):
        yield ok(PARTITION, f"{partition.name} takes {_words(request)}")


def _find(name: str | None, partitions: Sequence[Partition]) -> Partition | Finding:
    if name is None:
        default = [partition for partition in partitions if partition.default]
        return (
            default[0]
            if default
            else refused(PARTITION, "no partition given, the cluster has no default", _names(partitions))
        )
    for partition in partitions:
        if partition.name == name:
            return partition
    close = difflib.get_close_matches(name, [partition.name for partition in partitions], n=1)
    hint = f"partition={close[0]} in the profile; " if close else ""
    return refused(PARTITION, f"the cluster has no partition {name!r}", hint + _names(partitions))


def _limits(request: Request, partition: Partition) -> Iterator[Finding]:
    name = partition.name
    if not partition.up:
        yield refused(PARTITION, f"{name} is down: the job would wait", "another partition, or ask the administrators")
    if partition.allowed_accounts is not None and request.account not in partition.allowed_accounts:
        yield refused(
            PARTITION,
            f"{name} does not take account {request.account or '(the default)'}",
            f"account: one of {', '.join(partition.allowed_accounts)}",
        )
    most = partition.max_time_s
    if most is not None and request.time_limit_s is not None and request.time_limit_s > most:
        yield refused(
            PARTITION,
            f"time limit {durations.write(request.time_limit_s)} is above {name}'s {durations.write(most)}: Slurm "
            "takes the job and never starts it (PartitionTimeLimit)",
            f'time_limit: "{durations.write(most)}"; the run resumes after a requeue',
        )
    nodes = min(partition.total_nodes, partition.max_nodes or partition.total_nodes)
    if request.nodes > nodes:
        yield refused(
            PARTITION,
            f"{request.nodes} nodes asked for, {name} gives {nodes}: Slurm takes the job and never starts it "
            "(PartitionNodeLimit)",
            f"nodes={nodes}",
        )


def _hardware(request: Request, partition: Partition, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Nodes that could hold one share of the job, by what each lacks."""
    members = [node for node in nodes if partition.name in node.partitions]
    if not members:
        yield warning(PARTITION, f"the nodes of {partition.name} are not shown to this user")
        return
    fit = [node for node in members if not _lacks(request, node)]
    if len(fit) < request.nodes <= len(members):
        short = next(node for node in members if node not in fit)
        yield refused(
            PARTITION,
            f"a node of {partition.name} has {_lacks(request, short)}; {len(fit)} of {len(members)} nodes would do",
            "ask for less per node: devices=, and gpu_type, cpus_per_node and memory_gb of the cluster profile",
        )
        return
    usable = [node for node in fit if node.usable]
    if len(usable) < request.nodes <= len(fit):
        states = ", ".join(f"{node.name} {node.state}" for node in fit if node not in usable)
        yield warning(
            PARTITION, f"{len(usable)} of {request.nodes} nodes can be used now ({states}): the job will wait"
        )


def _lacks(request: Request, node: Node) -> str:
    """The first thing a node has too little of, in words; empty where it has enough."""
    gpus = node.gpus.get(request.gpu_type, 0) if request.gpu_type else sum(node.gpus.values())
    if gpus < request.gpus_per_node:
        kind = f" of type {request.gpu_type}" if request.gpu_type else ""
        others = ", ".join(f"{count} {name or 'GPU'}" for name, count in node.gpus.items()) or "none"
        return f"{gpus} GPUs{kind} ({others}), {request.gpus_per_node} asked for"
    if node.cpus < request.cpus_per_node:
        return f"{node.cpus} CPUs, {request.cpus_per_node} asked for"
    if request.memory_mb is not None and node.memory_mb < request.memory_mb:
        return f"{node.memory_mb} MB of memory, {request.memory_mb} asked for"
    return ""


def _names(partitions: Sequence[Partition]) -> str:
    return f"partitions: {', '.join(partition.name for partition in partitions) or 'none'}"


def _words(request: Request) -> str:
    limit = "the default time" if request.time_limit_s is None else durations.write(request.time_limit_s)
    return f"{request.nodes} x {request.gpus_per_node} GPUs for {limit}"

"""What `squeue`, `sacct`, `sstat` and `scontrol` print, read into records. Pure: text in, records out.

Exit codes are taken from `sacct -P`; the JSON forms of Slurm 22.05 give wrong ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from navforge.core.errors import DataError
from navforge.core.sizes import parse_size
from navforge.slurm import durations

FINAL_STATES = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
)
"""States a job does not leave by itself. Every other one means that it runs, ends just now, or will run."""

QUEUE_FORMAT = "%A|%i|%T|%M|%l|%Q|%D|%r|%N|%S|%P"
"""For `squeue -h -o`; no field of it holds text a user wrote."""

ACCOUNTING_FIELDS = (
    "JobIDRaw",
    "State",
    "ExitCode",
    "DerivedExitCode",
    "ElapsedRaw",
    "Submit",
    "Start",
    "End",
    "MaxRSS",
    "NodeList",
    "Reason",
)
"""For `sacct -P -n -D --format`."""

STEP_FIELDS = ("JobID", "NTasks", "MaxRSS", "MaxRSSNode", "MaxRSSTask", "AveCPU")
"""For `sstat -a -P -n --format`."""

_NONE = ("", "N/A", "None", "Unknown", "NONE", "(null)", "None assigned", "NOT_SET")


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """One line of `squeue`: a job that waits, runs or ended a short while ago."""

    job: str
    shown_as: str
    """The id as squeue writes it; for a task of an array, ARRAY_TASK."""
    state: str
    elapsed_s: int
    limit_s: int | None
    priority: int
    nodes: int
    reason: str
    """Why it waits, `None` if nothing is wrong."""
    node_list: str | None
    start: str | None
    """ISO time of the start, or of the expected one."""
    partition: str

    @property
    def alive(self) -> bool:
        """Whether it runs, ends just now, or will run."""
        return self.state not in FINAL_STATES


@dataclass(frozen=True, kw_only=True)
class AccountedStep:
    """One line of `sacct`: one run of a job (`step` None), of its batch script, or of a step."""

    job: str
    step: str | None
    """None for the job itself, `batch`, `extern`, or the step's number."""
    state: str
    cancelled_by: int | None
    """User who cancelled it, if Slurm says so."""
    exit_code: int
    """Without its highest bit, as sacct gives it: 137 and 9 are both 9. `scontrol show job` has all of it."""
    signal: int
    derived_exit_code: int | None
    """Highest exit code of the job's steps; None for steps."""
    elapsed_s: int
    submit: str | None
    start: str | None
    end: str | None
    max_rss_bytes: int | None
    node_list: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class RunningStep:
    """One line of `sstat`: what a running step uses now."""

    job: str
    step: str
    tasks: int
    max_rss_bytes: int | None
    """Of the largest task."""
    max_rss_node: str | None
    max_rss_task: int | None


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One line of `scontrol show partition`."""

    name: str
    default: bool
    up: bool
    max_time_s: int | None
    default_time_s: int | None
    max_nodes: int | None
    node_list: str | None
    total_nodes: int
    max_memory_per_node_mb: int | None
    allowed_accounts: tuple[str, ...] | None
    """None: all."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One line of `scontrol show node`."""

    name: str
    partitions: tuple[str, ...]
    state: str
    """Such as IDLE, MIXED, IDLE+DRAIN, DOWN*."""
    cpus: int
    memory_mb: int
    gpus: dict[str, int]
    """Count by type; type `` where the cluster names none."""

    @property
    def usable(self) -> bool:
        """Whether jobs may be placed on it, now or when it is free."""
        return not re.search(r"DOWN|DRAIN|FAIL|MAINT|NOT_RESPONDING|FUTURE|POWERED_DOWN|\*", self.state)


def parse_queue(text: str) -> list[QueuedJob]:
    """Jobs of `squeue -h -o QUEUE_FORMAT`."""
    jobs = []
    for line in text.splitlines():
        job, shown, state, elapsed, limit, priority, nodes, reason, node_list, start, partition = _split(
            line, 11, "squeue"
        )
        jobs.append(
            QueuedJob(
                job=job,
                shown_as=shown,
                state=state,
                elapsed_s=durations.parse_elapsed(elapsed) if elapsed[:1].isdigit() else 0,
                limit_s=durations.parse_elapsed(limit) if limit[:1].isdigit() else None,
                priority=int(priority),
                nodes=int(nodes.partition("-")[0]),
                reason=reason,
                node_list=_text(node_list),
                start=_text(start),
                partition=partition,
            )
        )
    return jobs


def queue_position(queue: list[QueuedJob], job: str) -> int | None:
    """Place of a waiting job among those waiting in its partition, 1 being next; None if it does not wait.

    Args:
        queue: all jobs of the cluster, as far as it shows them to this user.
        job: its id.
    """
    waiting = [entry for entry in queue if entry.state == "PENDING"]
    for own in waiting:
        if own.job == job:
            rivals = [entry for entry in waiting if entry.partition == own.partition]
            return 1 + sum((entry.priority, own.job) > (own.priority, entry.job) for entry in rivals if entry != own)
    return None


def parse_expected_start(text: str) -> str | None:
    """ISO time in what `sbatch --test-only` says of a job that it would take; None where there is none."""
    match = re.search(r"\bto start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\b", text)
    return match and match[1]


def parse_accounting(text: str) -> list[AccountedStep]:
    """Runs and steps of `sacct -P -n -D --format=ACCOUNTING_FIELDS`, in the order given: oldest run first."""
    steps = []
    for line in text.splitlines():
        name, state, code, derived, elapsed, submit, start, end, rss, nodes, reason = _split(
            line, len(ACCOUNTING_FIELDS), "sacct"
        )
        job, _, step = name.partition(".")
        word, _, by = state.partition(" by ")
        exit_code, signal = _exit_code(code)
        steps.append(
            AccountedStep(
                job=job,
                step=step or None,
                state=word,
                cancelled_by=int(by) if by.isdigit() else None,
                exit_code=exit_code,
                signal=signal,
                derived_exit_code=None if not derived else _exit_code(derived)[0],
                elapsed_s=int(elapsed or 0),
                submit=_text(submit),
                start=_text(start),
                end=_text(end),
                max_rss_bytes=parse_size(rss),
                node_list=_text(nodes),
                reason=_text(reason),
            )
        )
    return steps


def parse_steps(text: str) -> list[RunningStep]:
    """Steps of `sstat -a -P -n --format=STEP_FIELDS`."""
    steps = []
    for line in text.splitlines():
        name, tasks, rss, node, task, _ = _split(line, len(STEP_FIELDS), "sstat")
        job, _, step = name.partition(".")
        steps.append(
            RunningStep(
                job=job,
                step=step,
                tasks=int(tasks or 0),
                max_rss_bytes=parse_size(rss),
                max_rss_node=_text(node),
                max_rss_task=int(task) if task.isdigit() else None,
            )
        )
    return steps


def parse_fields(text: str) -> dict[str, str]:
    """`Key=value` pairs of one record of `scontrol show`; a value ends where the next key begins."""
    parts = re.split(r"(?:^|\s)([A-Z][A-Za-z_/:&]*)=", text)
    return {name: value.strip() for name, value in zip(parts[1::2], parts[2::2], strict=True)}


def parse_partitions(text: str) -> list[Partition]:
    """Partitions of `scontrol -o show partition`."""
    return [_partition(parse_fields(line)) for line in text.splitlines() if line.startswith("PartitionName=")]


def parse_nodes(text: str) -> list[Node]:
    """Nodes of `scontrol -o show node`."""
    nodes = []
    for line in text.splitlines():
        if line.startswith("NodeName="):
            fields = parse_fields(line)
            nodes.append(
                Node(
                    name=fields["NodeName"],
                    partitions=tuple(name for name in fields.get("Partitions", "").split(",") if name),
                    state=fields["State"],
                    cpus=int(fields["CPUTot"]),
                    memory_mb=int(fields["RealMemory"]),
                    gpus=_gpus(fields.get("Gres", "")),
                )
            )
    return nodes


def _partition(fields: dict[str, str]) -> Partition:
    accounts = fields.get("AllowAccounts", "ALL")
    return Partition(
        name=fields["PartitionName"],
        default=fields.get("Default") == "YES",
        up=fields.get("State", "UP") == "UP",
        max_time_s=_limit(fields.get("MaxTime", "UNLIMITED")),
        default_time_s=_limit(fields.get("DefaultTime", "NONE")),
        max_nodes=_count(fields.get("MaxNodes", "UNLIMITED")),
        node_list=_text(fields.get("Nodes", "")),
        total_nodes=int(fields.get("TotalNodes", "0")),
        max_memory_per_node_mb=_count(fields.get("MaxMemPerNode", "UNLIMITED")),
        allowed_accounts=None if accounts == "ALL" else tuple(accounts.split(",")),
    )


def _split(line: str, count: int, command: str) -> list[str]:
    fields = line.split("|")
    if len(fields) != count:
        raise DataError(f"{command} printed {len(fields)} fields where {count} were asked for: {line!r}")
    return fields


def _text(field: str) -> str | None:
    return None if field in _NONE else field


def _limit(field: str) -> int | None:
    return None if field in _NONE else durations.parse(field)


def _count(field: str) -> int | None:
    return int(field) if field.isdigit() else None


def _exit_code(field: str) -> tuple[int, int]:
    code, _, signal = field.partition(":")
    return int(code or 0), int(signal or 0)


def _gpus(gres: str) -> dict[str, int]:
    """`gpu:l40s:4(S:0-1),gpu:2,nvme:1` -> {"l40s": 4, "": 2}."""
    counts: dict[str, int] = {}
    for match in re.finditer(r"(?:^|,)gpu(?::([A-Za-z][^:,()]*))?:(\d+)", gres):
        counts[match[1] or ""] = counts.get(match[1] or "", 0) + int(match[2])
    return counts

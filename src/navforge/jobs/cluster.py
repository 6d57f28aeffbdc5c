"""What Slurm knows of the jobs of runs, asked once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from navforge.core.errors import NavforgeError
from navforge.jobs.view import RunView
from navforge.slurm import client as slurm
from navforge.slurm.output import FINAL_STATES, AccountedStep, QueuedJob, queue_position

RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "SUSPENDED")
"""States in which a job holds nodes."""


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """What Slurm says of one job."""

    state: str
    """Slurm's word: PENDING, RUNNING, TIMEOUT..."""
    reason: str = ""
    """Why it waits; empty where nothing is wrong."""
    nodes: str = ""
    """Where it runs or ran."""
    position: int | None = None
    """Place among the jobs that wait for its partition; 1 is next."""
    waiting: int = 0
    """How many wait for its partition."""
    started: float | None = None
    """Of the last start; of the expected one while it waits. s since 1970."""
    ends: float | None = None
    """When its time limit ends it, s since 1970."""
    cancelled_by: int | None = None
    """User who cancelled it."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in FINAL_STATES

    @property
    def runs(self) -> bool:
        """Whether it holds nodes."""
        return self.state in RUNNING

    @property
    def waits(self) -> bool:
        """Whether it has yet to start."""
        return not self.ended and not self.runs


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Slurm knows of some jobs."""

    jobs: dict[str, SlurmJob] = field(default_factory=dict)
    """By id; jobs it has forgotten are left out."""
    note: str = ""
    """Why nothing is known, where that is so."""
    silent: bool = False
    """The queue could not be read: a job that is not in `jobs` may still run."""

    def of(self, view: RunView) -> SlurmJob | None:
        """The job of a run, if it has one that is known; one that a local run was part of is over once forgotten."""
        known = self.jobs.get(view.slurm_job or "")
        if known is None and view.slurm_job is not None and view.record.launch == "local" and not self.silent:
            return _FORGOTTEN
        return known


_FORGOTTEN = SlurmJob(state="COMPLETED")


def ask(jobs: Sequence[str]) -> Answer:
    """State of jobs: from the queue, or from the accounting for those that left it."""
    if not jobs:
        return Answer()
    if not slurm.available():
        return Answer(
            note="Slurm's commands are not installed here; its runs are shown by their heartbeats only", silent=True
        )
    try:
        entries = from_queue(slurm.queue(), jobs)
    except NavforgeError as error:
        note = f"Slurm does not answer ({_short(error)}); its runs are shown by their heartbeats only"
        return Answer(note=note, silent=True)
    gone = [job for job in jobs if job not in entries]
    try:
        return Answer(jobs={**entries, **from_accounting(slurm.accounting(gone))})
    except NavforgeError as error:
        return Answer(
            jobs=entries, note=f"jobs that left the queue are shown by their heartbeats only ({_short(error)})"
        )


def from_queue(queue: list[QueuedJob], jobs: Sequence[str]) -> dict[str, SlurmJob]:
    """State of those of the jobs that are in the queue."""
    by_id = {entry.job: entry for entry in queue}
    entries = {}
    for job in jobs:
        if (entry := by_id.get(job)) is None:
            continue
        started = seconds(entry.start)
        rivals = [e for e in queue if e.state == "PENDING" and e.partition == entry.partition]
        limit = entry.limit_s if entry.state in RUNNING else None
        entries[job] = SlurmJob(
            state=entry.state,
            reason="" if entry.reason == "None" else entry.reason,
            nodes=entry.node_list or "",
            position=queue_position(queue, job),
            waiting=len(rivals),
            started=started,
            ends=started + limit if started is not None and limit is not None else None,
        )
    return entries


def from_accounting(steps: list[AccountedStep]) -> dict[str, SlurmJob]:
    """State of every job by its last run."""
    return {
        step.job: SlurmJob(
            state=step.state,
            reason=step.reason or "",
            nodes=step.node_list or "",
            started=seconds(step.start),
            cancelled_by=step.cancelled_by,
        )
        for step in steps
        if step.step is None
    }


def seconds(text: str | None) -> float | None:
    """Seconds since 1970 of a time as Slurm prints it (local time); None where there is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def _short(error: NavforgeError) -> str:
    """The first thing a command complained of."""
    return str(error).partition(" / ")[0][:160]

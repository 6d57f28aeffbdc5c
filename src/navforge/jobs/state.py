"""The state of a run in one word, from its heartbeats, the processes of this machine and Slurm's view of its job."""

from __future__ import annotations

import time
from dataclasses import dataclass

from navforge.core.durations import write_duration
from navforge.jobs.cluster import SlurmJob
from navforge.jobs.units import fold_names
from navforge.jobs.view import RunView
from navforge.runs import exits
from navforge.runs.processes import is_alive

STATES = (
    "queued",
    "starting",
    "training",
    "validating",
    "stopped",
    "failed",
    "finished",
    "lost",
    "unknown",
)
"""`stopped`: ended before its time with a checkpoint, or cancelled; `lost`: silent, and its processes are gone."""
ACTIVE = ("starting", "training", "validating")

STALE_S = 90.0
"""A rank that is well writes a heartbeat far more often than this."""
STUCK_S = 300.0
"""A rank that trains and takes no step for so long may hang, whatever its heartbeat says."""

_PHASES = {
    "starting": "starting",
    "rendezvous": "starting",
    "preflight": "starting",
    "smoke": "starting",
    "training": "training",
    "validating": "validating",
}
"""States of a run that is going on, by its ranks' phase."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a run is doing."""

    name: str
    """One of STATES."""
    note: str = ""
    """Why, or since when; may be empty."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it without someone acting."""
        return self.name in ("stopped", "failed", "finished", "lost")


def state_of(view: RunView, job: SlurmJob | None, *, now: float | None = None) -> State:
    """State of a run.

    Args:
        view: its folder.
        job: Slurm's view of its last job, or of the one that a local run is part of; None where it has none, or Slurm
            cannot be asked or has forgotten it.
        now: s since 1970; default: the clock.
    """
    now = time.time() if now is None else now
    around, job = (job, None) if view.record.launch == "local" else (None, job)
    if view.finished and not (job is not None and (job.waits or job.runs)):
        return State(name="finished")
    if job is not None and job.waits:
        return State(name="queued", note=_queue_note(job))
    if job is not None and job.runs:
        return _going_on(view.since(job.started or 0.0), now)
    ended = _ended_by_itself(view)
    if job is not None:
        return _ended_in_slurm(job, ended)
    alive = _alive(view, now, around)
    if alive:
        return _going_on(view, now)
    if ended is not None:
        return ended
    if alive is None:
        return State(name="unknown", note=_silence(view, now))
    return State(name="lost", note="its processes are gone; " + _silence(view, now))


def _queue_note(job: SlurmJob) -> str:
    place = f"{job.position} of {job.waiting}" if job.position is not None else ""
    reason = "" if job.reason in ("", "None") else job.reason
    return ", ".join(part for part in (place, reason) if part)


def _going_on(view: RunView, now: float) -> State:
    """State of a run whose processes live: its lead's phase, and how long it has been silent where that is long."""
    lead = view.lead
    if lead is None:
        return State(name="starting")
    missing = f"no word yet from {len(view.missing)} of {view.record.world_size} ranks" if view.missing else ""
    if lead.phase not in _PHASES:
        return State(name="starting" if lead.phase == "starting" else "stopped", note=f"ranks end: {lead.phase}")
    silent = now - lead.time
    still = 0.0 if lead.moved is None else now - lead.moved
    note = missing
    if silent > STALE_S:
        note = f"silent for {write_duration(silent)}"
    elif lead.phase == "training" and still > STUCK_S:
        note = f"no step for {write_duration(still)}"
    if not note and lead.phase in ("rendezvous", "preflight", "smoke"):
        note = lead.phase
    return State(name=_PHASES[lead.phase], note=note)


def _ended_by_itself(view: RunView) -> State | None:
    """State of a run whose ranks said, or whose supervisor saw, how they ended."""
    failures = [failure for failure in view.failures if failure.cause != "peer"]
    if failures:
        return State(name="failed", note=f"rank {failures[0].rank}: {failures[0].cause}")
    planned = (exits.FINISHED, exits.STOPPED, exits.REQUEUE_ME)
    unasked = [end for end in view.exits if not end.asked and end.status not in planned]
    if unasked:
        return State(name="failed", note=f"rank {unasked[0].rank}: {exits.describe(unasked[0].status)}")
    if view.failures:
        return State(name="failed", note="another rank was gone")
    phases = {beat.phase for beat in view.statuses.values()}
    if "failed" in phases:
        return State(name="failed")
    if phases and phases <= {"stopped", "finished"}:
        return State(name="stopped", note="with a checkpoint")
    if view.exits and all(end.status != exits.FINISHED for end in view.exits):
        return State(name="stopped")
    return None


def _ended_in_slurm(job: SlurmJob, ended: State | None) -> State:
    word = job.state.split()[0]
    if word == "CANCELLED" or (ended is not None and ended.name == "stopped"):
        state = {"CANCELLED": "cancelled", "COMPLETED": "", "FAILED": ""}.get(word, word)
        return State(name="stopped", note=", ".join(part for part in (state, ended.note if ended else "") if part))
    if word == "COMPLETED":
        return ended or State(name="stopped", note="its job completed, training did not")
    return State(name="failed", note=word if ended is None or word != "FAILED" else ended.note)


def _alive(view: RunView, now: float, around: SlurmJob | None) -> bool | None:
    """Whether any process of the run lives; None where this machine cannot tell.

    Args:
        view: its folder.
        now: s since 1970.
        around: the job that a local run is part of. Its processes on other machines end with it.
    """
    known: list[bool | None] = [is_alive(beat.node, beat.pid, beat.time) for beat in view.statuses.values()]
    if not known and (view.record.launch == "slurm" or view.job is None):
        return None
    if view.record.launch == "local" and view.job is not None:
        one = view.supervisor
        known.append(None if one is None else is_alive(one.host, one.pid, one.started))
    if True in known:
        return True
    if around is not None and (not around.runs or _last_sign(view) < (around.started or 0.0)):
        return False
    if None in known:
        fresh = view.last_seen is not None and now - view.last_seen <= STALE_S
        return True if fresh else None
    return False


def _last_sign(view: RunView) -> float:
    """When a process of a local run is last known to have lived, s since 1970."""
    return max(view.last_seen or 0.0, 0.0 if view.supervisor is None else float(view.supervisor.started))


def _silence(view: RunView, now: float) -> str:
    if view.last_seen is None:
        return "no heartbeat yet" if view.job is not None else "prepared, not started"
    nodes = fold_names(beat.node for beat in view.statuses.values())
    return f"last heartbeat {write_duration(now - view.last_seen)} ago on {nodes}"

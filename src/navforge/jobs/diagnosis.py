"""`Diagnosis`: what became of a run and why, with the lines that show it and the commands that help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from navforge.jobs.evidence import Evidence, Line
from navforge.runs import status
from navforge.training.ranks.failures import OUT_OF_SHARED_MEMORY

CAUSES = {
    "running": "it is running",
    "queued": "it waits for nodes",
    "never_starts": "it waits for what it can never get",
    "finished": "training ended as planned",
    "stopped": "stopped on a signal after a checkpoint",
    "cancelled": "someone cancelled it",
    "shared_memory": OUT_OF_SHARED_MEMORY,
    "time_limit": "time limit",
    "preemption": "another job took its nodes",
    "node_failure": "a node failed",
    "rank_killed": "a rank was killed by a signal",
    "rank_error": status.CAUSES["error"],
    "hang": "ranks waited for one that did not answer",
    **{cause: words for cause, words in status.CAUSES.items() if cause not in ("peer", "error")},
    "not_started": "no job was ever submitted, or nothing of it is left",
    "unknown": "unknown",
}
"""Every cause a diagnosis may name, in words."""

HARMLESS = ("running", "queued", "finished", "stopped")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What became of a run."""

    cause: str
    """One of CAUSES."""
    summary: str
    """One paragraph."""
    evidence: tuple[Line, ...] = ()
    """The lines that show it."""
    remedy: tuple[str, ...] = ()
    """Commands, the first one being the best; a line that begins with # is advice."""


Rule = Callable[[Evidence], Diagnosis | None]

"""How long the run will take against the time limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from navforge.preflight.estimate import Estimate
from navforge.preflight.estimate import seconds as in_seconds
from navforge.preflight.finding import Finding, ok, refused, warning

TIME = "time_limit"
START_RANGE = 2.0
"""Factor by which a start may take longer or shorter than the one measured: file caches, compiled code."""
CHECKPOINT_RANGE = 2.0
"""Factor by which writing a checkpoint may take longer or shorter than measured: other work on the disk."""

_LONGER = "a longer --time, more ranks, fewer train.epochs, or #SBATCH --requeue"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast one rank goes, measured."""

    step_s: float
    """Forward, backward and optimiser of one batch."""
    batch_size: int
    loader_examples_per_s: float
    """What all workers of a rank deliver together."""
    device: str
    """Where the step was measured."""

    @property
    def batch_s(self) -> float:
        """Time per batch: the slower of step and loading, which overlap."""
        return max(self.step_s, self.batch_size / self.loader_examples_per_s)


def epoch_s(pace: Pace, scenes: int, val_scenes: int, ranks: int) -> float:
    """One epoch with its validation, which has no backward pass (a third of the step)."""
    batches = math.ceil(scenes / (ranks * pace.batch_size))
    val_batches = math.ceil(val_scenes / (ranks * pace.batch_size))
    val_batch_s = max(pace.step_s / 3, pace.batch_size / pace.loader_examples_per_s)
    return batches * pace.batch_s + val_batches * val_batch_s


def check_time(
    duration: Estimate | None, limit_s: int | None, *, requeue: bool, measured_on: str, target: str, same: bool
) -> Iterator[Finding]:
    """Duration against the limit.

    Args:
        duration: seconds of the whole run, None if no step was measured.
        limit_s: of one job, None if there is none.
        requeue: the job returns to the queue at its time limit.
        measured_on: device of the measured step.
        target: device of the run.
        same: whether the two are alike, so that the duration means something.
    """
    if duration is None or not same:
        reason = f"the step was measured on {measured_on}" if duration is not None else "no step was measured"
        yield warning(
            TIME,
            f"duration unknown: {reason}, the run is for {target}"
            + ("" if limit_s is None else f"; the limit is {hours(limit_s)}"),
            "navforge preflight on such a node measures it",
        )
        return
    shown = f"{duration.written(hours)}, by steps measured on {measured_on}"
    if limit_s is None or duration.high <= limit_s:
        yield ok(TIME, shown + ("" if limit_s is None else f" of {hours(limit_s)}"))
    elif requeue:
        jobs = math.ceil(duration.value / limit_s)
        yield warning(
            TIME, f"{shown}, the limit is {hours(limit_s)}: the job goes back into the queue about {jobs - 1} times"
        )
    elif duration.low <= limit_s:
        yield warning(TIME, f"{shown}, the limit is {hours(limit_s)}: it may be killed before it ends", _LONGER)
    else:
        yield refused(
            TIME,
            f"{shown}, the limit is {hours(limit_s)}: it would be killed before it ends",
            _LONGER,
        )


def hours(seconds: float) -> str:
    """`3.2 h`, below two hours minutes, below two minutes seconds."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else in_seconds(seconds)

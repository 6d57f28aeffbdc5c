"""A measured or predicted number with the range in which the truth is expected."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

QUIET = 0.15
"""Least half width of a range, as a share: two runs on a quiet machine differ by some per cent."""
BUSY_SHARE = 0.85
"""A single thread that computes gets less of a CPU than this only where others want the CPU too."""
BUSY_SPREAD = 1.5
"""Slowest to median of repeats above which a machine is called busy."""
CONTENDED = 1.6
"""How much slower than now a run beside other load may be: the load may grow."""


@dataclass(frozen=True)
class Estimate:
    """A number and its range."""

    value: float
    low: float
    high: float

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def written(self, write: Callable[[float], str]) -> str:
        """`0.42 s (0.36 s to 0.50 s)`."""
        return f"{write(self.value)} ({write(self.low)} to {write(self.high)})"


def larger(first: Estimate, second: Estimate) -> Estimate:
    """The larger of two at every end: the time of two things that overlap."""
    return Estimate(max(first.value, second.value), max(first.low, second.low), max(first.high, second.high))


@dataclass(frozen=True)
class Repeats:
    """Durations of the same work, measured several times after it was warm."""

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...] | None = None
    """CPU time of the process in each, where it computes in one thread; None where that tells nothing."""

    @property
    def share(self) -> float:
        """Of a CPU that the process got: 1 where nobody else wanted it."""
        if self.cpu_s is None or not sum(self.wall_s):
            return 1.0
        return min(1.0, sum(self.cpu_s) / sum(self.wall_s))

    @property
    def busy(self) -> bool:
        """Whether other processes made the work slower, by its share of a CPU or by the spread of the repeats."""
        if self.cpu_s is not None:
            return self.share < BUSY_SHARE
        return max(self.wall_s) > BUSY_SPREAD * statistics.median(self.wall_s)

    @property
    def estimate(self) -> Estimate:
        """One repeat.

        The median CPU time hardly depends on the load, and divided by the share of a CPU it is what a long run takes
        beside the load of now. On a machine that is busy the range reaches from an idle machine to a busier one.
        """
        if self.cpu_s is None:
            value, fastest = statistics.median(self.wall_s), min(self.wall_s)
        else:
            fastest = statistics.median(self.cpu_s)
            value = fastest / max(self.share, 1e-3)
        if self.busy:
            return Estimate(value, (1 - QUIET) * fastest, CONTENDED * value)
        slowest = min(max(self.wall_s), BUSY_SPREAD * value)
        return Estimate(value, (1 - QUIET) * min(fastest, value), max((1 + QUIET) * value, slowest))


def between(points: Sequence[tuple[float, Estimate]], x: float) -> Estimate:
    """The number at `x` from measurements at growing places, for one that grows at most proportionally with `x`.

    Between two measurements it is their straight line, and a measured place is never corrected by others. Beyond the
    last one, the range reaches from no growth to growth in proportion.
    """
    first_x, first = points[0]
    if x <= first_x:
        return Estimate(first.value * x / first_x, first.low * x / first_x, first.high) if x < first_x else first
    for (left_x, left), (right_x, right) in itertools.pairwise(points):
        if x <= right_x:
            share = (x - left_x) / (right_x - left_x)
            return left * (1 - share) + right * share
    last_x, last = points[-1]
    factor = x / last_x
    value = last.value * factor
    if len(points) > 1:
        before_x, before = points[-2]
        slope = max(0.0, (last.value - before.value) / (last_x - before_x))
        value = min(value, last.value + slope * (x - last_x))
    return Estimate(max(value, last.value), last.low, last.high * factor)


def seconds(value: float) -> str:
    """`0.42 s`, `69 s`, `1150 s`."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"


def load_in_words() -> str:
    """Processes that want a CPU now, against the CPUs."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count() or 1} CPUs"

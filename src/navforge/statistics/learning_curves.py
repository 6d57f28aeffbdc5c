"""Scores over numbers of labels: labels needed to reach a score, area under the curve, paired between planners.

Between the levels that ran, the curve of means is straight over the logarithm of the labels, so every point of it and
every area is a contrast of the levels' mean scores (`contrasts.estimate`): all levels share the logs, none a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navforge.core.errors import DataError
from navforge.statistics.contrasts import Estimate, Runs, estimate
from navforge.statistics.intervals import LEVEL

_POINTS = 129
"""Numbers of labels at which the curve is held against a target."""


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One planner trained on several numbers of labels."""

    labels: tuple[float, ...]
    """Scenes, or any measure of labels: positive, rising, two levels or more."""
    levels: tuple[Runs, ...]
    """Its runs at each level, all on the same scenes."""

    def __post_init__(self) -> None:
        """Raise DataError for labels that do not rise, or levels that do not fit them."""
        if len(self.labels) < 2 or len(self.labels) != len(self.levels) or self.labels[0] <= 0:
            raise DataError(f"a learning curve needs two positive numbers of labels or more, got {self.labels}")
        if list(self.labels) != sorted(set(self.labels)):
            raise DataError(f"numbers of labels have to rise, got {self.labels}")


@dataclass(frozen=True, kw_only=True)
class LabelsNeeded:
    """Labels at which a curve reaches a score."""

    target: float
    labels: float | None
    """None: the curve of means does not reach it."""
    low: float | None
    """Every number of labels from here on may reach it; None: so may fewer than ran."""
    high: float | None
    """From here on it is reached; None: not shown at the most that ran."""
    one_seed: bool


def band(curve: LearningCurve, logs: ArrayLike, *, level: float = LEVEL) -> tuple[Estimate, ...]:
    """Mean score at each level."""
    return tuple(estimate((runs,), logs, (1.0,), level=level) for runs in curve.levels)


def area(curve: LearningCurve, logs: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Mean height of the curve over the logarithm of the labels, in the unit of the score."""
    return estimate(curve.levels, logs, _area_weights(curve.labels), level=level)


def area_difference(first: LearningCurve, second: LearningCurve, logs: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Area of the first curve less that of the second, paired by scene.

    Raises:
        DataError: the curves have different numbers of labels.
    """
    if first.labels != second.labels:
        raise DataError(f"the curves have labels {first.labels} and {second.labels}; the same are needed")
    weights = _area_weights(first.labels)
    return estimate((*first.levels, *second.levels), logs, (*weights, *(-w for w in weights)), level=level)


def labels_needed(curve: LearningCurve, target: float, logs: ArrayLike, *, level: float = LEVEL) -> LabelsNeeded:
    """Labels at which the curve first reaches a score, with the interval that inverts the test of every point of it.

    The interval holds the numbers of labels at which a score of `target` is not refuted (Fieller's construction).
    """
    places = np.linspace(np.log(curve.labels[0]), np.log(curve.labels[-1]), _POINTS)
    places = np.unique(np.concatenate([places, np.log(curve.labels)]))
    points = [_point(curve, float(place), logs, level) for place in places]
    reached = np.array([point.value >= target for point in points])
    may = np.array([point.high is None or point.high >= target for point in points])
    sure = np.array([point.low is not None and point.low >= target for point in points])
    labels = None
    if reached.any():
        index = int(np.argmax(reached))
        labels = float(np.exp(places[index] if index == 0 else _crossing(places, points, index, target)))
    return LabelsNeeded(
        target=target,
        labels=labels,
        low=None if may[0] or not may.any() else float(np.exp(places[int(np.argmax(may))])),
        high=None
        if not sure[-1]
        else float(np.exp(places[len(sure) - int(np.argmin(sure[::-1])) if not sure.all() else 0])),
        one_seed=any(point.one_seed for point in points),
    )


def _crossing(places: NDArray[np.float64], points: Sequence[Estimate], index: int, target: float) -> float:
    below, above = points[index - 1].value, points[index].value
    return float(places[index - 1] + (target - below) / (above - below) * (places[index] - places[index - 1]))


def _point(curve: LearningCurve, place: float, logs: ArrayLike, level: float) -> Estimate:
    """The curve at a logarithm of labels."""
    knots = np.log(curve.labels)
    right = min(max(int(np.searchsorted(knots, place)), 1), len(knots) - 1)
    share = float((place - knots[right - 1]) / (knots[right] - knots[right - 1]))
    return estimate((curve.levels[right - 1], curve.levels[right]), logs, (1.0 - share, share), level=level)


def _area_weights(labels: Sequence[float]) -> list[float]:
    """Weights of the trapezoidal rule over the logarithm of the labels, adding up to 1."""
    steps = np.diff(np.log(labels))
    weights = np.zeros(len(labels))
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    return (weights / steps.sum()).tolist()

"""Confidence intervals of mean scores: over scenes, over whole logs, and of the paired difference of two tables.

Scenes of one log share road, weather and traffic, so they are not independent: the interval to quote resamples logs
(`bootstrap` with `clusters`). The plain interval over scenes is reported beside it because papers quote that one.
Pure functions; randomness comes from an explicit generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navforge.core.errors import DataError

LEVEL = 0.95
RESAMPLES = 10_000
_CELLS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its confidence interval."""

    mean: float
    low: float | None
    """None where the data cannot bound the mean: fewer than two independent units."""
    high: float | None
    scenes: int
    clusters: int
    """Independent units resampled: logs, or the scenes themselves."""
    level: float = LEVEL

    @property
    def half_width(self) -> float | None:
        """Half the interval's width, or None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def normal(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Interval of a mean of independent values: mean +- z s / sqrt(n), s the sample standard deviation.

    Args:
        values: (scene,) finite.
        level: coverage wanted.
    """
    data = _finite(values)
    mean = float(data.mean())
    if data.size < 2:
        return Interval(mean=mean, low=None, high=None, scenes=data.size, clusters=data.size, level=level)
    reach = NormalDist().inv_cdf(0.5 + level / 2) * float(data.std(ddof=1)) / data.size**0.5
    return Interval(mean=mean, low=mean - reach, high=mean + reach, scenes=data.size, clusters=data.size, level=level)


def bootstrap(
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    clusters: ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile bootstrap interval of a mean.

    With `clusters`, whole clusters are drawn with replacement and the mean of a draw is the mean over the scenes in
    it, so clusters count by their size (Davison and Hinkley 1997, section 3.8). With few clusters (below about 20)
    percentile intervals are too narrow; `Interval.clusters` says how many there were.

    Args:
        values: (scene,) finite.
        rng: source of the draws; the same generator state gives the same interval.
        clusters: (scene,) label of each scene's cluster, such as its log; None draws scenes.
        level: coverage wanted.
        resamples: number of draws.
    """
    data = _finite(values)
    codes = np.arange(data.size)
    if clusters is not None:
        labels = np.asarray(clusters)
        if labels.shape != data.shape:
            raise DataError(f"clusters have shape {labels.shape}, values {data.shape}; one label per value is needed")
        codes = np.unique(labels, return_inverse=True)[1]
    sums = np.bincount(codes, weights=data).astype(np.float64)
    sizes = np.bincount(codes)
    mean = float(data.mean())
    count = sums.size
    if count < 2:
        return Interval(mean=mean, low=None, high=None, scenes=data.size, clusters=count, level=level)
    means = _resampled_means(sums, sizes, rng, resamples)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(mean=mean, low=float(low), high=float(high), scenes=data.size, clusters=count, level=level)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    rng: np.random.Generator,
    *,
    clusters: ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap interval of mean(first - second) over scenes both were scored on, in the same order.

    Args:
        first: (scene,) scores of one planner.
        second: (scene,) scores of the other on the same scenes.
        rng: source of the draws.
        clusters: (scene,) cluster labels, as in `bootstrap`.
        level: coverage wanted.
        resamples: number of draws.
    """
    one, other = _finite(first), _finite(second)
    if one.shape != other.shape:
        raise DataError(f"paired values differ in number: {one.size} and {other.size}; compare the same scenes")
    return bootstrap(one - other, rng, clusters=clusters, level=level, resamples=resamples)


def _resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.intp], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """(resample,) mean of each draw of clusters with replacement; in blocks, so that memory stays bounded."""
    count = sums.size
    block = max(1, min(resamples, _CELLS // count))
    chances = np.full(count, 1.0 / count)
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        draws = rng.multinomial(count, chances, size=stop - start).astype(np.float64)
        means[start:stop] = (draws @ sums) / (draws @ sizes)
    return means


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0:
        raise DataError(f"an interval needs a non-empty list of values, got shape {data.shape}")
    if not np.isfinite(data).all():
        raise DataError(f"{int((~np.isfinite(data)).sum())} of {data.size} values are not finite; drop undefined ones")
    return data

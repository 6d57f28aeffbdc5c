"""Confidence intervals of mean scores: over scenes, over whole logs, and of the paired difference of two tables.

Scenes of one log share road, weather and traffic, so they are not independent: the interval to quote is the one over
logs (`over_clusters`). The plain interval over scenes is reported beside it because papers quote that one. Pure
functions; randomness comes from an explicit generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

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
    """Independent units: logs, or the scenes themselves."""
    level: float = LEVEL


def over_clusters(values: ArrayLike, clusters: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Interval of a mean of values that depend on each other within clusters, right for few clusters too: m +- t s.

    s is the jackknife standard error over clusters, s^2 = (G - 1) / G sum_g (m_g - m)^2, with m_g the mean without
    cluster g, and t the quantile of Student's distribution with G - 1 degrees of freedom. For clusters of one size this
    is Student's interval of the G cluster means. Percentiles of resampled clusters, the usual bootstrap, leave out the
    factor between Student's and the normal quantile and are too narrow below some tens of clusters.

    Source: MacKinnon, Nielsen and Webb 2023, "Cluster-robust inference: A guide to empirical practice", Journal of
    Econometrics 232 (CV3 with t(G - 1), there the recommendation); Cameron and Miller 2015, "A practitioner's guide to
    cluster-robust inference", Journal of Human Resources 50, section VI (few clusters).

    Args:
        values: (scene,) finite.
        clusters: (scene,) label of each scene's cluster, such as its log; clusters count by their size.
        level: coverage.
    """
    data, labels = _finite(values), np.asarray(clusters)
    if labels.shape != data.shape:
        raise DataError(f"clusters have shape {labels.shape}, values {data.shape}; one label per value is needed")
    codes = np.unique(labels, return_inverse=True)[1]
    sums, sizes = np.bincount(codes, weights=data).astype(np.float64), np.bincount(codes)
    mean, count = float(data.mean()), sums.size
    if count < 2:
        return Interval(mean=mean, low=None, high=None, scenes=data.size, clusters=count, level=level)
    reach = float(stdtrit(count - 1, 0.5 + level / 2)) * float(jackknife_error(sums, sizes))
    return Interval(mean=mean, low=mean - reach, high=mean + reach, scenes=data.size, clusters=count, level=level)


def jackknife_error(sums: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(...) standard error of sum / size over clusters from (..., cluster) sums and (cluster,) sizes, two or more.

    The root of (G - 1) / G sum_g (m_g - m)^2, with m_g the mean without cluster g; see `over_clusters`.
    """
    total, count = sums.sum(axis=-1, keepdims=True), len(sizes)
    without = (total - sums) / (sizes.sum() - sizes)
    return np.sqrt((count - 1) / count * ((without - total / sizes.sum()) ** 2).sum(axis=-1))


def bootstrap(
    values: ArrayLike, rng: np.random.Generator, *, level: float = LEVEL, resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap interval of a mean of independent values.

    Args:
        values: (scene,) finite.
        rng: source of the draws; the same generator state gives the same interval.
        level: coverage.
        resamples: number of draws.
    """
    data = _finite(values)
    mean = float(data.mean())
    if data.size < 2:
        return Interval(mean=mean, low=None, high=None, scenes=data.size, clusters=data.size, level=level)
    means = _resampled_means(data, rng, resamples)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(mean=mean, low=float(low), high=float(high), scenes=data.size, clusters=data.size, level=level)


def paired(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """(scene,) differences first - second of two planners' scores on the same scenes, in the same order."""
    one, other = _finite(first), _finite(second)
    if one.shape != other.shape:
        raise DataError(f"paired values differ in number: {one.size} and {other.size}; compare the same scenes")
    return one - other


def _resampled_means(data: NDArray[np.float64], rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """(resample,) mean of each draw of values with replacement; in blocks, so that memory stays bounded."""
    block = max(1, min(resamples, _CELLS // data.size))
    chances = np.full(data.size, 1.0 / data.size)
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        draws = rng.multinomial(data.size, chances, size=stop - start).astype(np.float64)
        means[start:stop] = draws @ data / data.size
    return means


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0:
        raise DataError(f"an interval needs a non-empty list of values, got shape {data.shape}")
    if not np.isfinite(data).all():
        raise DataError(f"{int((~np.isfinite(data)).sum())} of {data.size} values are not finite; drop undefined ones")
    return data

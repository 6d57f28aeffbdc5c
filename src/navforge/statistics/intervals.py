"""Confidence intervals of mean scores: over scenes, over whole logs, and of the paired difference of two tables.

Scenes of one log share road, weather and traffic, so they are not independent: the interval to quote is the one over
logs (`over_clusters`). The plain interval over scenes is reported beside it because papers quote that one. Pure
functions; randomness comes from an explicit generator.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    return bootstrap_each([values], rng, level=level, resamples=resamples)[0]


def bootstrap_each(
    columns: Sequence[ArrayLike], rng: np.random.Generator, *, level: float = LEVEL, resamples: int = RESAMPLES
) -> list[Interval]:
    """`bootstrap` of several (scene,) columns of one length from the same draws, which take nearly all of the time.

    Each interval is the one that `bootstrap` gives from the same state of the generator.
    """
    data = [_finite(values) for values in columns]
    size = data[0].size
    if any(values.size != size for values in data):
        raise DataError(f"columns have {', '.join(str(values.size) for values in data)} values; give one length")
    if size < 2:
        bounds = [(None, None)] * len(data)
    else:
        means = _resampled_means(np.stack(data), rng, resamples)
        bounds = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2], axis=1).T.tolist()
    return [
        Interval(mean=float(values.mean()), low=low, high=high, scenes=size, clusters=size, level=level)
        for values, (low, high) in zip(data, bounds, strict=True)
    ]


def paired(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """(scene,) differences first - second of two planners' scores on the same scenes, in the same order."""
    one, other = _finite(first), _finite(second)
    if one.shape != other.shape:
        raise DataError(f"paired values differ in number: {one.size} and {other.size}; compare the same scenes")
    return one - other


def _resampled_means(data: NDArray[np.float64], rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """(column, resample) means of each draw, with replacement, from (column, scene) values.

    In blocks, so that memory stays bounded.
    """
    columns, size = data.shape
    block = max(1, min(resamples, _CELLS // size))
    chances = np.full(size, 1.0 / size)
    means = np.empty((columns, resamples))
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        draws = rng.multinomial(size, chances, size=stop - start).astype(np.float64)
        for column in range(columns):  # not as one product, whose last bits depend on the number of columns
            means[column, start:stop] = draws @ data[column] / size
    return means


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0:
        raise DataError(f"an interval needs a non-empty list of values, got shape {data.shape}")
    if not np.isfinite(data).all():
        raise DataError(f"{int((~np.isfinite(data)).sum())} of {data.size} values are not finite; drop undefined ones")
    return data

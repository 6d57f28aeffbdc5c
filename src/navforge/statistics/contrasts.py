"""Weighted sums of planners' mean scores, such as a difference of two, with errors from logs and from seeds.

A planner has a score per scene and per seed: scenes lie within logs, and every seed drives the same logs, so seeds are
crossed with logs. The error of a mean over both has two parts:

    variance = [logs: effect of the log + interaction / seeds] / logs + [seeds: effect of the seed] / seeds

- The part of logs is the jackknife over logs of the contrast averaged over seeds (`intervals.jackknife_error`): logs
  count by their scenes, and what a log and a seed do together (the interaction, scene noise included) is in it once.
- The part of seeds is the variance of each planner's seed means over their number, less the interaction that these hold
  too, summed over planners, whose seeds are independent, and never below 0. Its degrees of freedom are Welch's.

The p-value is the mean of the two parts' Student p-values, weighted by their variances (Cochran and Cox's approximation
to the Behrens-Fisher problem). Pooled degrees of freedom (Welch and Satterthwaite over both parts) err too often in
families, where three seeds that happen to lie close together make the error look well known: see docs/statistics.md.

Pure functions; leading axes are a batch of data sets, which is how the simulation takes thousands at once.

Source: Cochran and Cox 1957, "Experimental designs", section 4.14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from navforge.core.errors import DataError
from navforge.statistics.intervals import LEVEL, jackknife_error

_HALVINGS = 50


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Value of contrasts and the two parts of their variance; arrays in the shape of the batch."""

    value: NDArray[np.float64]
    log_variance: NDArray[np.float64]
    log_df: float
    seed_variance: NDArray[np.float64]
    """0 where no planner has several seeds."""
    seed_parts: NDArray[np.float64]
    """(planner, ...) what each planner with several seeds adds to it, the interaction not taken off."""
    seed_dfs: NDArray[np.float64]
    """(planner,) degrees of freedom of each."""

    @property
    def seed_df(self) -> NDArray[np.float64]:
        """Welch's; 1 where there is no part of seeds."""
        return welch(self.seed_parts, self.seed_dfs)

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard error."""
        return np.sqrt(self.log_variance + self.seed_variance)

    def p(self, truth: float = 0.0) -> NDArray[np.float64]:
        """Two-sided p-value of the hypothesis that the contrast is `truth`."""
        return self._p_at(np.abs(self.value - truth))

    def reach(self, level: float = LEVEL) -> NDArray[np.float64]:
        """Half-width of the interval: where the p-value is 1 - level."""
        bounds = [stdtrit(df, 0.5 + level / 2) * self.error for df in (self.log_df, self.seed_df)]
        low, high = np.minimum(*bounds), np.maximum(*bounds)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = self._p_at(middle) > 1 - level
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return (low + high) / 2

    def _p_at(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        error = self.error
        unit = np.where(error > 0, error, 1.0)
        share = self.seed_variance / unit**2
        by_log, by_seed = (2 * stdtr(df, -distance / unit) for df in (self.log_df, self.seed_df))
        return np.where(error > 0, (1 - share) * by_log + share * by_seed, distance == 0)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Scores of one planner on some scenes, one row per seed."""

    values: NDArray[np.float64]
    """(seed, scene) finite."""
    trained: bool = True
    """False for what has no seeds, such as constant velocity: its one row is exact."""

    @property
    def seeds(self) -> int:
        """Rows."""
        return len(self.values)

    @property
    def one_seed(self) -> bool:
        """Whether nothing is known of what another seed would score."""
        return self.trained and self.seeds == 1


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A contrast with its interval."""

    value: float
    low: float | None
    """None with fewer than two logs."""
    high: float | None
    p: float | None
    """Two-sided p-value of 0; agrees with the interval. None with fewer than two logs."""
    errors: Errors | None
    """None with fewer than two logs."""
    scenes: int
    logs: int
    seeds: tuple[int, ...]
    """Of each planner."""
    one_seed: bool
    """Whether a trained planner has one seed: the interval then leaves out what seeds change, and is of these runs."""
    level: float


def log_sums(values: ArrayLike, logs: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(..., log) sums of (..., scene) values over each log, and (log,) scenes; logs in sorted order of their labels."""
    data = np.asarray(values, dtype=np.float64)
    codes = np.unique(np.asarray(logs), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.add.reduceat(data[..., order], starts, axis=-1), sizes


def errors(
    sums: Sequence[NDArray[np.float64]],
    sizes: NDArray[np.int64],
    coefficients: Sequence[float],
    trained: Sequence[bool],
) -> Errors:
    """The contrast sum_a c_a m_a of planners' mean scores m_a, from sums over logs.

    Args:
        sums: per planner (..., seed, log) sums of scores over the scenes of each log.
        sizes: (log,) scenes of each log; at least two logs.
        coefficients: c_a.
        trained: whether a planner's seeds vary; one with a single seed adds no part of seeds either way.
    """
    total, logs = sizes.sum(), len(sizes)
    contrast = sum(c * group.mean(axis=-2) for c, group in zip(coefficients, sums, strict=True))
    contrast = np.asarray(contrast)
    log_error = jackknife_error(contrast, sizes)
    parts, dfs, interaction = [np.zeros_like(log_error)], [1.0], np.zeros_like(log_error)
    for c, group, varies in zip(coefficients, sums, trained, strict=True):
        seeds = group.shape[-2]
        if not varies or seeds < 2:
            continue
        means = group.sum(axis=-1) / total
        shares = (group - means[..., None] * sizes) / total  # what each log moves its seed's mean by
        weight = c * c / seeds
        interaction = interaction + weight * shares.var(axis=-2, ddof=1).sum(axis=-1) * logs / (logs - 1)
        parts.append(weight * means.var(axis=-1, ddof=1))
        dfs.append(seeds - 1.0)
    seed_parts = np.stack(parts)
    return Errors(
        value=contrast.sum(axis=-1) / total,
        log_variance=log_error**2,
        log_df=logs - 1.0,
        seed_variance=np.maximum(seed_parts.sum(axis=0) - interaction, 0.0),
        seed_parts=seed_parts,
        seed_dfs=np.array(dfs),
    )


def welch(variances: NDArray[np.float64], dfs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...) degrees of freedom of a sum of independent variances (part, ...) with dfs (part,); 1 where all are 0.

    Source: Welch 1947, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34.
    """
    total = variances.sum(axis=0)
    squares = np.tensordot(1.0 / dfs, variances**2, axes=1)
    return np.where(total > 0, total**2 / np.where(squares > 0, squares, 1.0), 1.0)


def estimate(
    runs: Sequence[Runs], logs: ArrayLike, coefficients: Sequence[float] = (1.0, -1.0), *, level: float = LEVEL
) -> Estimate:
    """The contrast of planners on the same scenes; with the default coefficients first - second.

    Args:
        runs: planners; all rows have the same scenes in the same order.
        logs: (scene,) label of each scene's log.
        coefficients: one per planner.
        level: coverage of the interval.

    Raises:
        DataError: no scenes, values that are not finite, or rows that do not fit.
    """
    labels = np.asarray(logs)
    for one in runs:
        if one.values.ndim != 2 or one.values.shape[1] != labels.size or not one.values.size:
            raise DataError(f"scores of shape {one.values.shape}; (seed, scene) with {labels.size} scenes are needed")
        if not np.isfinite(one.values).all():
            raise DataError("scores are not finite; drop scenes where they are undefined")
        if not one.trained and one.seeds > 1:
            raise DataError(f"{one.seeds} rows of a planner without seeds; one is needed")
    summed = [log_sums(one.values, labels) for one in runs]
    sizes = summed[0][1]
    facts: dict[str, Any] = {
        "scenes": labels.size,
        "logs": len(sizes),
        "seeds": tuple(one.seeds for one in runs),
        "one_seed": any(one.one_seed for one in runs),
        "level": level,
    }
    if len(sizes) < 2:
        value = sum(c * float(one.values.mean()) for c, one in zip(coefficients, runs, strict=True))
        return Estimate(value=value, low=None, high=None, p=None, errors=None, **facts)
    found = errors([sums for sums, _ in summed], sizes, coefficients, [one.trained for one in runs])
    reach = float(found.reach(level))
    value = float(found.value)
    return Estimate(
        value=value,
        low=value - reach,
        high=value + reach,
        p=float(found.p()),
        errors=found,
        **facts,
    )

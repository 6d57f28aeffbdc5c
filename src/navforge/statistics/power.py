"""What difference a comparison can detect, before any run from assumed spreads and after it from the measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr

from navforge.core.errors import ConfigError
from navforge.statistics.contrasts import Errors
from navforge.statistics.intervals import LEVEL

POWER = 0.8
_GRID = 4096
"""Points, at equal probability, of what the variances may be estimated as."""


def expected_errors(
    *,
    logs: int,
    log_sd: float,
    seeds: Sequence[int],
    seed_sds: Sequence[float],
    coefficients: Sequence[float] = (1, -1),
) -> Errors:
    """Errors that a contrast of planners will have, from assumed spreads in the unit of the score.

    Args:
        logs: logs of the split, two or more. Where they differ in size, sum(n)^2 / sum(n^2) of their scenes n.
        log_sd: standard deviation over logs of the contrast of log means, as measured by an earlier comparison
            (`Estimate.log_error` times the root of its logs).
        seeds: seeds of each planner, two or more; 1 counts as exact, as constant velocity is.
        seed_sds: standard deviation over seeds of each planner's mean.
        coefficients: of the contrast.

    Raises:
        ConfigError: fewer than two logs, or a spread below 0.
    """
    if logs < 2 or log_sd < 0 or min(seed_sds) < 0 or min(seeds) < 1:
        raise ConfigError(
            f"{logs} logs, spreads {log_sd} over logs and {list(seed_sds)} over seeds: two logs or more and spreads of "
            "0 or more are needed"
        )
    variances = np.array(
        [c * c * sd * sd / n if n > 1 else 0.0 for c, sd, n in zip(coefficients, seed_sds, seeds, strict=True)]
    )
    return Errors(
        value=np.array(0.0),
        log_variance=np.array(log_sd**2 / logs),
        log_df=logs - 1.0,
        seed_variance=variances.sum(),
        seed_parts=variances,
        seed_dfs=np.maximum(np.array(seeds) - 1.0, 1.0),
    )


def power(difference: float, found: Errors, *, level: float = LEVEL) -> float:
    """Probability that the interval at `level` excludes 0 if the true contrast is `difference`, errors being normal.

    Averages over what the variances may be estimated as.
    """
    reaches, error = _reaches(found, level)
    return _power(difference, reaches, error)


def detectable(found: Errors, *, level: float = LEVEL, power: float = POWER) -> float:
    """The minimum detectable effect: the contrast that is found with probability `power`; 0 where nothing varies.

    In a family of m comparisons give `level = 1 - (1 - LEVEL) / m`: the first step of Holm's correction.
    """
    reaches, error = _reaches(found, level)
    if error == 0:
        return 0.0
    high = float(reaches.max()) + 4 * error
    found_at = brentq(lambda difference: _power(difference, reaches, error) - power, 0.0, high, xtol=1e-4 * error)
    return cast(float, found_at)


def _power(difference: float, reaches: NDArray[np.float64], error: float) -> float:
    if error == 0:
        return float(difference != 0)
    return float((ndtr((difference - reaches) / error) + ndtr((-difference - reaches) / error)).mean())


def _reaches(found: Errors, level: float) -> tuple[NDArray[np.float64], float]:
    """Half-widths over a grid of what each variance may be estimated as, and the true error of the contrast."""
    several = np.flatnonzero(found.seed_parts)
    count = round(_GRID ** (1 / (1 + several.size)))
    quantiles = (np.arange(count) + 0.5) / count
    dfs = [found.log_df, *found.seed_dfs[several]]
    ratios = np.meshgrid(*(2 * gammaincinv(df / 2, quantiles) / df for df in dfs))
    logs, *seeds = (axis.ravel() for axis in ratios)
    parts = np.stack([found.seed_parts[part] * ratio for part, ratio in zip(several, seeds, strict=True)] or [0 * logs])
    total = found.seed_parts.sum()
    estimated = replace(
        found,
        log_variance=found.log_variance * logs,
        seed_variance=parts.sum(axis=0) * (found.seed_variance / total if total > 0 else 0.0),
        seed_parts=parts,
        seed_dfs=found.seed_dfs[several] if several.size else np.ones(1),
    )
    return estimated.reach(level), float(found.error)

"""Verdicts of comparisons that were planned together: Holm's correction, an exact test by log, one word each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navforge.core.errors import DataError
from navforge.statistics.contrasts import Estimate

ALPHA = 0.05
EXACT_LOGS = 16
"""Up to so many logs every pattern of signs is counted."""
FLIPS = 20_000
"""Patterns drawn beyond."""


class Verdict(StrEnum):
    """What a comparison came to."""

    BETTER = "better"
    WORSE = "worse"
    NOT_SHOWN = "not shown"
    ONE_SEED = "one seed"
    """A trained planner has one seed: nothing is known of what another would score."""


def verdict(estimate: Estimate, corrected_p: float | None, *, alpha: float = ALPHA) -> Verdict:
    """The word for a difference first - second where more is better, by its p-value corrected for the family."""
    if estimate.one_seed:
        return Verdict.ONE_SEED
    if corrected_p is None or corrected_p > alpha or estimate.value == 0:
        return Verdict.NOT_SHOWN
    return Verdict.BETTER if estimate.value > 0 else Verdict.WORSE


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """P-values corrected for the family: all at or below alpha hold together with error probability alpha at most.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"p-values lie in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def sign_flip(log_sums: ArrayLike, *, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p-value of a sum over logs, if each log's difference could as well have had the other sign.

    Exact up to `EXACT_LOGS` logs, and then never below 2 / 2^logs; beyond that from random patterns, the one that was
    seen counted with them. It takes the runs as given: seeds are not part of it.

    Args:
        log_sums: (log,) sums of differences over the scenes of each log.
        flips: random patterns.
        seed: of the patterns: one comparison has one p-value.
    """
    sums = np.asarray(log_sums, dtype=np.float64)
    seen = abs(sums.sum()) * (1 - 1e-12)
    if sums.size <= EXACT_LOGS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=sums.size - 1))).reshape(
            2 ** (sums.size - 1), sums.size - 1
        )
        return float(np.mean(np.abs(sums[0] + signs @ sums[1:]) >= seen))
    rng = np.random.default_rng(seed)
    signs = 2.0 * rng.integers(0, 2, size=(flips, sums.size), dtype=np.int8) - 1.0
    return float((1 + np.count_nonzero(np.abs(signs @ sums) >= seen)) / (flips + 1))

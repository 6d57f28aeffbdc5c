"""Inference weights of a planner, searched for the highest true score on a validation split.

How sure one can be is part of the answer: the gain over the weights the planner had, with its interval over logs; and
the gain on logs the search did not see (cross-validation), which is what to expect elsewhere. The first is the larger
one by as much as the search fitted chance.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.heads.weight_sets import SearchConfig, weight_sets
from navforge.statistics.intervals import Interval, over_clusters, paired
from navforge.tuning.confidences import Confidences
from navforge.tuning.search import chosen, score_sums


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a search found."""

    protocol: str
    """The rules of the true scores."""
    factors: tuple[str, ...]
    """Keys of `inference` that were searched."""
    before: dict[str, float]
    """Their weights in the planner."""
    after: dict[str, float]
    """The best set, or those of `before` where none was better."""
    score_before: float
    score_after: float
    """Mean true score on the split, whose scenes chose the weights."""
    gain: Interval
    """Difference of the two, over logs."""
    held_out_gain: Interval
    """Gain of weights chosen on the other folds' logs, over the scenes they were not chosen on."""
    fold_weights: tuple[dict[str, float], ...]
    """What the search without each fold found: weights that differ much are not determined by the data."""
    scenes: int
    logs: int
    sets: int
    candidates: float
    """Mean number of entries per scene that some weights of the box choose, or may."""
    search_s: float

    @property
    def improved(self) -> bool:
        """Whether a better set was found."""
        return self.after != self.before

    def facts(self) -> dict[str, Any]:
        """Plain values for a checkpoint and a report."""
        plain = asdict(self)
        return {**plain, "factors": list(self.factors), "fold_weights": list(self.fold_weights)}


def tune(confidences: Confidences, head: HydraMdpConfig, search: SearchConfig, *, folds: int) -> Tuning:
    """Try every set of weights on every scene.

    Args:
        confidences: candidates of the validation split, complete for the search's box.
        head: the planner's head, with the weights it has.
        search: what is tried.
        folds: parts of the logs for cross-validation.

    Raises:
        DataError: there are fewer logs than folds.
    """
    factors = head.log_factors
    sets = weight_sets(search, factors)
    fold = split_logs(confidences.logs, folds, np.random.default_rng(search.seed))
    begun = time.perf_counter()
    sums = score_sums(confidences.candidates, sets, fold)
    searched = time.perf_counter() - begun
    total = sums.sum(axis=0)
    scores = confidences.candidates.scores.astype(np.float64)
    before = scores[confidences.planned]
    best = int(np.argmax(total))
    after = scores[chosen(confidences.candidates, sets[best])]
    own = {name: head.inference[name] for name in factors}
    better = after.mean() > before.mean()
    held_out = np.empty_like(before)
    fold_best = [int(np.argmax(total - sums[part])) for part in range(folds)]
    for part, index in enumerate(fold_best):
        inside = fold == part
        held_out[inside] = scores[chosen(confidences.candidates, sets[index])[inside]]
    if not better:
        after = before
    return Tuning(
        protocol=head.protocol,
        factors=factors,
        before=own,
        after=_named(factors, sets[best]) if better else own,
        score_before=float(before.mean()),
        score_after=float(after.mean()),
        gain=over_clusters(paired(after, before), confidences.logs),
        held_out_gain=over_clusters(paired(held_out, before), confidences.logs),
        fold_weights=tuple(_named(factors, sets[index]) for index in fold_best),
        scenes=len(before),
        logs=len(np.unique(confidences.logs)),
        sets=len(sets),
        candidates=float(np.diff(confidences.candidates.offsets).mean()),
        search_s=searched,
    )


def tuned(head: HydraMdpConfig, tuning: Tuning) -> HydraMdpConfig:
    """The head with the weights found."""
    return replace(head, inference=replace(head.inference, **tuning.after))


def split_logs(logs: NDArray[np.str_], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(S,) fold of each scene: whole logs, dealt at random so that folds have about equally many scenes.

    Raises:
        DataError: there are fewer logs than folds.
    """
    names, code, sizes = np.unique(logs, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise DataError(
            f"folds: {folds} parts of {len(names)} logs cannot be made; tune on more logs or with fewer folds"
        )
    load = np.zeros(folds)
    of_log = np.empty(len(names), np.int64)
    shuffled = rng.permutation(len(names))
    for log in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        of_log[log] = np.argmin(load)
        load[of_log[log]] += sizes[log]
    return of_log[code]


def _named(factors: tuple[str, ...], weights: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(factors, weights.tolist(), strict=True))

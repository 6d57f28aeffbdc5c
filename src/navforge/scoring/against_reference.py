"""Plans compared with the PDM-Closed reference and forgiven what the human driver fails: from raw results to scores.

Arrays of any shape, of NumPy or of torch on any device (`aggregate.library_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from navforge.scoring import aggregate, metrics
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import Protocol

Array = Any
ArrayT = TypeVar("ArrayT")
"""NumPy's arrays or torch's tensors."""
OtherT = TypeVar("OtherT")


class Terms(NamedTuple):
    """What plans are compared with; of shapes that fit those of the plans."""

    reference_gated_m: Array
    """Progress of the PDM-Closed reference times its gates, m."""
    forgiven: Mapping[str, Array]
    """By column name, where the human filter sets a sub-score to 1; columns that it leaves alone may be left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores(Generic[ArrayT]):
    """Scores of plans, each compared with its scene's PDM-Closed reference alone, as the benchmark does.

    Arrays are (S, N) for N plans in each of S scenes, (N,) for those of one scene; of the plans' kind, on their device.
    """

    protocol: str
    values: dict[str, ArrayT]
    """Sub-scores by column name, as reported: after the human filter where it applies."""
    score: ArrayT
    """Without extended comfort, which needs two scenes: its weight is dropped."""
    progress_m: ArrayT
    """Raw progress along the centreline, m."""
    collision_step: ArrayT
    """int16, first step of an at-fault collision, -1 if none."""
    ttc_step: ArrayT
    """int16, first step that violates time to collision, -1 if none."""
    scored: dict[str, ArrayT]
    """The sub-scores that enter the score; they differ from `values` only before the human-filter fix."""
    unfiltered: dict[str, ArrayT]
    """Sub-scores before the human filter."""
    terms: Terms
    """What the plans were compared with."""

    def map(self, function: Callable[[ArrayT], OtherT]) -> Scores[OtherT]:
        """The same scores, a function applied to every array of the plans'."""

        def each(arrays: dict[str, ArrayT]) -> dict[str, OtherT]:
            return {name: function(array) for name, array in arrays.items()}

        return Scores(
            protocol=self.protocol,
            values=each(self.values),
            score=function(self.score),
            progress_m=function(self.progress_m),
            collision_step=function(self.collision_step),
            ttc_step=function(self.ttc_step),
            scored=each(self.scored),
            unfiltered=each(self.unfiltered),
            terms=self.terms,
        )


def sub_scores(results: Array, rules: Protocol) -> dict[str, Array]:
    """Sub-scores by column name from raw results (`Column`, ...); ego progress is still raw."""
    return {metric.name: results[int(metric.column)] for metric in rules.metrics if metric.column is not None}


def gated_progress(results: Array, rules: Protocol) -> Array:
    """Progress times gates, m, from raw results (`Column`, ...)."""
    return results[int(Column.PROGRESS)] * aggregate.gate(sub_scores(results, rules), rules)


def against(results: Array, best_m: Array, rules: Protocol) -> dict[str, Array]:
    """Sub-scores by column name from raw results (`Column`, ...), progress as a share of the best gated progress.

    The best is `best_m` (of a shape that fits), or a plan's own if that is more.
    """
    of = aggregate.library_of(results)
    values = sub_scores(results, rules)
    progress = values[metrics.EGO_PROGRESS.name]
    gates = aggregate.gate(values, rules)
    best = of.maximum(progress * gates, of.zeros_like(progress) + best_m)
    values[metrics.EGO_PROGRESS.name] = aggregate.normalised_progress(progress, gates, best, rules)
    return values


def comparison_terms(reference: Array, human: Array | None, rules: Protocol) -> Terms:
    """What plans are compared with.

    What human drivers score exactly 0 in is forgiven (0.5 is not). The filter's run gives the scorer no history, so
    history comfort never is; alone in its batch, a human's progress is compared with itself.

    Args:
        reference: (`Column`, ...) raw results of PDM-Closed references.
        human: (`Column`, ...) raw results of human drivers, NaN where a scene has none; None: no human filter.
        rules: the protocol.
    """
    reference_m = gated_progress(reference, rules)
    if human is None:
        return Terms(reference_m, {})
    fails = {name: value == 0.0 for name, value in against(human, 0.0, rules).items()}
    never = metrics.HISTORY_COMFORT.name
    return Terms(reference_m, {name: fail for name, fail in fails.items() if name != never and fail.any()})


def compare(results: Array, events: Array, terms: Terms, rules: Protocol) -> Scores[Any]:
    """Score plans from raw results.

    Args:
        results: (`Column`, ...) of plans.
        events: (2, ...) first step of an at-fault collision and of a violation of time to collision.
        terms: what they are compared with.
        rules: the protocol.
    """
    of = aggregate.library_of(results)
    unfiltered = against(results, terms.reference_gated_m, rules)
    values = {
        name: of.where(terms.forgiven[name], of.ones_like(value), value) if name in terms.forgiven else value
        for name, value in unfiltered.items()
    }
    scored = values if rules.filter_enters_score or not rules.human_filter else unfiltered
    return Scores(
        protocol=rules.name,
        values=values,
        score=aggregate.score(scored, rules),
        progress_m=results[int(Column.PROGRESS)],
        collision_step=events[0],
        ttc_step=events[1],
        scored=scored,
        unfiltered=unfiltered,
        terms=terms,
    )

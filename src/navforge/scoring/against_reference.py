"""Plans compared with the PDM-Closed reference and forgiven what the human driver fails: from raw results to scores.

Arrays of any shape, of NumPy or of torch on any device (`aggregate.library_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from navforge.scoring import aggregate, metrics
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import Protocol

Array = Any


class Compared(NamedTuple):
    """Scores of plans, each compared with the reference alone."""

    values: dict[str, Array]
    """Sub-scores by column name, as reported: after the human filter where it applies."""
    scored: dict[str, Array]
    """The sub-scores that enter the score; others than `values` only before the human-filter fix."""
    unfiltered: dict[str, Array]
    """Sub-scores before the human filter."""
    gates: Array
    """Product of the multiplicative sub-scores before the human filter."""
    score: Array
    """Without extended comfort (its weight dropped)."""


def sub_scores(results: Array, rules: Protocol) -> dict[str, Array]:
    """Sub-scores by column name from raw results (`Column`, ...); ego progress is still raw."""
    return {metric.name: results[int(metric.column)] for metric in rules.metrics if metric.column is not None}


def reference_gated(results: Array, rules: Protocol) -> Array:
    """Progress of references times their gates, m, from their raw results (`Column`, ...)."""
    return results[int(Column.PROGRESS)] * aggregate.gate(sub_scores(results, rules), rules)


def compare(results: Array, reference_gated_m: Array, forgiven: Mapping[str, Array], rules: Protocol) -> Compared:
    """Score plans from raw results.

    Args:
        results: (`Column`, ...) of plans.
        reference_gated_m: what each plan's progress is compared with, m; of a shape that fits.
        forgiven: by column name, where the human driver scores exactly 0; columns may be left out. Fits likewise.
        rules: the protocol.
    """
    values = sub_scores(results, rules)
    of = aggregate.library_of(results)
    progress = values[metrics.EGO_PROGRESS.name]
    gates = aggregate.gate(values, rules)
    best = of.maximum(progress * gates, of.zeros_like(progress) + reference_gated_m)
    values[metrics.EGO_PROGRESS.name] = aggregate.normalised_progress(progress, gates, best, rules)
    shown = {
        name: of.where(forgiven[name], of.ones_like(value), value) if name in forgiven else value
        for name, value in values.items()
    }
    scored = shown if rules.filter_enters_score or not rules.human_filter else values
    return Compared(shown, scored, values, gates, aggregate.score(scored, rules))


def forgiven_columns(results: Array, rules: Protocol) -> dict[str, Array]:
    """By column name, whether human drivers score exactly 0 (0.5 is not forgiven), from their raw results.

    The filter's run gives the scorer no history, so history comfort is 1; alone in its batch, the human's progress is
    compared with itself.
    """
    values = sub_scores(results, rules)
    progress = values[metrics.EGO_PROGRESS.name]
    gates = aggregate.gate(values, rules)
    values[metrics.EGO_PROGRESS.name] = aggregate.normalised_progress(progress, gates, progress * gates, rules)
    return {name: value == 0.0 for name, value in values.items() if name != metrics.HISTORY_COMFORT.name}

"""What the human filter forgives, by hand-made raw results."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.scoring.against_reference import compare, comparison_terms
from navforge.scoring.metrics import Column, Metric
from navforge.scoring.protocols import protocol

PERFECT, FAR_M = 1.0, 20.0
NO_EVENT = np.full((2, 1), -1, dtype=np.int16)


def results(**values: float) -> np.ndarray:
    """(`Column`, 1) raw results of a perfect driver, but for what is given."""
    raw = np.full((len(Column), 1), PERFECT)
    raw[Column.PROGRESS] = FAR_M
    for name, value in values.items():
        raw[Column[name]] = value
    return raw


@pytest.mark.parametrize(("human", "reported"), [(0.0, 1.0), (0.5, 0.0), (1.0, 0.0)])
@pytest.mark.parametrize("column", ["COLLISION", "DIRECTION"])
def test_only_a_zero_of_the_human_is_forgiven(column: str, human: float, reported: float) -> None:
    rules = protocol("epdms_v2")
    terms = comparison_terms(results()[:, 0], results(**{column: human})[:, 0], rules)
    scores = compare(results(**{column: 0.0}), NO_EVENT, terms, rules)
    name = next(metric.name for metric in rules.metrics if metric.column is Column[column])
    assert scores.values[name] == [reported] and scores.unfiltered[name] == [0.0]


@pytest.mark.parametrize(
    "metric",
    [m for m in protocol("epdms_v2").metrics if m.column not in (None, Column.PROGRESS)],
    ids=lambda metric: metric.short,
)
def test_everything_is_forgiven_but_history_comfort(metric: Metric) -> None:
    assert metric.column is not None
    rules = protocol("epdms_v2")
    failing = results(**{metric.column.name: 0.0})
    terms = comparison_terms(results()[:, 0], failing[:, 0], rules)
    scores = compare(failing, NO_EVENT, terms, rules)
    assert scores.values[metric.name] == [0.0 if metric.name == "history_comfort" else 1.0]

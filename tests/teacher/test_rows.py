"""From the engine's answers to a row and back, for every protocol, filter and kind of scene."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import PROTOCOLS, Protocol
from navforge.teacher import rows as taught
from navforge.teacher.packing import UNIT8, UNIT16
from tests.teacher.made import entries_of

FLOAT = 1e-6
THREE_LEVELS = ("no_at_fault_collisions", "driving_direction_compliance")
"""Sub-scores that the devkit also gives as 0.5."""


def every_combination(rules: Protocol, reference_m: float, forgiven: tuple[str, ...]) -> Scores[Any]:
    """Entries with every combination of sub-scores, each at several distances."""
    discrete = [metric.name for metric in rules.metrics if metric.name != EGO_PROGRESS.name]
    steps = [(0.0, 0.5, 1.0) if name in THREE_LEVELS else (0.0, 1.0) for name in discrete]
    metres = np.array([0.0, 0.3, 4.99, 5.0, 5.01, 12.0, 19.99, 20.0, 20.01, 33.0, 41.0, 97.0])
    table = np.array(list(itertools.product(*steps)))
    values = np.repeat(table, len(metres), axis=0)
    unfiltered = {name: values[:, place] for place, name in enumerate(discrete)}
    return entries_of(unfiltered, np.tile(metres, len(table)), reference_m, rules, forgiven)


@pytest.mark.parametrize("encoding", [UNIT8, UNIT16], ids=["8", "16"])
@pytest.mark.parametrize(
    "forgiven", [(), ("drivable_area_compliance",), ("no_at_fault_collisions", "time_to_collision_within_bound")]
)
@pytest.mark.parametrize("reference_m", [0.0, 3.0, 5.0, 5.000001, 20.0, 60.0])
@pytest.mark.parametrize("rules", PROTOCOLS, ids=lambda rules: rules.name)
def test_a_row_gives_back_the_score_and_the_teacher_s_progress(
    rules: Protocol, reference_m: float, forgiven: tuple[str, ...], encoding: object
) -> None:
    entries = every_combination(rules, reference_m, forgiven)
    layout = taught.layout(rules, len(entries.score), encoding)  # type: ignore[arg-type]
    row = taught.pack(entries, rules, layout)
    found = taught.unpack(np.frombuffer(row, np.uint8), rules, layout, taught.columns(rules))
    for name in rules.columns:
        if name != EGO_PROGRESS.name:
            expected = np.ones(len(entries.score)) if name in forgiven else entries.unfiltered[name]
            np.testing.assert_array_equal(found[name], expected)
    half_step = 0.5 / (255 if encoding is UNIT8 else 65535) + FLOAT
    gates = aggregate.gate(entries.unfiltered, rules)
    progress = aggregate.gated_progress(entries.progress_m, gates, reference_m)
    assert np.abs(found["ego_progress"] - progress).max() <= half_step
    assert np.abs(found["score"] - entries.score).max() <= half_step
    told = taught.rounding(row, entries, rules, layout)
    assert told["score"] == np.abs(found["score"] - entries.score).max()


def test_columns_may_be_asked_for_alone() -> None:
    rules = PROTOCOLS[1]
    entries = every_combination(rules, 20.0, ("drivable_area_compliance",))
    layout = taught.layout(rules, len(entries.score), UNIT16)
    row = np.frombuffer(taught.pack(entries, rules, layout), np.uint8)
    whole = taught.unpack(row, rules, layout, taught.columns(rules))
    for name in taught.columns(rules):
        found = taught.unpack(row, rules, layout, (name,))
        assert list(found) == [name]
        np.testing.assert_array_equal(found[name], whole[name])


def test_a_score_by_other_rules_is_refused() -> None:
    """Should the engine change its rules and the rows not, no store is written."""
    rules = PROTOCOLS[1]
    entries = every_combination(rules, 20.0, ())
    layout = taught.layout(rules, len(entries.score), UNIT16)
    other = replace(entries, score=np.minimum(entries.score * 1.01, 1.0))
    with pytest.raises(DataError, match=r"score of entry .* come apart"):
        taught.rounding(taught.pack(other, rules, layout), other, rules, layout)


@pytest.mark.parametrize("progress", [-1.0, np.nan])
def test_impossible_progress_is_refused(progress: float) -> None:
    rules = PROTOCOLS[1]
    entries = every_combination(rules, 20.0, ())
    metres = entries.progress_m.copy()
    metres[17] = progress
    layout = taught.layout(rules, len(entries.score), UNIT16)
    with pytest.raises(DataError, match="column ego_progress: entry 17"):
        taught.pack(replace(entries, progress_m=metres), rules, layout)

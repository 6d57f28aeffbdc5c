"""Tables of several agents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from navforge.evaluation import comparison
from navforge.evaluation.summary import summarise
from navforge.evaluation.tables import ScoreTable

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def tables(make_table: MakeTable) -> dict[str, ScoreTable]:
    good = make_table(("pdms_v1", "epdms_v2"), score=lambda log, scene: 0.5 + (log + scene) / 10)
    poor = make_table(("pdms_v1", "epdms_v2"), score=lambda log, scene: (log + scene) / 10)
    return {"good": good, "poor": poor}


def test_claims(tables: dict[str, ScoreTable]) -> None:
    better = comparison.claim(tables, "good", "poor", "pdms_v1", "good beats poor")
    assert better.by_scene.mean == pytest.approx(0.5)
    assert better.holds
    rest = dataclasses.replace(better, by_log=dataclasses.replace(better.by_log, low=-0.01))
    assert better.by_scene.low is not None and better.by_scene.low > 0 and not rest.holds
    worse = comparison.claim(tables, "poor", "good", "pdms_v1", "poor beats good")
    assert not worse.holds
    equal = comparison.claim(tables, "poor", "poor", "pdms_v1", "poor beats itself")
    assert not equal.holds
    cells = list(comparison.claims_table([better, worse]).columns[-1].cells)
    assert cells == ["holds", "DOES NOT HOLD"]


def test_a_claim_does_not_hold_by_its_mean_alone(make_table: MakeTable) -> None:
    """One scene of twelve is better, the others are equal: a third of the resampled differences are 0."""
    once = make_table(("pdms_v1",), score=lambda log, scene: 1.0 if log == scene == 0 else 0.5)
    never = make_table(("pdms_v1",), score=lambda log, scene: 0.5)
    found = comparison.claim({"once": once, "never": never}, "once", "never", "pdms_v1", "once beats never")
    assert found.by_scene.mean > 0 and not found.holds


def summaries_of(tables: dict[str, ScoreTable]) -> comparison.Summaries:
    return {label: summarise(table) for label, table in tables.items()}


def test_score_table_has_a_row_per_agent(tables: dict[str, ScoreTable]) -> None:
    table = comparison.scores_table(tables, summaries_of(tables), "epdms_v2")
    assert [column.header for column in table.columns][4:] == ["NC", "DAC", "DDC", "TLC", "EP", "TTC", "LK", "HC", "EC"]
    assert list(table.columns[0].cells) == ["good", "poor"]
    assert list(table.columns[1].cells) == ["75.0", "25.0"]
    assert "12 scenes of split tiny" in str(table.caption)


def test_shares_by_hand() -> None:
    values = np.array([0.0, 0.0, 1e-6, 0.25, 0.3, 0.9, 0.95, 1.0])
    # exactly 0 twice; a bin holds its lower edge, the last one 1 as well
    assert comparison.shares(values) == [2 / 8, 1 / 8, 2 / 8, 0.0, 0.0, 3 / 8]


def test_plain_values(tables: dict[str, ScoreTable]) -> None:
    claims = [comparison.claim(tables, "good", "poor", "epdms_v2", "good beats poor")]
    values = json.loads(json.dumps(comparison.to_json(tables, summaries_of(tables), claims), allow_nan=False))
    assert values["agents"]["good"]["pdms_v1"]["score"] == pytest.approx(0.75)
    assert sum(values["agents"]["poor"]["epdms_v2"]["shares"].values()) == pytest.approx(1.0)
    assert values["claims"][0]["holds"] is True
    table = comparison.distribution_table(tables, "pdms_v1")
    assert list(table.columns[0].cells) == ["good", "poor"]

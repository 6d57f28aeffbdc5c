"""Means, intervals and comparisons of score tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from navforge.core.errors import DataError
from navforge.evaluation import summary, tables
from navforge.evaluation.tables import ScoreTable

MakeTable = Callable[..., ScoreTable]


def test_means_by_hand(make_table: MakeTable) -> None:
    found = summary.summarise(make_table(), resamples=2000)["epdms_v2"]
    # means of the three logs 0.15, 0.25, 0.35, so 0.25 +- 4.302653 * 0.1 / sqrt(3)
    # scores: 0 .1 .2 .3 | .1 .2 .3 .4 | .2 .3 .4 .5
    assert found.score.mean == pytest.approx(0.25)
    assert found.score.by_log.clusters == 3
    assert (found.score.by_log.low, found.score.by_log.high) == pytest.approx(
        (0.25 - 0.2484138, 0.25 + 0.2484138), abs=1e-6
    )
    assert found.score.by_scene.clusters == 12
    assert found["lane_keeping"].mean == 1.0
    assert found["two_frame_extended_comfort"].scenes == 9
    assert found["progress_m"].mean == 20.0


def test_a_summary_is_reproducible_and_plain_json(make_table: MakeTable) -> None:
    table = make_table(("pdms_v1", "epdms_v2"), missing=2, split_scenes=14, missing_hash="a" * 16)
    first, second = (summary.to_json(table, summary.summarise(table, resamples=500), {"x": 1}) for _ in range(2))
    assert first == second
    text = json.loads(json.dumps(first, allow_nan=False))
    assert text["split"] == {
        "name": "tiny",
        "hash": "0123456789abcdef",
        "scenes": 14,
        "scored": 12,
        "missing": 2,
        "missing_hash": "a" * 16,
        "missing_logs": 0,
        "doubts": {},
    }
    assert list(text["protocols"]) == ["pdms_v1", "epdms_v2"]
    assert "two_frame_extended_comfort" not in text["protocols"]["pdms_v1"]["columns"]
    assert text["protocols"]["epdms_v2"]["columns"]["score"]["mean"] == pytest.approx(0.25)


def test_the_order_of_rows_changes_no_digit(make_table: MakeTable, tmp_path: Path) -> None:
    """What is summarised after scoring, in any order, is what is summarised from the file."""
    table = make_table(("pdms_v1", "epdms_v2"), logs=5, score=lambda log, scene: (0.1 + 0.37 * log + 0.61 * scene) % 1)
    expected = summary.summarise(table, resamples=300)
    other = make_table(("pdms_v1", "epdms_v2"), logs=5, score=lambda log, scene: (0.2 + 0.53 * log * scene) % 1)
    difference = summary.compare(table, other, "epdms_v2")
    for seed in range(3):
        mixed = ScoreTable(table.frame.sample(fraction=1.0, shuffle=True, seed=seed), table.meta)
        assert not mixed.frame.equals(table.frame)
        assert summary.summarise(mixed, resamples=300) == expected
        assert summary.compare(mixed, other, "epdms_v2") == difference
        tables.write(tmp_path / "scores.parquet", mixed)
        assert summary.summarise(tables.read(tmp_path / "scores.parquet"), resamples=300) == expected


def test_undefined_everywhere_is_left_out(make_table: MakeTable) -> None:
    table = make_table(scenes_per_log=1)
    found = summary.summarise(table, resamples=100)["epdms_v2"]
    with pytest.raises(KeyError):
        found["two_frame_extended_comfort"]


def test_several_trajectories_have_no_summary(make_table: MakeTable) -> None:
    table = make_table()
    twice = pl.concat([table.frame, table.frame.with_columns(index=pl.lit(1, pl.Int32))])
    with pytest.raises(DataError, match="several trajectories"):
        summary.summarise(ScoreTable(twice, table.meta))


def test_paired_comparison_by_hand(make_table: MakeTable) -> None:
    better = make_table(score=lambda log, scene: (log + scene) / 10 + 0.05 * (log + 1))
    worse = make_table()
    shuffled = ScoreTable(worse.frame.sample(fraction=1.0, shuffle=True, seed=1), worse.meta)
    by_log, by_scene = summary.compare(better, shuffled, "epdms_v2")
    assert by_log.mean == by_scene.mean == pytest.approx(0.1)
    assert (by_log.low, by_log.high) == pytest.approx((0.1 - 0.1242069, 0.1 + 0.1242069), abs=1e-6)
    assert by_scene.low is not None
    assert by_scene.low > 0.05


def test_comparison_of_different_scenes_or_rules_is_refused(make_table: MakeTable) -> None:
    with pytest.raises(DataError, match="different scenes"):
        summary.compare(make_table(), make_table(logs=2), "epdms_v2")
    plain = make_table()
    unfiltered = ScoreTable(plain.frame.with_columns(human_filter=pl.lit(False)), plain.meta)
    with pytest.raises(DataError, match="human filter"):
        summary.compare(plain, unfiltered, "epdms_v2")


def test_printed_table_stands_beside_the_official_one(make_table: MakeTable) -> None:
    table = summary.render(summary.summarise(make_table(), resamples=200), "agent", {"score": 0.2500001})[0]
    cells = [list(column.cells) for column in table.columns]
    assert cells[0][-1] == "score"
    assert cells[1][-1] == "0.2500"
    assert cells[5][-1] == "0.2500"
    assert cells[6][-1] == "-1.0e-07"
    assert cells[5][0] == ""


def test_implausible_scenes_stand_under_the_table_and_in_the_summary(make_table: MakeTable) -> None:
    table = make_table(logs=20, doubts={"frames that are not 0.5 s apart": 7})
    summaries = summary.summarise(table, resamples=100)
    (printed,) = summary.render(summaries, "human")
    assert printed.caption == "7 of these scenes have frames that are not 0.5 s apart"
    assert summary.to_json(table, summaries, {})["split"]["doubts"] == {"frames that are not 0.5 s apart": 7}
    assert summaries["epdms_v2"].score == summary.summarise(make_table(logs=20), resamples=100)["epdms_v2"].score


@pytest.mark.parametrize(("logs", "rough"), [(19, True), (20, False)])
def test_intervals_over_fewer_than_twenty_logs_are_called_rough(make_table: MakeTable, logs: int, rough: bool) -> None:
    (printed,) = summary.render(summary.summarise(make_table(logs=logs), resamples=100), "human")
    assert (printed.caption == f"only {logs} log(s): the intervals over logs are rough") == rough

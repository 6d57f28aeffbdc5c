"""What may be compared, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from navforge.core.errors import DataError
from navforge.evaluation.groups import Planner, align, same_scenes
from navforge.evaluation.tables import ScoreTable

MakeTable = Callable[..., ScoreTable]


def planner(make_table: MakeTable, name: str, *seeds: str, **options: Any) -> Planner:
    tables = tuple(make_table(checkpoint=f"{name}{seed}", trajectories=f"{name}{seed}", **options) for seed in seeds)
    return Planner(name=name, tables=tables)


def test_seeds_and_scenes_stand_in_one_order(make_table: MakeTable) -> None:
    one = planner(make_table, "a", "1", "2")
    shuffled = ScoreTable(one.tables[1].frame.sample(fraction=1.0, shuffle=True, seed=0), one.tables[1].meta)
    aligned = align([Planner(name="a", tables=(one.tables[0], shuffled)), planner(make_table, "b", "1")], "epdms_v2")
    (first, second), logs = aligned.runs("score")
    assert first.values.shape == (2, 12) and second.values.shape == (1, 12)
    assert np.array_equal(first.values[0], first.values[1])
    assert logs.tolist() == ["log0"] * 4 + ["log1"] * 4 + ["log2"] * 4
    assert first.trained and second.one_seed


def test_a_column_counts_where_all_define_it(make_table: MakeTable) -> None:
    one, other = planner(make_table, "a", "1"), planner(make_table, "b", "1")
    empty = pl.when(pl.col("log_name") == "log2").then(None).otherwise(pl.col("two_frame_extended_comfort"))
    frame = other.tables[0].frame.with_columns(empty.alias("two_frame_extended_comfort"))
    aligned = align([one, Planner(name="b", tables=(ScoreTable(frame, other.tables[0].meta),))], "epdms_v2")
    runs, logs = aligned.runs("two_frame_extended_comfort")
    assert runs[0].values.shape == (1, 6)
    assert set(logs.tolist()) == {"log0", "log1"}


def test_agents_without_weights_have_no_seeds(make_table: MakeTable) -> None:
    still = make_table(agent="constant_velocity")
    assert not Planner(name="cv", tables=(still,)).trained
    assert Planner(name="file", tables=(make_table(),)).trained
    assert Planner(name="other", tables=(make_table(agent="package.module:Agent"),)).trained
    with pytest.raises(DataError, match=r"cv: 2 runs of constant_velocity, which has no seeds"):
        align([Planner(name="cv", tables=(still, still))], "epdms_v2")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"logs": 4}, r"different scenes \(12 of split tiny and 16 of tiny, 12 shared; only one has 0000000300000000"),
        ({"traffic": "reactive"}, "different traffic"),
        ({"extended_comfort": False}, "with extended comfort"),
        ({"protocols": ("pdms_v1",)}, r"holds protocol\(s\) pdms_v1, not epdms_v2"),
    ],
)
def test_tables_that_differ_are_refused(make_table: MakeTable, other: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=f"a, b: .*{words}"):
        align([planner(make_table, "a", "1"), planner(make_table, "b", "1", **other)], "epdms_v2")


def test_rules_and_logs_that_differ_are_refused(make_table: MakeTable) -> None:
    one = make_table()
    unfiltered = ScoreTable(one.frame.with_columns(human_filter=pl.lit(False)), one.meta)
    with pytest.raises(DataError, match="human filter"):
        same_scenes((one, unfiltered), "epdms_v2")
    renamed = ScoreTable(one.frame.with_columns(log_name=pl.lit("x")), one.meta)
    with pytest.raises(DataError, match="different logs"):
        same_scenes((one, renamed), "epdms_v2")


def test_a_run_counts_once(make_table: MakeTable) -> None:
    one = planner(make_table, "a", "1", "2")
    again = Planner(name="a", tables=(*one.tables, make_table(checkpoint="a1", trajectories="elsewhere")))
    with pytest.raises(DataError, match=r"a: 3 runs, but a1 is among them more than once"):
        align([again], "epdms_v2")
    with pytest.raises(DataError, match="a and b have a run in common"):
        align([one, Planner(name="b", tables=one.tables[:1])], "epdms_v2")
    blanked = make_table(checkpoint="a1", trajectories="blanked")
    align([one, Planner(name="blanked", tables=(blanked,))], "epdms_v2")


def test_one_plan_per_scene(make_table: MakeTable) -> None:
    one = make_table()
    twice = ScoreTable(pl.concat([one.frame, one.frame.with_columns(index=pl.lit(1, pl.Int32))]), one.meta)
    with pytest.raises(DataError, match="several trajectories"):
        align([Planner(name="a", tables=(twice,))], "epdms_v2")

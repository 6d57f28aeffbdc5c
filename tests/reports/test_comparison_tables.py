"""Tables say what the frame says, and mark only what a verdict carries."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from navforge.evaluation.groups import Planner
from navforge.evaluation.planned import Family, compare_planners, pairs_against, to_frame
from navforge.evaluation.published import SPLIT_HASHES, choose_published
from navforge.reports.comparison_tables import comparison_sections
from navforge.reports.page import SHORT
from navforge.reports.sections import Section, to_latex, to_markdown
from tests.evaluation.made import noisy_planner, small_table


def planners() -> list[Planner]:
    return [noisy_planner("plain", 0.0), noisy_planner("good", 0.15), noisy_planner("same", 0.0)]


def floors() -> list[Planner]:
    stop = small_table(logs=20, scenes_per_log=6, score=lambda log, scene: 0.1 * (scene % 2), agent="stop")
    return [Planner(name="stop", tables=(stop,)), noisy_planner("ego", 0.05, seeds=2)]


def family(*, read_against: bool = True, measured: bool = False) -> Family:
    every = [with_metrics(one) for one in planners()] if measured else planners()
    names = [one.name for one in every]
    return compare_planners(every, "epdms_v2", pairs_against(names, "all"), floors=floors() if read_against else ())


def with_metrics(planner: Planner) -> Planner:
    rng = np.random.default_rng([*planner.name.encode()])
    tables = []
    for table in planner.tables:
        rows = table.of("epdms_v2").select("token", "index", "log_name")
        metrics = rows.with_columns(jerk_rms_mps3=pl.Series(rng.uniform(0.5, 1.5, rows.height)), mine=pl.lit(2.0))
        tables.append(dataclasses.replace(table, metrics=metrics))
    return Planner(name=planner.name, tables=tuple(tables))


def cells(section: Section) -> dict[tuple[str, str], str]:
    """By first column and head."""
    every = [*section.rows, *(row for group in section.below for row in group.rows)]
    return {(row[0], head): cell for row in every for head, cell in zip(section.heads, row, strict=True)}


def test_means_are_those_of_the_frame() -> None:
    found = family()
    frame = to_frame([found])
    shown = cells(comparison_sections([found])[0])
    rows = frame.filter(pl.col("kind").is_in(["planner", "floor"]))
    assert rows.height == 5 * len(found.planners[0].columns)
    for row in rows.to_dicts():
        head = {"score": "score", "score_at_zero": "scenes at 0"}.get(row["column"]) or SHORT[row["column"]]
        assert shown[row["first"], head] == f"{row['value']:.1f}"
        if row["column"] == "score":
            assert shown[row["first"], "95 %"] == f"{row['low']:.1f} .. {row['high']:.1f}"


def test_differences_are_those_of_the_frame() -> None:
    found = family()
    verdicts = comparison_sections([found])[1]
    rows = to_frame([found]).filter((pl.col("kind") == "difference") & (pl.col("column") == "score")).to_dicts()
    assert len(verdicts.rows) == len(rows) == 3
    for cell, row in zip(verdicts.rows, rows, strict=True):
        assert cell[:4] == (row["first"], row["second"], row["verdict"], f"{row['value']:+.2f}")
        assert float(cell[8]) == pytest.approx(row["detectable"], abs=0.005)


def test_better_is_marked_by_verdict_alone() -> None:
    shown = cells(comparison_sections([family()])[0])
    assert shown["good", "better than"] == "plain, same"
    assert shown["plain", "better than"] == shown["same", "better than"] == shown["ego", "better than"] == "-"
    lucky = [noisy_planner("base", 0.0), noisy_planner("lucky", 0.3, seeds=1)]
    one_seed = compare_planners(lucky, "epdms_v2", [("lucky", "base")])
    assert cells(comparison_sections([one_seed])[0])["lucky", "better than"] == "-"


def test_floors_change_no_other_number() -> None:
    alone, beside = to_frame([family(read_against=False)]), to_frame([family()])
    assert beside.filter(pl.col("kind") != "floor").equals(alone)
    assert set(beside.filter(pl.col("kind") == "floor")["first"]) == {"stop", "ego"}
    shown = comparison_sections([family()])[0].below
    assert [(group.title, [row[0] for row in group.rows]) for group in shown] == [("floors", ["stop", "ego"])]


def test_metrics_are_beside_the_score_in_their_own_unit() -> None:
    found = family(measured=True)
    assert found.metric_columns == ("jerk_rms_mps3", "mine")
    section = comparison_sections([found, found])[-1]
    assert [one.title for one in comparison_sections([found, found])].count("Beside the score") == 1
    row = to_frame([found]).filter(
        (pl.col("kind") == "planner") & (pl.col("column") == "jerk_rms_mps3") & (pl.col("first") == "good")
    )
    assert row["unit"].item() == "m/s3"
    assert 0.9 < row["value"].item() < 1.1
    reach = row["high"].item() - row["value"].item()
    # "same" has the largest mean, and the decimals of the row are its
    assert cells(section)["jerk rms, m/s3", "good"] == f"{row['value'].item():.2f} ± {reach:.2f}"
    assert cells(section)["mine", "good"] == "2.00 ± 0.00" and cells(section)["mine", "ego"] == "-"


def test_published_rows_are_marked_and_have_no_interval() -> None:
    facts = {"split": "navtest", "split_hash": SPLIT_HASHES["navtest"]}
    made = [
        Planner(name=name, tables=(small_table(("pdms_v1",), checkpoint=name, trajectories=name, **facts),))
        for name in ("a", "b")
    ]
    rows = choose_published(["LAW", "LTF"], {"pdms_v1": made[0].tables[0].meta})["pdms_v1"]
    found = compare_planners(made, "pdms_v1", [("b", "a")], published=rows)
    section = comparison_sections([found])[0]
    assert [group.title for group in section.below] == ["published"]
    assert cells(section)["LAW, C [2]", "score"] == "84.6" and cells(section)["LAW, C [2]", "95 %"] == "-"
    assert section.note.endswith("Published, not run here: [1] NAVSIM, arXiv 2406.15349; [2] LAW")
    frame = to_frame([found]).filter(pl.col("kind") == "published")
    assert frame.filter(pl.col("column") == "score").select("first", "value", "source").rows() == [
        ("LTF, R34, C", 83.8, "NAVSIM, arXiv 2406.15349"),
        ("LAW, C", 84.6, "LAW"),
    ]
    assert frame["low"].null_count() == frame["seeds_first"].null_count() == frame.height
    for text in (to_markdown([section]), to_latex([section])):
        assert "published" in text
    assert r"\multicolumn{15}{l}{\emph{published}}" in to_latex([section])

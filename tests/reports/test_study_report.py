"""The report of a study: whole cells only, figures of the tables' numbers, the same bytes, silent in a browser."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import polars as pl
import pytest
from matplotlib.figure import Figure

from navforge.cli import study_report
from navforge.cli.keys.study_report import Config
from navforge.core.errors import DataError
from navforge.evaluation import label_efficiency as labels
from navforge.evaluation.groups import Planner
from navforge.evaluation.label_efficiency import label_efficiency
from navforge.evaluation.planned import compare_planners, to_frame
from navforge.record.record import read_record
from navforge.reports.costs import cost_frame
from navforge.reports.figures import comparisons as figures
from navforge.reports.figures.style import series
from navforge.reports.study_report import write_study_report
from navforge.studies.results import StudyResults
from tests.evaluation.made import noisy_planner
from tests.reports.browser import CHROMIUM, open_page
from tests.reports.made_study import LABELS, finish, study, with_labels


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResults, Path]:
    folder = tmp_path_factory.mktemp("study")
    results = study(folder / "results")
    write_study_report(results, read_record(folder / "results"), folder / "report")
    return results, folder / "report"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    results = study(folder / "results", absent="scratch, 25")
    write_study_report(results, read_record(folder / "results"), folder / "report")
    return folder / "report"


def test_page_and_files_have_the_numbers_of_the_frame(written: tuple[StudyResults, Path]) -> None:
    results, out = written
    frame = pl.read_parquet(out / "comparison.parquet")
    assert frame.equals(
        to_frame(
            [
                compare_planners(
                    results.planners("test"),
                    "epdms_v2",
                    results.pairs("test"),
                    floors=results.floor_planners("test"),
                )
            ]
        )
    )
    page = (out / "index.html").read_text()
    for row in frame.filter((pl.col("kind") == "difference") & (pl.col("column") == "score")).to_dicts():
        text = f"{row['value']:+.2f}"
        assert f">{text}</td>" in page, "in the table"
        assert f"{text} [{row['low']:+.2f}, {row['high']:+.2f}]  {row['verdict']}" in page, "in the figure"
    assert {path.suffix for path in (out / "figures").iterdir()} == {".pdf", ".svg", ".png"}
    kinds = {path.stem for path in (out / "figures").iterdir()}
    assert kinds == {
        *(f"test-epdms_v2-{kind}" for kind in ("comparisons", "labels", "sub-scores", "cost")),
        "test-smoothness",
    }


def test_the_same_bytes_again(written: tuple[StudyResults, Path], tmp_path: Path) -> None:
    results, out = written
    write_study_report(results, read_record(out.parent / "results"), tmp_path / "again")
    for path in (path for path in out.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / path.relative_to(out)).read_bytes() == path.read_bytes(), path.name


def test_a_cell_that_is_not_whole_is_named_and_in_no_number(damaged: Path) -> None:
    page = (damaged / "index.html").read_text()
    assert "<b>scratch, 25</b>: evaluation of seed 2 on test: run failed (disk_full)" in page
    assert "Without scratch, 25." in page and "a family of 3, 1 of them not run yet" in page
    frame = pl.read_parquet(damaged / "comparison.parquet")
    assert "scratch, 25" not in {*frame["first"], *frame["second"]}
    assert frame.filter((pl.col("kind") == "difference") & (pl.col("column") == "score")).height == 2


def test_the_page_says_how_every_run_was_made(written: tuple[StudyResults, Path]) -> None:
    results, out = written
    page = (out / "index.html").read_text()
    made = page[page.index('id="record"') :]
    for cell in results.cells:
        for run in cell.runs:
            assert f">{run.name}</td>" in made and f"<summary>runs/{run.name} (" in made
    assert (out / "runs.csv").read_text().count("\n") == 19 and "# Record" in (out / "record.md").read_text()


def test_no_cell_is_whole(tmp_path: Path) -> None:
    results = study(tmp_path / "results")
    empty = tuple(
        dataclasses.replace(cell, evaluations={}, missing=("its runs have not started",)) for cell in results.cells
    )
    write_study_report(dataclasses.replace(results, cells=empty), read_record(tmp_path / "results"), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "No cell is whole on this split." in page and page.count("its runs have not started") == 6
    assert not (tmp_path / "out" / "comparison.md").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_opens_in_a_browser(written: tuple[StudyResults, Path], tmp_path: Path, width: int) -> None:
    found = open_page((written[1] / "index.html").read_text(), tmp_path, width)
    assert "failed" not in found and found["requests"] == "0"
    assert int(found["wide"]) <= 0, "the page scrolls sideways"


def curves() -> dict[str, list[Planner]]:
    gains = {"scratch": (0.0, 0.06, 0.15), "frozen": (0.09, 0.13, 0.16)}
    return {
        name: [
            Planner(name=f"{name} {level}", tables=tuple(with_labels(table, level) for table in one.tables))
            for level, gain in zip(LABELS, each, strict=True)
            for one in [noisy_planner(f"{name} {level}", gain)]
        ]
        for name, each in gains.items()
    }


def test_label_efficiency() -> None:
    found = label_efficiency({name: one[::-1] for name, one in curves().items()}, "epdms_v2")
    scratch, frozen = found.curves
    assert scratch.labels == frozen.labels == (60, 150, 600), "all labels are the whole split's scenes"
    assert scratch.needed.target == pytest.approx(scratch.points[-1].value)
    assert scratch.needed.labels == pytest.approx(600) and frozen.needed.labels is not None
    assert 150 < frozen.needed.labels < 600
    difference = found.differences[0]
    assert difference.estimate.value == pytest.approx(scratch.area.value - frozen.area.value)
    assert difference.verdict.value == "worse"
    frame = labels.to_frame([found])
    points = frame.filter((pl.col("kind") == "point") & (pl.col("first") == "frozen"))
    assert points["value"].to_list() == [point.value for point in frozen.points]
    drawn = [line.get_ydata() for line in figures.label_curves(frame).axes[0].get_lines()]
    assert list(drawn[1]) == points["value"].to_list()


def test_planners_without_label_subsets_have_no_curve() -> None:
    with pytest.raises(DataError, match=r"a, b: no learning curve; planners that learned from different subsets"):
        label_efficiency({"c": [noisy_planner("a", 0.0), noisy_planner("b", 0.1)]}, "epdms_v2")


def test_costs_are_means_of_whole_planners(tmp_path: Path) -> None:
    for name, hours in (("a", 1.0), ("b", 2.0)):
        finish(tmp_path / name, seconds=3600 * hours, gpus=4)
    (tmp_path / "c").mkdir()
    frame = cost_frame({"both": [tmp_path / "a", tmp_path / "b"], "half": [tmp_path / "a", tmp_path / "c"]})
    assert frame.select("hours", "gpu_hours", "epochs_to_90").rows() == [(1.5, 6.0, 4.0), (None, None, None)]
    assert frame["score_gap"][0] == pytest.approx(5.0)


def test_figures_are_drawn_of_what_there_is() -> None:
    one = compare_planners([noisy_planner("a", 0.0), noisy_planner("b", 0.2)], "epdms_v2", [("b", "a")])
    frame = to_frame([one])
    assert figures.smoothness(frame) is None, "nothing was measured beside the score"
    assert figures.score_against_cost(frame, cost_frame({})) is None
    forest = figures.forest(frame)
    assert isinstance(forest, Figure)
    texts = [text.get_text() for text in forest.axes[0].texts]
    assert re.fullmatch(r"\+\d+\.\d+ \[.*\]  better", texts[0])


def test_the_verb_prints_the_tables_and_names_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = study(tmp_path / "results", absent="frozen, 25")
    study_report.report(results, tmp_path / "results", tmp_path / "out", Config(study=Path("labels.yaml")))
    printed = capsys.readouterr().out
    assert "missing, and not averaged over: evaluation of seed 2 on test" in printed
    assert "Label efficiency under epdms_v2" in printed and str(tmp_path / "out" / "index.html") in printed
    assert (tmp_path / "out" / "comparison.tex").is_file() and (tmp_path / "out" / "report.config.yaml").is_file()
    none = dataclasses.replace(results, cells=())
    with pytest.raises(DataError, match="no cell has all its seeds on any split yet"):
        study_report.report(none, tmp_path / "results", tmp_path / "none", Config(study=Path("labels.yaml")))


def test_no_two_series_look_alike() -> None:
    shown = {series(number)[:2] for number in range(49)}
    assert len(shown) == 49

"""What reports read of a study: a cell with a missing seed is listed and never averaged over."""

from __future__ import annotations

from pathlib import Path

from navforge.evaluation import tables
from navforge.evaluation.folder import SCORES
from navforge.studies.results import Cell, Comparison, StudyResults
from tests.evaluation.made import noisy_planner


def cell(root: Path, name: str, *, seeds: int) -> Cell:
    planner = noisy_planner(name, 0.0, seeds=2)
    folders = tuple(root / name / str(seed) for seed in range(seeds))
    for folder, table in zip(folders, planner.tables, strict=False):
        tables.write(folder / SCORES, table)
    whole = seeds == 2
    return Cell(
        name=name,
        levels={"head": name},
        seeds=(0, 1),
        runs=(Path("a"), Path("b")),
        evaluations={"test": folders} if whole else {},
        missing=() if whole else ("seed 1: no run",),
    )


def test_planners_and_pairs_are_of_whole_cells(tmp_path: Path) -> None:
    cells = (cell(tmp_path, "mlp", seeds=2), cell(tmp_path, "gru", seeds=1), cell(tmp_path, "queries", seeds=2))
    tables.write(tmp_path / "still" / SCORES, noisy_planner("still", 0.0, seeds=1).tables[0])
    results = StudyResults(
        name="heads",
        question="Which head?",
        factors={"head": ("mlp", "gru", "queries")},
        cells=cells,
        comparisons=tuple(
            Comparison(name=f"{first} - mlp", first=first, second="mlp", factor="head") for first in ("gru", "queries")
        ),
        floors={"still": {"test": tmp_path / "still"}},
        splits=("test", "city"),
    )
    assert [(one.name, len(one.tables)) for one in results.planners("test")] == [("mlp", 2), ("queries", 2)]
    assert [(one.name, len(one.tables)) for one in results.floor_planners("test")] == [("still", 1)]
    assert results.pairs("test") == [("queries", "mlp")]
    assert (results.planners("city"), results.pairs("city")) == ([], [])

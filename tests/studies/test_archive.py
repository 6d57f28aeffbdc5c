"""An archive of a study gives the same results elsewhere, has no weights, and writes nowhere else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.evaluation import tables
from navforge.evaluation.folder import SCORES
from navforge.evaluation.planned import compare_planners, to_frame
from navforge.studies.archive import RESULTS, open_archive, write_archive
from navforge.studies.results import Cell, Comparison, StudyResults
from tests.evaluation.made import noisy_planner


def results_in(root: Path) -> StudyResults:
    """Two cells with three seeds, equal planners, and weights beside them."""
    cells = []
    for name in ("one", "another"):
        folders = tuple(root / "evaluations" / name / str(seed) for seed in range(3))
        for folder, table in zip(folders, noisy_planner(name, 0.0, seeds=3).tables, strict=True):
            tables.write(folder / SCORES, table)
        run = root / "runs" / name
        run.mkdir(parents=True)
        (run / "run.json").write_text("{}")
        (run / "best.ckpt").write_bytes(b"weights")
        cells.append(
            Cell(
                name=name,
                levels={"name": name},
                seeds=(0, 1, 2),
                runs=(run,) * 3,
                evaluations={"test": folders},
                missing=("seed 3: no memory",),
            )
        )
    return StudyResults(
        name="null",
        question="Is a planner better than itself?",
        factors={"name": ("one", "another")},
        cells=tuple(cells),
        comparisons=(Comparison(name="one - another", first="one", second="another", factor="name"),),
        floors={"floor": {"test": cells[0].evaluations["test"][0]}},
        splits=("test",),
    )


def numbers(found: StudyResults) -> str:
    return to_frame([compare_planners(found.planners("test"), "epdms_v2", found.pairs("test"))]).write_csv()


def test_the_same_numbers_elsewhere_and_no_weights(tmp_path: Path) -> None:
    here = tmp_path / "here"
    found = results_in(here)
    (tmp_path / "study.yaml").write_text("name: null\n")
    archive = tmp_path / "study.zip"
    write_archive(archive, found, [here], tmp_path / "study.yaml")
    before, content = numbers(found), archive.read_bytes()
    write_archive(archive, found, [here], tmp_path / "study.yaml")
    assert archive.read_bytes() == content
    names = zipfile.ZipFile(archive).namelist()
    assert "runs/one/run.json" in names and not [name for name in names if name.endswith(".ckpt")]
    there = tmp_path / "there"
    opened = open_archive(archive, there)
    assert numbers(opened) == before
    assert "not shown" in before
    assert opened.cells[0].missing == ("seed 3: no memory",)
    assert opened.floors["floor"]["test"].is_relative_to(there)


def test_what_was_taken_over_from_an_earlier_study_is_in_the_archive(tmp_path: Path) -> None:
    here, earlier = tmp_path / "here", tmp_path / "earlier"
    found = results_in(earlier)
    here.mkdir()
    (tmp_path / "study.yaml").write_text("name: null\n")
    write_archive(tmp_path / "study.zip", found, [here, earlier], tmp_path / "study.yaml")
    assert numbers(open_archive(tmp_path / "study.zip", tmp_path / "there")) == numbers(found)


def test_what_is_no_archive_of_a_study_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("../outside", "x")
        archive.writestr(RESULTS, "{}")
    with pytest.raises(DataError, match="outside"):
        open_archive(other, tmp_path / "a")
    assert not (tmp_path / "outside").exists()
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError, match="not an archive of a study"):
        open_archive(tmp_path / "text.zip", tmp_path / "b")

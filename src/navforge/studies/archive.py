"""A study in one file that another person can re-analyse: results, scores of every scene, configs; no weights.

RESULTS               the study's results with paths inside the archive
evaluations/, runs/, stages/   of each the files in `KEPT`, where they lie in the folder of the study
study.yaml            the study file
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from navforge.core.errors import DataError
from navforge.core.files import atomic_path
from navforge.core.outside.text import parse_json
from navforge.evaluation.folder import FAILURES, METRICS, RESULT, SCORES
from navforge.studies.results import Cell, Comparison, StudyResults

SUFFIX = ".zip"
RESULTS, STUDY = "results.json", "study.yaml"
KEPT = (
    *("*.config.yaml", "*.provenance.json", SCORES, METRICS, RESULT, FAILURES),
    *("run.json", "facts.json", "labels.json", "epochs.csv", "finished.json", "environment.json", "attempts.jsonl"),
    *("exits.jsonl", "requests.jsonl", "status/*.json", "failures/*.json", "code/changes.diff"),
)
"""Files of evaluations, runs and stages."""
_FORMAT = 1
_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every member, so that equal studies are equal archives."""


def write_archive(path: Path, results: StudyResults, roots: Sequence[Path], study_file: Path) -> int:
    """Write the archive; return the number of files in it.

    Args:
        path: to write.
        results: of the study.
        roots: folder of the study, and those of studies that it takes from.
        study_file: that it was read from.
    """
    members = {RESULTS: json.dumps(to_plain(results, roots), indent=2).encode(), STUDY: study_file.read_bytes()}
    for folder in (*_folders(results), *(stage for root in roots for stage in root.glob("stages/*"))):
        for file in (file for pattern in KEPT for file in folder.glob(pattern)):
            members[_below(file, roots).as_posix()] = file.read_bytes()
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    return len(members)


def open_archive(path: Path, folder: Path) -> StudyResults:
    """Unpack an archive into an empty folder and read the results.

    Raises:
        DataError: not an archive of a study, or a member that would lie elsewhere.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise DataError(f"{path} is not an archive of a study: it holds {name!r}")
            archive.extractall(folder)
        values = parse_json((folder / RESULTS).read_text())
        if values["format"] != _FORMAT:
            raise DataError(f"{path} has format {values['format']}, this version reads {_FORMAT}")
        return from_plain(values, folder)
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not an archive of a study: {error}; navforge study export writes one") from error


def to_plain(results: StudyResults, roots: Sequence[Path]) -> dict[str, Any]:
    """Results as JSON has them, paths below the folders of studies."""
    plain = json.loads(json.dumps(asdict(_moved(results, lambda path: _below(path, roots))), default=str))
    return {"format": _FORMAT, **plain}


def from_plain(values: dict[str, Any], root: Path) -> StudyResults:
    """Inverse of `to_plain`; paths are absolute again."""
    cells = [
        Cell(
            name=one["name"],
            levels=one["levels"],
            seeds=tuple(one["seeds"]),
            runs=tuple(map(Path, one["runs"])),
            evaluations={split: tuple(map(Path, paths)) for split, paths in one["evaluations"].items()},
            missing=tuple(one["missing"]),
        )
        for one in values["cells"]
    ]
    found = StudyResults(
        name=values["name"],
        question=values["question"],
        factors={name: tuple(levels) for name, levels in values["factors"].items()},
        cells=tuple(cells),
        comparisons=tuple(Comparison(**one) for one in values["comparisons"]),
        floors={name: {split: Path(path) for split, path in paths.items()} for name, paths in values["floors"].items()},
        splits=tuple(values["splits"]),
    )
    return _moved(found, lambda path: root / path)


def _moved(results: StudyResults, move: Callable[[Path], Path]) -> StudyResults:
    """The results with every path changed."""
    cells = tuple(
        replace(
            cell,
            runs=tuple(map(move, cell.runs)),
            evaluations={split: tuple(map(move, paths)) for split, paths in cell.evaluations.items()},
        )
        for cell in results.cells
    )
    floors = {name: {split: move(path) for split, path in paths.items()} for name, paths in results.floors.items()}
    return replace(results, cells=cells, floors=floors)


def _below(path: Path, roots: Sequence[Path]) -> Path:
    """The path below the folder that it lies in."""
    return next(path.relative_to(root) for root in roots if path.is_relative_to(root))


def _folders(results: StudyResults) -> Iterator[Path]:
    for cell in results.cells:
        yield from cell.runs
        for paths in cell.evaluations.values():
            yield from paths
    for by_split in results.floors.values():
        yield from by_split.values()

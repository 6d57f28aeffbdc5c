"""All runs and evaluations below a folder, those that failed, wait or are damaged among them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from navforge.core.errors import DataError
from navforge.core.products import MARKERS
from navforge.evaluation.folder import FAILURES, RESULT, SCORES
from navforge.jobs.table import slurm_answer
from navforge.jobs.view import RunView, read_run
from navforge.record.evaluations import CONFIG, RecordedEvaluation, match, read_recorded_evaluation
from navforge.record.runs import RecordedRun, not_started, read_recorded_run
from navforge.record.siblings import differences
from navforge.runs.folder import RunFolder

DEPTH = 6
"""Levels below the root in which runs and evaluations are looked for."""
_PARTS = ("code", "checkpoints", "logs", "status", "failures", "tensorboard", "encoder")
"""Folders of a run in which no evaluation lies."""
_EVALUATION = {CONFIG, RESULT, SCORES, FAILURES}


@dataclass(frozen=True, kw_only=True)
class Record:
    """What lies below a folder, by name."""

    root: Path
    runs: tuple[RecordedRun, ...]
    evaluations: tuple[RecordedEvaluation, ...]
    notes: tuple[str, ...] = ()
    """What could not be asked."""
    differences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By run: keys and values in which it differs from its siblings, the runs of the same folder."""

    def evaluations_of(self, run: RecordedRun) -> tuple[RecordedEvaluation, ...]:
        """Those that name a checkpoint of a run."""
        return tuple(one for one in self.evaluations if one.run == run.name)


def read_record(root: Path, planned: Mapping[Path, str] | None = None) -> Record:
    """The record of a folder.

    Args:
        root: that runs and evaluations lie in, up to `DEPTH` levels deep.
        planned: names of run folders that should be there, such as those of a study, or lie elsewhere.

    Raises:
        DataError: the root is not a folder.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the folder your runs lie in: navforge record root=FOLDER")
    root = root.absolute()
    folders, scored = _find(root)
    answer = slurm_answer([view for folder in folders if (view := _view(folder)) is not None])
    runs = [read_recorded_run(folder, _name(folder.path, root), answer.jobs) for folder in folders]
    present = {folder.path.resolve() for folder in folders}
    for path, name in (planned or {}).items():
        if path.resolve() not in present:
            folder = RunFolder(path)
            is_there = folder.record_file.is_file() or folder.config.is_file()
            runs.append(read_recorded_run(folder, name, answer.jobs) if is_there else not_started(folder, name))
    evaluations = [read_recorded_evaluation(path, _name(path, root)) for path in scored]
    apart = {
        run.name: _apart(own)
        for group in by_folder(runs).values()
        for run, own in zip(group, differences([_comparable(run) for run in group]), strict=True)
    }
    return Record(
        root=root,
        runs=tuple(runs),
        evaluations=match(evaluations, runs),
        notes=(answer.note,) if answer.note else (),
        differences=apart,
    )


def by_folder(runs: Iterable[RecordedRun]) -> dict[Path, list[RecordedRun]]:
    """Siblings: runs by the folder they lie in."""
    found: dict[Path, list[RecordedRun]] = {}
    for run in runs:
        found.setdefault(run.folder.path.parent, []).append(run)
    return found


def _find(root: Path) -> tuple[list[RunFolder], list[Path]]:
    """Run folders and folders of evaluations, by path; other products are not searched."""
    runs, evaluations = [], []
    for path, names, files in os.walk(root):
        folder, held = Path(path), set(files)
        run = RunFolder(folder)
        depth = len(folder.relative_to(root).parts)
        names[:] = sorted(name for name in names if not name.startswith(".") and depth < DEPTH)
        if held & {run.record_file.name, run.config.name}:
            runs.append(run)
            names[:] = [name for name in names if name not in _PARTS]
        elif held & _EVALUATION:
            evaluations.append(folder)
        elif held & MARKERS.keys():
            names.clear()
    return sorted(runs, key=lambda run: run.path), sorted(evaluations)


def _view(folder: RunFolder) -> RunView | None:
    try:
        return read_run(folder)
    except DataError:
        return None  # the record names it


def _name(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()


def _comparable(run: RecordedRun) -> dict[str, str]:
    """What tells a run apart from another one: keys, then the data and the code behind them."""
    data = {f"fingerprint of {name}": value for name, value in run.fingerprints.items()}
    commit = run.git.get("commit")
    return {**run.decisive, **data, **({} if commit is None else {"commit": str(commit)})}


def _apart(own: Mapping[str, str]) -> dict[str, str]:
    """Differences without the scenes of a split that another key has chosen."""
    chosen = any(name == "split" or name.startswith("labels.") for name in own)
    return {name: value for name, value in own.items() if not (chosen and name == "fingerprint of split")}

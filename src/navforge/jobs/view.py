"""Everything a run folder says at one moment, read once: what tables, logs and diagnoses are made of."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from navforge.core.errors import DataError
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder, RunRecord
from navforge.runs.processes import Supervisor, parse_local_job
from navforge.runs.requests import Request
from navforge.runs.status import Attempt, Failure, RankStatus, RecordT, read, read_lines
from navforge.runs.training_record import TrainingRecord, read_training_record

SEARCH_DEPTH = 3
"""Levels of folders below the root in which runs are looked for."""
START_SPREAD_S = 60.0
"""Ranks of one start begin within this time."""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """What a run folder held when it was read; heartbeats, failures and ends are those of the last start."""

    folder: RunFolder
    record: RunRecord
    statuses: dict[int, RankStatus]
    """Last heartbeat of each rank, by rank."""
    failures: tuple[Failure, ...]
    """Oldest first."""
    attempts: tuple[Attempt, ...]
    """Every start there ever was."""
    exits: tuple[RankExit, ...]
    """Oldest first; local runs only."""
    requests: tuple[Request, ...]
    """What people asked of this start, oldest first."""
    finished: bool
    training: TrainingRecord | None = None
    """What the training came to, once it is finished."""
    damaged: tuple[str, ...] = ()
    """What could not be read, and why."""

    @property
    def lead(self) -> RankStatus | None:
        """Heartbeat that speaks for the run: of its lowest rank."""
        return next(iter(self.statuses.values()), None)

    @property
    def last_seen(self) -> float | None:
        """When a rank last wrote a heartbeat, s since 1970."""
        return max((beat.time for beat in self.statuses.values()), default=None)

    @property
    def job(self) -> str | None:
        """The last job that ran or will run this folder."""
        return self.record.jobs[-1] if self.record.jobs else None

    @property
    def supervisor(self) -> Supervisor | None:
        """The process that watched over the last start of a local run."""
        try:
            return parse_local_job(self.job or "") if self.record.launch == "local" else None
        except DataError:
            return None

    @property
    def slurm_job(self) -> str | None:
        """The last job of Slurm that ran, or will run, this folder: its own, or one that its supervisor was part of."""
        if self.record.launch == "slurm":
            return self.job
        return None if self.supervisor is None else self.supervisor.slurm_job

    @property
    def missing(self) -> tuple[int, ...]:
        """Ranks without a heartbeat."""
        return tuple(rank for rank in range(self.record.world_size) if rank not in self.statuses)

    def since(self, start: float) -> RunView:
        """The view without what was written before a time."""
        return replace(
            self,
            statuses={rank: beat for rank, beat in self.statuses.items() if beat.time >= start},
            failures=tuple(failure for failure in self.failures if failure.time >= start),
            exits=tuple(end for end in self.exits if end.time >= start),
            requests=tuple(request for request in self.requests if request.time >= start),
        )


def find_runs(root: Path, depth: int = SEARCH_DEPTH) -> list[RunFolder]:
    """Run folders at and below a folder, by path; what lies inside a run is not searched.

    Raises:
        DataError: the root is not a folder.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the folder your runs lie in: navforge jobs root=FOLDER")
    folders: list[RunFolder] = []
    level = [root]
    for _ in range(depth + 1):
        below: list[Path] = []
        for path in level:
            if RunFolder(path).record_file.is_file():
                folders.append(RunFolder(path))
            else:
                below += _folders(path)
        level = below
    return sorted(folders, key=lambda folder: folder.path)


def read_run(folder: RunFolder) -> RunView:
    """Read a run folder; heartbeats and failures that are damaged are named, the rest is used.

    Raises:
        DataError: no run folder, or its record is damaged.
    """
    record = folder.read_record()
    damaged: list[str] = []
    beats = {beat.rank: beat for beat in _records(folder.path / "status", RankStatus, damaged)}
    failures = _records(folder.path / "failures", Failure, damaged)
    view = RunView(
        folder=folder,
        record=record,
        statuses=dict(sorted(beats.items())),
        failures=tuple(sorted(failures, key=lambda failure: failure.time)),
        attempts=tuple(_lines(folder.attempts, Attempt, damaged)),
        exits=tuple(sorted(_lines(folder.exits, RankExit, damaged), key=lambda end: end.time)),
        requests=tuple(_lines(folder.requests, Request, damaged)),
        finished=folder.finished.is_file(),
        training=_training(folder, damaged),
        damaged=tuple(damaged),
    )
    return last_start(view)


def _training(folder: RunFolder, damaged: list[str]) -> TrainingRecord | None:
    try:
        return read_training_record(folder)
    except DataError as error:
        damaged.append(str(error))
        return None


def last_start(view: RunView) -> RunView:
    """The view without heartbeats, failures and ends of earlier starts.

    Starts are told apart by their job and by time; for local runs the supervisor's start is known to the second.
    """
    newest = max(view.statuses.values(), key=lambda beat: beat.started, default=None)
    if view.record.launch == "local":
        began = 0.0 if view.supervisor is None else float(view.supervisor.started)
    elif newest is not None and newest.job != view.job:
        return replace(
            view, statuses={}, failures=(), exits=(), requests=()
        )  # the last job has not written anything yet
    else:
        began = 0.0
    view = view.since(began)
    if newest is None or newest.time < began:
        return view
    same = {
        rank: beat
        for rank, beat in view.statuses.items()
        if beat.job == newest.job and beat.time >= newest.started - START_SPREAD_S
    }
    first = min(beat.started for beat in same.values())
    return replace(view.since(min(first, newest.started)), statuses=same)


def _lines(path: Path, kind: type[RecordT], damaged: list[str]) -> list[RecordT]:
    try:
        return read_lines(path, kind)
    except DataError as error:
        damaged.append(str(error))
        return []


def _records(folder: Path, kind: type[RecordT], damaged: list[str]) -> list[RecordT]:
    records = []
    for path in sorted(folder.glob("rank-*.json")):
        try:
            record = read(path, kind)
        except DataError as error:
            damaged.append(str(error))
            continue
        if record is not None:
            records.append(record)
    return records


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except PermissionError:
        return []  # another user's folder holds no run of ours

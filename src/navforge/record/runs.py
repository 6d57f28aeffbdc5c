"""One run as its folder tells of it: what it is, how far it came, why it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from navforge.core.errors import NavforgeError
from navforge.core.files import file_fingerprint, fingerprint, fingerprint_of
from navforge.jobs.cluster import SlurmJob
from navforge.jobs.diagnose import diagnose
from navforge.jobs.diagnosis import Diagnosis
from navforge.jobs.evidence import COMMAND_FILE, gather
from navforge.jobs.state import state_of
from navforge.jobs.view import RunView, read_run
from navforge.record.provenance import Origin, read_facts, read_origin
from navforge.runs.folder import BEST, RunFolder
from navforge.training.config import FREE

DAMAGED, NOT_STARTED = "damaged", "not started"
"""States beside those of `jobs.state`."""
READ = (
    *("cache", "vocabulary", "teacher", "val_teacher", "val_cache", "store", "features", "align.features"),
    "planner.encoder.weights",
)
"""Keys that name files and folders which a run reads."""
_PLACES = ("out", *READ, *(f"train.{name}" for name in FREE))
"""Keys that do not decide what is learned; data folders neither."""
IDENTIFIER_DIGITS = 10


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run."""

    identifier: str
    """From its config and the time it was created: the same wherever its folder lies. Empty where nothing is there."""
    name: str
    """Its folder, below the root of the record."""
    folder: RunFolder
    state: str
    """One of `jobs.state.STATES`, `damaged` or `not started`."""
    note: str = ""
    """Why, where the state does not tell."""
    origin: Origin
    view: RunView | None = None
    """None where its record cannot be read."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of the run, as its checkpoints carry them; empty before it started."""
    finished: Mapping[str, Any] = field(default_factory=dict)
    """`finished.json`; empty where it has not finished."""
    diagnosis: Diagnosis | None = None
    """Why it ended; None of a run that finished or goes on."""
    weights: str | None = None
    """Fingerprint of its best checkpoint; None where that is not here."""
    unreadable: tuple[str, ...] = ()
    """What of it could not be read, and why."""

    @property
    def decisive(self) -> dict[str, str]:
        """Keys that decide what is learned."""
        return decisive(self.origin.keys)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of what it read, by key."""
        found = self.facts.get("fingerprints")
        return {name: str(value) for name, value in found.items() if value} if isinstance(found, dict) else {}

    @property
    def git(self) -> dict[str, Any]:
        """Of the code that ran; empty where that is not recorded."""
        state = self.origin.facts.get("git")
        return state if isinstance(state, dict) and "commit" in state else {}


def decisive(keys: Mapping[str, str]) -> dict[str, str]:
    """The keys of a run that decide what is learned."""
    return {name: value for name, value in keys.items() if name not in _PLACES and not name.startswith("data.")}


def read_recorded_run(folder: RunFolder, name: str, jobs: Mapping[str, SlurmJob]) -> RecordedRun:
    """Everything that a run folder says; what is damaged is named, never raised.

    Args:
        folder: of the run.
        name: in the record.
        jobs: what Slurm says, by job.
    """
    origin = read_origin(folder.path, folder.config.name, COMMAND_FILE, "train.provenance.json")
    problems = list(origin.unreadable)
    facts = read_facts(folder.path / "facts.json", problems)
    finished = read_facts(folder.finished, problems)
    ran = read_facts(folder.path / "train.provenance.json", problems)
    try:
        view = read_run(folder)
    except NavforgeError as error:
        view, state, note = None, DAMAGED, str(error)
    else:
        problems += [problem for problem in view.damaged if problem not in problems]
        found = state_of(view, jobs.get(view.job or ""))
        state, note = found.name, found.note
    ended = view is not None and state not in ("finished", "queued", "starting", "training", "validating")
    diagnosis = _diagnosis(folder, problems) if ended else None
    if diagnosis is not None and diagnosis.cause == "not_started":
        state, note = NOT_STARTED, "prepared"
    best = folder.checkpoints / BEST
    return RecordedRun(
        identifier=_identifier(folder, origin, view),
        name=name,
        folder=folder,
        state=state,
        note=note,
        # Ranks tell of the code that ran; the command is that of the person who started them.
        origin=_with_code(origin, ran),
        view=view,
        facts=facts,
        finished=finished,
        diagnosis=diagnosis,
        weights=file_fingerprint(best) if best.is_file() else None,
        unreadable=tuple(problems),
    )


def not_started(folder: RunFolder, name: str) -> RecordedRun:
    """A run that is planned, and of which nothing is there."""
    return RecordedRun(
        identifier="",
        name=name,
        folder=folder,
        state=NOT_STARTED,
        note="no folder",
        origin=Origin(folder=folder.path),
    )


def _with_code(origin: Origin, ran: Mapping[str, Any]) -> Origin:
    code = {name: ran[name] for name in ("navforge", "python", "libraries", "git") if name in ran}
    return Origin(folder=origin.folder, keys=origin.keys, facts={**origin.facts, **code}, unreadable=origin.unreadable)


def _identifier(folder: RunFolder, origin: Origin, view: RunView | None) -> str:
    if view is not None and origin.keys:
        mark = fingerprint(json.dumps([decisive(origin.keys), view.record.created], sort_keys=True))
    else:  # as it lies there
        files = (path for path in (folder.record_file, folder.config) if path.is_file())
        mark = fingerprint_of(b"".join(map(Path.read_bytes, files)))
    return mark[:IDENTIFIER_DIGITS]


def _diagnosis(folder: RunFolder, problems: list[str]) -> Diagnosis | None:
    try:
        return diagnose(gather(folder))
    except (NavforgeError, OSError) as error:
        problems.append(f"not diagnosed: {error}")
        return None

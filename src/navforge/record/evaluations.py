"""One evaluation as its folder tells of it, and the run whose checkpoint it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from navforge.core.errors import DataError
from navforge.core.files import file_fingerprint, fingerprint, fingerprint_of
from navforge.evaluation import tables
from navforge.evaluation.folder import FAILURES, RESULT, SCORES
from navforge.evaluation.tables import ScoreTable, TableMeta
from navforge.record.provenance import Origin, read_origin
from navforge.record.runs import DAMAGED, IDENTIFIER_DIGITS, RecordedRun
from navforge.statistics.intervals import Interval, over_clusters

CONFIG, PROVENANCE = "evaluate.config.yaml", "evaluate.provenance.json"
DONE, FAILED, UNFINISHED = "done", "failed", "not finished"


@dataclass(frozen=True, kw_only=True)
class Score:
    """Mean score of one protocol."""

    protocol: str
    human_filter: bool
    interval: Interval
    """Over logs, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class RecordedEvaluation:
    """An evaluation."""

    identifier: str
    """From what was scored: the same wherever its folder lies."""
    name: str
    """Its folder, below the root of the record."""
    folder: Path
    state: str
    """`done`, `failed`, `not finished` or `damaged`."""
    note: str = ""
    origin: Origin
    meta: TableMeta | None = None
    """None but of one that is done."""
    scores: tuple[Score, ...] = ()
    run: str | None = None
    """Name of the run whose checkpoint it names; None where that is not of this record."""

    @property
    def agent(self) -> str | None:
        """Who planned."""
        return self.meta.agent if self.meta is not None else self.origin.keys.get("agent")


def read_recorded_evaluation(folder: Path, name: str) -> RecordedEvaluation:
    """Everything that an evaluation's folder says; what is damaged is named, never raised."""
    origin = read_origin(folder, CONFIG, PROVENANCE)
    files = (path for path in (folder / CONFIG, folder / FAILURES) if path.is_file())
    mark = fingerprint_of(b"".join(map(Path.read_bytes, files)))[:IDENTIFIER_DIGITS]
    without = RecordedEvaluation(identifier=mark, name=name, folder=folder, state=UNFINISHED, origin=origin)
    if (folder / FAILURES).is_file():
        return replace(without, state=FAILED, note=f"scenes failed, see {FAILURES}")
    if not (folder / RESULT).is_file():
        return replace(without, note="the same command goes on")
    try:
        table = tables.read(folder / SCORES)
        scores = tuple(_score(table, protocol) for protocol in table.meta.protocols)
    except DataError as error:
        return replace(without, state=DAMAGED, note=str(error))
    meta = table.meta
    what = (meta.checkpoint, meta.agent, meta.trajectories, meta.cache, meta.split_hash, list(meta.protocols))
    mark = fingerprint(*what, meta.traffic, meta.human_filter)[:IDENTIFIER_DIGITS]
    return replace(without, identifier=mark, state=DONE, meta=meta, scores=scores)


def _score(table: ScoreTable, protocol: str) -> Score:
    rows = table.of(protocol)
    interval = over_clusters(rows["score"].to_numpy(), rows["log_name"].to_numpy())
    return Score(protocol=protocol, human_filter=bool(rows["human_filter"].any()), interval=interval)


def match(evaluations: Iterable[RecordedEvaluation], runs: Sequence[RecordedRun]) -> tuple[RecordedEvaluation, ...]:
    """The evaluations with the runs whose checkpoints they name: by its path, else by the content of the file."""
    by_path = {run.folder.path.resolve(): run for run in runs}
    return tuple(_matched(one, by_path) for one in evaluations)


def _matched(one: RecordedEvaluation, runs: dict[Path, RecordedRun]) -> RecordedEvaluation:
    scored = None if one.meta is None else one.meta.checkpoint
    for path in one.origin.places("checkpoint"):
        if (run := runs.get(path.parent.parent.resolve())) is not None:
            now = _content(path) if path.is_file() else None
            if scored is None or now in (None, scored):
                return replace(one, run=run.name)
            note = f"{path.name} has changed since: it was {scored} and is {now}"
            return replace(one, run=run.name, note=note)
    if scored is None:
        return one
    for run in runs.values():
        if any(_content(path) == scored for path in sorted(run.folder.checkpoints.glob("*.ckpt"))):
            return replace(one, run=run.name)
    return one


@cache
def _content(path: Path) -> str:
    return file_fingerprint(path)

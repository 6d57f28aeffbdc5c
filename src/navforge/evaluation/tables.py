"""The per-scene score table: one row per (token, index, protocol), with its provenance inside the file.

Columns, in this order: `token`, `index` (which of the scene's trajectories), `protocol`, `log_name`, `human_filter`,
the protocol's sub-scores under the devkit's names in the devkit's order, `progress_m` (raw route progress), `score`.
A table of several protocols has the union of their sub-scores. Where a sub-score is undefined, or the row's protocol
has none of that name, the cell is null, never NaN. What made the table is JSON in the Parquet footer under the key
`navforge` and is checked when the table is read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from navforge.core.errors import DataError
from navforge.core.files import atomic_path, fingerprint
from navforge.core.outside.files import but_is, open_regular
from navforge.core.outside.records import record
from navforge.core.outside.text import parse_json
from navforge.data.label_subsets import LabelFacts
from navforge.evaluation.folder import SCORES, metrics_beside
from navforge.evaluation.trajectories import listing
from navforge.scoring.protocols import protocol
from navforge.scoring.traffic import LOG_REPLAY
from navforge.training.loop.epochs import TrainingLength

FORMAT = 2
KEYS = ("token", "index", "protocol")
METRIC_KEYS = ("token", "index", "log_name")
"""Columns of `metrics.parquet` that are no metrics."""
ORDER = ("protocol", "log_name", "token", "index")
"""Rows are sorted by these, in memory as on disk: a bootstrap depends on the order of the rows."""
FOOTER_KEY = "navforge"
CHECKSUM_KEY = "navforge.checksum"


@dataclass(frozen=True, kw_only=True)
class TableMeta:
    """What a score table was computed from."""

    protocols: tuple[str, ...]
    split: str
    split_hash: str
    split_scenes: int
    """Scenes the split asks for, found on disk or not."""
    missing: int
    """Scenes of the split without a row."""
    missing_hash: str | None
    """Fingerprint of their sorted tokens; None if none is missing."""
    missing_logs: int = 0
    """Logs the split asks for by name that were not on disk; how many scenes they hold may be unknown."""
    human_filter: str
    """auto (the protocol's own rule), on or off."""
    traffic: str = LOG_REPLAY
    """log_replay or reactive; tables from before there was a choice are of log replay."""
    doubts: dict[str, int] = field(default_factory=dict)
    """Scored scenes by what is implausible about their frames (`data.plausibility.Doubt`); the scores are the
    protocol's all the same."""
    extended_comfort: bool
    """Whether consecutive plans were paired where the protocol asks for it."""
    cache: str
    """Fingerprint of the metric cache."""
    trajectories: str
    """Fingerprint of the scored trajectories."""
    agent: str | None = None
    checkpoint: str | None = None
    """Fingerprint of the planner's checkpoint file."""
    labels: LabelFacts | None = None
    """The label subset the planner learned from; None: no subset."""
    length: TrainingLength | None = None
    """How long it learned; None where that is not known."""
    navforge: str
    """Version of the code."""
    format: int = FORMAT

    @property
    def complete(self) -> bool:
        """Whether every scene of the split has its rows."""
        return self.missing == 0 and self.missing_logs == 0

    def coverage(self) -> str:
        """The scenes behind the numbers, in words."""
        scored = self.split_scenes - self.missing
        if self.complete:
            return f"{scored} scenes of split {self.split} ({self.split_hash}), traffic {self.traffic}"
        logs = f" and {self.missing_logs} logs" if self.missing_logs else ""
        return (
            f"{scored} of {self.split_scenes} scenes of split {self.split} ({self.split_hash}), "
            f"traffic {self.traffic}; "
            f"{self.missing} scenes (list {self.missing_hash}){logs} MISSING"
        )


def one_traffic(tables: Iterable[ScoreTable]) -> str:
    """The traffic that all tables were scored in.

    Raises:
        DataError: it differs.
    """
    traffics = sorted({table.meta.traffic for table in tables})
    if len(traffics) != 1:
        raise DataError(
            f"the tables were scored in different traffic ({' and '.join(traffics)}) and cannot be compared; score all "
            "with one value of traffic"
        )
    return traffics[0]


@dataclass(frozen=True)
class ScoreTable:
    """Rows and what they were computed from."""

    frame: pl.DataFrame
    meta: TableMeta
    metrics: pl.DataFrame | None = None
    """With one trajectory per scene (`plan_metrics`): `token`, `index`, `log_name`, a column per metric, null where it
    does not apply. Of a freshly scored table, or of an evaluation's folder; no part of the table's file."""

    def of(self, name: str) -> pl.DataFrame:
        """The rows of one protocol, with that protocol's columns only."""
        if name not in self.meta.protocols:
            raise DataError(f"the table holds protocol(s) {', '.join(self.meta.protocols)}, not {name}")
        return self.frame.filter(pl.col("protocol") == name).select(list(schema((name,))))


def schema(protocols: tuple[str, ...]) -> dict[str, Any]:
    """Column names and types of a table of these protocols, in order."""
    names: list[str] = []
    for name in protocols:
        names += [column for column in subscores(name) if column not in names]
    return {
        "token": pl.String,
        "index": pl.Int32,
        "protocol": pl.String,
        "log_name": pl.String,
        "human_filter": pl.Boolean,
        **dict.fromkeys(names, pl.Float64),
        "progress_m": pl.Float64,
        "score": pl.Float64,
    }


def subscores(name: str) -> tuple[str, ...]:
    """Sub-score columns of a protocol in the devkit's order, extended comfort last."""
    rules = protocol(name)
    return rules.columns if rules.two_frame is None else (*rules.columns, rules.two_frame.name)


def missing_hash(tokens: list[str]) -> str | None:
    """Fingerprint of a list of missing tokens, regardless of order; None for an empty one."""
    return fingerprint(sorted(tokens)) if tokens else None


def write(path: Path | str, table: ScoreTable) -> None:
    """Check and write a table atomically, rows sorted by protocol, log, token and index.

    Raises:
        DataError: the rows do not fit the schema or contradict the metadata.
    """
    frame = table.frame.sort(ORDER)
    _check(ScoreTable(frame, table.meta), "the table to write")
    footer = _footer(table.meta)
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary, metadata={FOOTER_KEY: footer, CHECKSUM_KEY: _checksum(frame, footer)})


def write_metrics(scores: Path, table: ScoreTable) -> Path:
    """Write what was measured of a table's plans beside it, where `read_evaluation` finds it; return the file.

    Its checksum covers that of the table, so that it is not read beside another.

    Args:
        scores: file of the table (`write`).
        table: with metrics.
    """
    assert table.metrics is not None
    path = metrics_beside(scores)
    mark = _checksum(table.metrics, _checksum(table.frame.sort(ORDER), _footer(table.meta)))
    with atomic_path(path) as temporary:
        table.metrics.write_parquet(temporary, metadata={CHECKSUM_KEY: mark})
    return path


def checksum(path: Path | str) -> str:
    """The checksum that a written table carries, over all rows and what it was computed from."""
    return pl.read_parquet_metadata(path)[CHECKSUM_KEY]


def _footer(meta: TableMeta) -> str:
    return json.dumps(dataclasses.asdict(meta), allow_nan=False)


def _checksum(frame: pl.DataFrame, footer: str) -> str:
    return fingerprint(footer, [_content(series) for series in frame.get_columns()])


def _content(series: pl.Series) -> list[Any]:
    """A column as values that `fingerprint` takes, cells without a value told apart from every value."""
    empty = series.is_null().to_numpy()
    if series.dtype == pl.String:
        return [series.name, "\n".join(series.fill_null("").to_list()), empty]
    return [series.name, series.fill_null(False if series.dtype == pl.Boolean else 0).to_numpy(), empty]


def read(path: Path | str) -> ScoreTable:
    """Read and check a table.

    Raises:
        DataError: no such file, not a score table, written by another format version, or damaged.
    """
    path = Path(path)
    with open_regular(path, "score table") as file:
        head = file.read(16)
    try:
        metadata = pl.read_parquet_metadata(path)
        frame = pl.read_parquet(path)
    except (PolarsError, PanicException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"score table {path} is not a readable Parquet file{but_is(head)}") from error
    footer = metadata.get(FOOTER_KEY)
    if footer is None:
        raise DataError(f"{path} is not a score table of navforge: its footer has no key {FOOTER_KEY!r}")
    table = ScoreTable(frame, _meta(footer, path))
    _check(table, str(path))
    if _checksum(frame, footer) != metadata.get(CHECKSUM_KEY):
        raise DataError(f"{path} is damaged: its rows do not have the checksum they were written with; score again")
    return table


def read_evaluation(path: Path | str) -> ScoreTable:
    """The table of an evaluation, or of `navforge score`, with what was measured beside it.

    Args:
        path: the folder, or a score table.

    Raises:
        DataError: as `read`, or the file of metrics is damaged or belongs to another table. Files of before 0.2
            have no checksum; only their scenes are compared.
    """
    path = Path(path)
    scores = path / SCORES if path.is_dir() else path
    table, measured = read(scores), metrics_beside(scores)
    if not measured.is_file():
        return table
    try:
        mark = pl.read_parquet_metadata(measured).get(CHECKSUM_KEY)
        metrics = pl.read_parquet(measured)
    except (PolarsError, PanicException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{measured} is not a readable Parquet file; evaluate again") from error
    scenes = table.frame.select("token", "index").unique()
    if not set(METRIC_KEYS) <= set(metrics.columns) or not scenes.sort("token", "index").equals(
        metrics.select("token", "index").sort("token", "index")
    ):
        raise DataError(f"{measured} does not have the scenes of {scores}; evaluate again")
    if mark is not None and mark != _checksum(metrics, checksum(scores)):
        raise DataError(f"{measured} is damaged, or was measured of other plans than those of {scores}; evaluate again")
    return dataclasses.replace(table, metrics=metrics)


def _meta(footer: str, path: Path) -> TableMeta:
    try:
        values = parse_json(footer)
        if values["format"] != FORMAT:
            raise DataError(f"{path} has table format {values['format']}, this version reads {FORMAT}; score again")
        return record(TableMeta, values)
    except DataError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: the metadata in its footer is damaged ({error}); score again") from error


def _check(table: ScoreTable, what: str) -> None:
    """Types, keys, ranges, and agreement of rows and metadata."""
    frame, meta = table.frame, table.meta
    wanted = schema(meta.protocols)
    if dict(frame.schema) != wanted or frame.columns != list(wanted):
        raise DataError(f"{what} has columns {dict(frame.schema)}, expected {wanted}")
    required = [*KEYS, "log_name", "human_filter", "progress_m", "score"]
    holes = [name for name in required if frame[name].null_count()]
    if holes:
        raise DataError(f"{what} has empty cells in {', '.join(holes)}")
    repeated = frame.filter(pl.struct(KEYS).is_duplicated())
    if repeated.height:
        raise DataError(f"{what} repeats rows of token(s) {listing(sorted(set(repeated['token'])))}")
    strangers = set(frame["protocol"]) ^ set(meta.protocols)
    if strangers:
        raise DataError(f"{what} and its metadata disagree about protocol(s) {', '.join(sorted(strangers))}")
    counts = frame.group_by("protocol").agg(pl.col("token").n_unique())["token"]
    if any(count != meta.split_scenes - meta.missing for count in counts):
        raise DataError(
            f"{what} has rows of {sorted(set(counts))} scenes, its metadata says {meta.split_scenes - meta.missing}"
        )
    for name in [column for column, kind in wanted.items() if kind == pl.Float64]:
        _check_range(frame, name, what)


def _check_range(frame: pl.DataFrame, name: str, what: str) -> None:
    column = pl.col(name)
    bad = column.is_nan() | column.is_infinite()
    if name != "progress_m":
        bad |= ~column.is_between(0.0, 1.0)
    rows = frame.filter(bad)
    if rows.height:
        raise DataError(f"{what}: {name} is {rows[name][0]} for token {rows['token'][0]}, index {rows['index'][0]}")

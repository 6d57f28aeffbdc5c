"""Means of a score table with their intervals: what `summary.json` holds and what is printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from rich.table import Table

from navforge.core.errors import DataError
from navforge.core.screen import Screen
from navforge.evaluation.groups import same_scenes
from navforge.evaluation.tables import ORDER, ScoreTable, subscores
from navforge.scoring.protocols import protocol
from navforge.statistics import intervals
from navforge.statistics.intervals import Interval

FEW_LOGS = 20
"""Below this an interval over logs rests on normally distributed means of logs (see `intervals.over_clusters`)."""
WIDTH = 124
"""Columns a printed table needs."""
SEED = 0
"""Seed of the bootstrap: one table has one summary."""


@dataclass(frozen=True, kw_only=True)
class ColumnSummary:
    """Mean of one column over the scenes where it is defined."""

    column: str
    by_log: Interval
    """Over logs: the interval to quote."""
    by_scene: Interval
    """Bootstrap over scenes, as if they were independent."""

    @property
    def mean(self) -> float:
        """The mean."""
        return self.by_log.mean

    @property
    def scenes(self) -> int:
        """Scenes where the column is defined."""
        return self.by_log.scenes


@dataclass(frozen=True, kw_only=True)
class ProtocolSummary:
    """All means of one protocol; the last is the score."""

    protocol: str
    human_filter: bool
    traffic: str
    doubts: dict[str, int]
    """Scenes by what is implausible about their frames."""
    columns: tuple[ColumnSummary, ...]

    def get(self, column: str) -> ColumnSummary | None:
        """Summary of a column; None where it is defined in no scene."""
        return next((one for one in self.columns if one.column == column), None)

    def __getitem__(self, column: str) -> ColumnSummary:
        if (summary := self.get(column)) is None:
            raise KeyError(column)
        return summary

    @property
    def score(self) -> ColumnSummary:
        """Summary of the final score."""
        return self["score"]


def summarise(table: ScoreTable, *, resamples: int = intervals.RESAMPLES) -> dict[str, ProtocolSummary]:
    """Per protocol, the mean of every sub-score (over scenes where it is defined, as the devkit does) and of the score.

    Raises:
        DataError: the table has several trajectories per scene, whose mean means nothing.
    """
    if table.frame["index"].n_unique() > 1:
        raise DataError("the table has several trajectories per scene; a summary needs one plan per scene")
    return {name: _protocol_summary(table, name, resamples) for name in table.meta.protocols}


def _protocol_summary(table: ScoreTable, name: str, resamples: int) -> ProtocolSummary:
    rows = table.of(name)
    columns = summarise_columns(rows.sort(ORDER), (*subscores(name), "progress_m", "score"), resamples)
    filtered = bool(rows["human_filter"][0])
    return ProtocolSummary(
        protocol=name,
        human_filter=filtered,
        traffic=table.meta.traffic,
        doubts=table.meta.doubts,
        columns=tuple(columns),
    )


def summarise_columns(
    rows: pl.DataFrame, columns: Sequence[str], resamples: int = intervals.RESAMPLES
) -> list[ColumnSummary]:
    """Mean of each column over the rows where it is defined, without columns that are defined in none.

    A bootstrap depends on the order of rows.
    """
    defined = {column: rows.drop_nulls(column) for column in columns if rows[column].null_count() < rows.height}
    by_scene: dict[str, Interval] = {}
    for height in {part.height for part in defined.values()}:
        names = [column for column, part in defined.items() if part.height == height]
        values = [defined[column][column].to_numpy() for column in names]
        drawn = intervals.bootstrap_each(values, np.random.default_rng(SEED), resamples=resamples)
        by_scene |= dict(zip(names, drawn, strict=True))
    return [
        ColumnSummary(
            column=column,
            by_log=intervals.over_clusters(part[column].to_numpy(), part["log_name"].to_numpy()),
            by_scene=by_scene[column],
        )
        for column, part in defined.items()
    ]


def compare(first: ScoreTable, second: ScoreTable, name: str, column: str = "score") -> tuple[Interval, Interval]:
    """Mean of first - second over the scenes both scored, with its interval over logs and over scenes.

    Raises:
        DataError: the tables do not cover the same scenes, or differ in filter or traffic (`groups.same_scenes`).
    """
    one, other = same_scenes((first, second), name)
    both = one.with_columns(other[column].alias("other")).drop_nulls([column, "other"])
    if not both.height:
        raise DataError(f"{column} is defined in no scene of both tables")
    values, others = both[column].to_numpy(), both["other"].to_numpy()
    logs = both["log_name"].to_numpy()
    difference = intervals.paired(values, others)
    return (
        intervals.over_clusters(difference, logs),
        intervals.bootstrap(difference, np.random.default_rng(SEED)),
    )


def to_json(table: ScoreTable, summaries: dict[str, ProtocolSummary], provenance: dict[str, Any]) -> dict[str, Any]:
    """Plain values for `summary.json`; numbers in [0, 1], intervals at 95 %."""
    meta = dataclasses.asdict(table.meta)
    return {
        "split": {
            "name": meta["split"],
            "hash": meta["split_hash"],
            "scenes": meta["split_scenes"],
            "scored": meta["split_scenes"] - meta["missing"],
            "missing": meta["missing"],
            "missing_hash": meta["missing_hash"],
            "missing_logs": meta["missing_logs"],
            "doubts": meta["doubts"],
        },
        "agent": meta["agent"],
        "labels": meta["labels"],
        "fingerprints": {name: meta[name] for name in ("checkpoint", "cache", "trajectories")},
        "human_filter": meta["human_filter"],
        "traffic": meta["traffic"],
        "extended_comfort": meta["extended_comfort"],
        "protocols": {name: _plain(summary) for name, summary in summaries.items()},
        "provenance": provenance,
    }


def _plain(summary: ProtocolSummary) -> dict[str, Any]:
    return {
        "title": protocol(summary.protocol).title,
        "human_filter": summary.human_filter,
        "score": summary.score.mean,
        "logs": summary.score.by_log.clusters,
        "columns": columns_to_json(summary.columns),
    }


def columns_to_json(columns: Iterable[ColumnSummary]) -> dict[str, Any]:
    """Plain values by column."""
    return {
        found.column: {
            "mean": found.mean,
            "scenes": found.scenes,
            "interval_over_logs": _bounds(found.by_log),
            "interval_over_scenes": _bounds(found.by_scene),
        }
        for found in columns
    }


def _bounds(interval: Interval) -> list[float] | None:
    return None if interval.low is None or interval.high is None else [interval.low, interval.high]


def render(summaries: dict[str, ProtocolSummary], title: str, official: dict[str, float] | None = None) -> list[Table]:
    """One printed table per protocol; with `official`, its means and the differences beside ours."""
    tables = []
    for name, summary in summaries.items():
        rules = "human filter on" if summary.human_filter else "human filter off"
        heading = f"{title}: {name}, {rules}, traffic {summary.traffic}"
        table = render_columns(summary.columns, heading, official)
        logs = summary.score.by_log.clusters
        notes = [f"only {logs} log(s): the intervals over logs are rough"] if logs < FEW_LOGS else []
        notes += [f"{count} of these scenes have {doubt}" for doubt, count in summary.doubts.items()]
        table.caption = "\n".join(notes) or None
        tables.append(table)
    return tables


def render_columns(columns: Iterable[ColumnSummary], title: str, official: dict[str, float] | None = None) -> Table:
    """A row per column: mean, intervals, scenes; with `official`, its means and the differences."""
    table = Table(title=title, title_justify="left", title_style="bold")
    heads = ["column", "mean", "95 % over logs", "95 % over scenes", "scenes"]
    for head in [*heads, *(["official", "difference"] if official is not None else [])]:
        table.add_column(head, justify="left" if head == "column" else "right", no_wrap=True)
    for found in columns:
        cells = [found.column, f"{found.mean:.4f}", span(found.by_log), span(found.by_scene), str(found.scenes)]
        if official is not None:
            theirs = official.get(found.column)
            cells += ["", ""] if theirs is None else [f"{theirs:.4f}", f"{found.mean - theirs:+.1e}"]
        table.add_row(*cells, style="bold" if found.column == "score" else None)
    return table


def span(interval: Interval, digits: int = 4) -> str:
    """An interval as text."""
    if interval.low is None or interval.high is None:
        return "n/a"
    return f"{interval.low:.{digits}f} .. {interval.high:.{digits}f}"


def console() -> Screen:
    """Standard output, wide enough for the tables where it is not a terminal."""
    found = Screen()
    return found if found.is_terminal and found.width >= WIDTH else Screen(width=WIDTH)

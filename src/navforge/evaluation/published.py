"""Numbers that papers report, shown below our own where protocol and scenes are the same, and never tested.

`published.csv` holds a row per method and protocol, in points, as its source prints them: rounded, often of one run,
some quoted from other papers. `source` names the paper.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from navforge.core.config import did_you_mean
from navforge.core.errors import ConfigError
from navforge.evaluation.tables import TableMeta, subscores
from navforge.scoring.protocols import protocol
from navforge.scoring.traffic import LOG_REPLAY

FILE = "published.csv"
SPLIT_HASHES = {"navtest": "12fd442ccacde95e"}
"""By name of a published split: the hash of its tokens, as `data.splits.Split.hash` has it."""
_FACTS = ("method", "inputs", "protocol", "split", "source")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of a paper."""

    method: str
    inputs: str
    """Image network and sensors (C camera, L LiDAR); may be empty."""
    protocol: str
    split: str
    source: str
    values: dict[str, float]
    """In points, by column: the score, and the sub-scores that are given."""

    @property
    def title(self) -> str:
        """Method and inputs."""
        return f"{self.method}, {self.inputs}" if self.inputs else self.method


@cache
def published_rows() -> tuple[Published, ...]:
    """Every row, in the order of the file."""
    text = resources.files("navforge.evaluation").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(
        Published(
            **{name: row[name] for name in _FACTS},
            values={column: float(cell) for column, cell in row.items() if column not in _FACTS and cell},
        )
        for row in csv.DictReader(text.splitlines())
    )


def choose_published(
    methods: Sequence[str] | None, tables: Mapping[str, TableMeta]
) -> dict[str, tuple[Published, ...]]:
    """The rows that may stand below tables of these protocols.

    Args:
        methods: names of methods; None: all that fit.
        tables: by protocol, what our numbers were computed from.

    Raises:
        ConfigError: an unknown method, or one that has no number of any of these protocols on these scenes.
    """
    fitting = {
        name: tuple(row for row in published_rows() if not _objections(row, name, tables[name])) for name in tables
    }
    if methods is None:
        return fitting
    for method in methods:
        rows = [row for row in published_rows() if row.method == method]
        if not rows:
            known = sorted({row.method for row in published_rows()})
            raise ConfigError(
                f"published: no method {method!r}{did_you_mean(method, known)}; known: {', '.join(known)}"
            )
        if not any(row in fitting[name] for name in tables for row in rows):
            reasons = dict.fromkeys(_objections(row, name, meta) for name, meta in tables.items() for row in rows)
            raise ConfigError(f"published: {method} cannot stand beside these tables: {'; '.join(reasons)}")
    return {name: tuple(row for row in rows if row.method in methods) for name, rows in fitting.items()}


def _objections(row: Published, name: str, meta: TableMeta) -> str:
    """Why a row cannot stand below a table of a protocol; empty if it can."""
    if row.protocol != name:
        return f"its score is of {row.protocol}, the tables are of {name}"
    if meta.split_hash != SPLIT_HASHES[row.split]:
        return f"its scenes are those of {row.split}, the tables are of split {meta.split} ({meta.split_hash})"
    if not meta.complete:
        return f"{meta.missing} scenes of {row.split} are missing from the tables"
    if meta.traffic != LOG_REPLAY:
        return f"its traffic is {LOG_REPLAY}, that of the tables {meta.traffic}"
    if meta.human_filter not in ("auto", "on" if protocol(name).human_filter else "off"):
        return f"the tables were scored with human_filter={meta.human_filter}"
    if protocol(name).two_frame is not None and not meta.extended_comfort:
        return "the tables were scored without extended comfort"
    unknown = row.values.keys() - {"score", *subscores(name)}
    assert not unknown, f"{FILE}: {row.method} has {unknown}, which {name} has not"
    return ""

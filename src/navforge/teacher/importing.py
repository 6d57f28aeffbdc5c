"""The field's pickled teacher tables to and from teacher stores; scene by scene, whatever their size."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.code import code_fingerprint
from navforge.core.errors import DataError
from navforge.core.files import atomic_path, file_fingerprint, fingerprint, write_text
from navforge.core.outside.files import check
from navforge.core.outside.sealed import write_sealed
from navforge.core.parallel import progress
from navforge.data.pickle_stream import read_items, write_items
from navforge.scoring.protocols import Protocol
from navforge.teacher.packing import HALF, UNIT16, Encoding, Head, RowLayout, encode
from navforge.teacher.rows import SCORE
from navforge.teacher.store import FORMAT, HEADER, ROWS, TOKENS, TeacherStore
from navforge.teacher.tables import EP_RULES, TableLayout, encoding_of
from navforge.vocabulary.vocabulary import Vocabulary

CODE = "navforge.teacher.importing"
_TOKEN = re.compile(r"[\w.-]+", re.ASCII)
_SHARD = "table"


def import_table(
    source: Path, out: Path, vocabulary: Vocabulary, layout: TableLayout, rules: Protocol, *, ep_rule: str
) -> TeacherStore:
    """Make a store of a table; a finished one of the same table is opened as it is.

    Args:
        source: pickled dict token -> key -> array (N,).
        out: folder of the store.
        vocabulary: the one the table was made with, which the table itself does not say.
        layout: its keys.
        rules: the protocol its sub-scores follow.
        ep_rule: one of `EP_RULES`.

    Raises:
        DataError: `out` holds another store; a scene has missing or unexpected keys, another number of entries or a
            value that its column cannot have; names the scene.
    """
    check(source, "teacher table")
    decided_by = {
        "format": FORMAT,
        "source": {"sha256": file_fingerprint(source), "layout": layout.name},
        "vocabulary": vocabulary.fingerprint,
        "protocol": rules.name,
        "ep_rule": EP_RULES[ep_rule],
        "code": code_fingerprint(CODE),
    }
    key = fingerprint(decided_by)
    if (out / HEADER).is_file():
        store = TeacherStore.open(out, vocabulary)
        if store.fingerprint != key:
            raise DataError(f"{out} holds another teacher store; give another out= or delete it")
        return store
    with atomic_path(out / ROWS) as temporary, open(temporary, "wb") as file:
        table = _Table(source, file, vocabulary.size, layout, rules)
        with progress("importing", source.stat().st_size) as bar:
            read_items(source, table.add, lambda done: bar.update(bar.task_ids[0], completed=done))
        if not table.tokens:
            raise DataError(f"{source}: the table holds no scene")
    write_text(out / TOKENS, "".join(f"{token}\n" for token in table.tokens))
    about = {**decided_by, "source": {**decided_by["source"], "file": source.name}}
    write_sealed(out / HEADER, {"fingerprint": key, **about, **table.about(vocabulary, out)})
    return TeacherStore.open(out, vocabulary)


def export_table(store: TeacherStore, target: Path, layout: TableLayout) -> int:
    """Write a store as a table of float16, with the keys of a layout; return the number of scenes.

    Raises:
        DataError: the store lacks a column of the layout.
    """
    columns = tuple(column for column in layout.keys if column in store.columns)
    absent = [column for column in layout.keys if column not in columns and column not in layout.optional]
    if absent:
        raise DataError(
            f"teacher store {store.path} holds {store.protocol}, which has no {', '.join(absent)}: it makes no "
            f"{layout.name} table"
        )

    def scenes() -> Iterator[tuple[str, Mapping[str, NDArray[np.float16]]]]:
        with progress("exporting", len(store)) as bar:
            for token in store.tokens:
                row = store.row(token, columns)
                yield token, {layout.keys[column]: row[column].astype(np.float16) for column in columns}
                bar.advance(bar.task_ids[0])

    with atomic_path(target) as temporary, open(temporary, "wb") as file:
        return write_items(file, scenes())


class _Table:
    """Packs scenes as they come; the first says which columns all of them have."""

    def __init__(self, source: Path, file: IO[bytes], entries: int, layout: TableLayout, rules: Protocol) -> None:
        self.tokens: dict[str, None] = {}
        self._source = source
        self._file = file
        self._entries = entries
        self._keys = layout
        self._rules = rules
        self._columns: tuple[str, ...] = ()
        self._rows = RowLayout(entries, ())
        self._digest = hashlib.sha256()
        self._rounding: dict[str, float] = {}
        self._best: list[float] = []
        self._mean: list[float] = []

    def add(self, token: Any, scene: Any) -> None:
        """Pack one scene."""
        where = f"{self._source}: scene {str(token)[:80]}"
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or token in self.tokens:
            raise DataError(f"{where}: " + ("occurs twice" if token in self.tokens else "is not a token"))
        if not isinstance(scene, dict):
            raise DataError(f"{where}: holds a {type(scene).__name__}, not a dict of arrays")
        columns = self._keys.check(scene, where)
        values = {column: self._array(scene[self._keys.keys[column]], column, where) for column in columns}
        if not self.tokens:
            self._columns = columns
            self._rows = RowLayout(self._entries, tuple((c, _encoding(c, values[c])) for c in _in_order(columns)))
        elif columns != self._columns:
            raise DataError(f"{where}: has the columns {', '.join(columns)}, the first has {', '.join(self._columns)}")
        try:
            codes = {c: encode(values[c].astype(np.float64), encoding, c) for c, encoding in self._rows.columns}
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        row = self._rows.pack(codes, Head())
        self._file.write(row)
        self._digest.update(row)
        for column, encoding in self._rows.columns:
            lost = float(np.abs(encoding.values[codes[column]] - values[column].astype(np.float64)).max())
            self._rounding[column] = max(lost, self._rounding.get(column, 0.0))
        if SCORE in values:
            self._best.append(float(values[SCORE].max()))
            self._mean.append(float(values[SCORE].astype(np.float64).mean()))
        self.tokens[token] = None

    def about(self, vocabulary: Vocabulary, out: Path) -> dict[str, Any]:
        """The part of the header that the scenes decide."""
        split = fingerprint("tokens", sorted(self.tokens))
        return {
            "fingerprints": {"vocabulary": vocabulary.fingerprint, "cache": None, "split": split},
            "human_filter": None,
            "taught": False,
            "columns": {name: {"encoding": kept.name, "bits": kept.bits} for name, kept in self._rows.columns},
            "split": self._source.stem,
            "scenes": len(self.tokens),
            "missing_scenes": 0,
            "entries": self._entries,
            "row_bytes": self._rows.row_bytes,
            "rounding": self._rounding,
            "oracle": float(np.mean(self._best)) if self._best else None,
            "mean_score": float(np.mean(self._mean)) if self._mean else None,
            "shards": {_SHARD: {"scenes": len(self.tokens), "sha256": self._digest.hexdigest()}},
            "tokens": file_fingerprint(out / TOKENS),
        }

    def _array(self, values: Any, column: str, where: str) -> NDArray[Any]:
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
            raise DataError(f"{where}: {self._keys.keys[column]} is not an array of numbers")
        if values.shape != (self._entries,):
            raise DataError(
                f"{where}: {self._keys.keys[column]} has shape {values.shape}, the vocabulary has {self._entries} "
                "entries; give the vocabulary the table was made with"
            )
        return values


def _encoding(column: str, values: NDArray[Any]) -> Encoding:
    """Float16 is kept as it is; wider floats are rounded, and the header says by how much."""
    kept = encoding_of(column)
    return UNIT16 if kept is HALF and values.dtype != np.float16 else kept


def _in_order(columns: tuple[str, ...]) -> list[str]:
    """Columns of few bits first, as `taught.layout` has them."""
    bits = {column: encoding_of(column).bits for column in columns}
    return sorted(columns, key=lambda column: (bits[column] == HALF.bits, -bits[column]))

"""`TeacherStore`: sub-scores of every vocabulary entry on every scene of a split, memory-mapped.

OUT/header.json    what the store was made from, how its rows are packed, sums of its shards; written last
OUT/tokens.txt     one scene per line, in row order
OUT/rows.bin       one row per scene (`packing`), all of one size; the scenes of a log (a shard) lie together

All processes of a machine share one copy of the rows through the page cache, and none keeps a row mapped once it is
read, so that reading everything adds nothing to their memory.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.files import fingerprint_of
from navforge.core.outside.files import open_regular, read_bytes, shown
from navforge.core.outside.records import record
from navforge.core.outside.sealed import unsealed
from navforge.core.outside.text import read_json
from navforge.core.token_index import TokenIndex
from navforge.scoring.protocols import protocol as protocol_of
from navforge.teacher import rows as taught
from navforge.teacher.packing import ENCODINGS, RowLayout
from navforge.teacher.rows import SCORE
from navforge.vocabulary.vocabulary import Vocabulary

__all__ = ["FORMAT", "HEADER", "ROWS", "SCORE", "SHARDS", "TOKENS", "TeacherStore", "layout_of", "read_header"]

FORMAT = 2
HEADER = "header.json"
TOKENS = "tokens.txt"
ROWS = "rows.bin"
SHARDS = "shards"
"""Folder of what is finished of a store that is being made."""
_REMEDY = "teach again"


@dataclass(frozen=True)
class _Needed:
    """What is read of a header."""

    fingerprint: str
    fingerprints: dict[str, str | None]
    entries: int
    scenes: int
    columns: dict[str, dict[str, Any]]
    protocol: str
    taught: bool
    shards: dict[str, _Rows]
    tokens: str


@dataclass(frozen=True)
class _Rows:
    """What a header says of the rows of a shard."""

    scenes: int
    sha256: str


@dataclass(frozen=True)
class TeacherStore:
    """An opened store; see the module's description for its files."""

    path: Path
    header: dict[str, Any]
    layout: RowLayout
    _tokens: NDArray[np.bytes_]
    """(S,) token of each row."""
    _map: mmap.mmap

    @staticmethod
    def open(path: Path | str, vocabulary: Vocabulary) -> TeacherStore:
        """Open a finished store for the vocabulary it was made with.

        Raises:
            DataError: missing, unfinished, damaged, of an older format, or made with another vocabulary.
        """
        path = Path(path)
        header = read_header(path)
        made_with = header["fingerprints"]["vocabulary"]
        if made_with != vocabulary.fingerprint:
            raise DataError(
                f"teacher store {path} was made with vocabulary {made_with} ({header['entries']} entries), the "
                f"vocabulary given is {vocabulary.fingerprint} ({vocabulary.size} entries); rows would not correspond"
            )
        return _open(path, header)

    def __reduce__(self) -> tuple[Any, tuple[Path, dict[str, Any]]]:
        """Handing a store to another process hands over its path: the rows stay on disk."""
        return _open, (self.path, self.header)

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._tokens)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Scenes in row order."""
        return tuple(token.decode() for token in self._tokens.tolist())

    @property
    def fingerprints(self) -> dict[str, str | None]:
        """Fingerprints of vocabulary, metric cache and split; that of the cache is None in an imported store."""
        return self.header["fingerprints"]

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return self.header["protocol"]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all that decided the store's values."""
        return self.header["fingerprint"]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What rows give: the protocol's sub-scores, then `score` (without extended comfort)."""
        if self.header["taught"]:
            return taught.columns(protocol_of(self.protocol))
        held = set(self.layout.names)
        return tuple(name for name in taught.columns(protocol_of(self.protocol)) if name in held)

    def row(self, token: str, columns: tuple[str, ...] | None = None) -> dict[str, NDArray[np.float32]]:
        """Column -> (N,) float32 values of one scene.

        Raises:
            DataError: the scene or a column is not in the store, or the row is damaged.
        """
        place = int(self._index.find([token])[0])
        if place < 0:
            raise DataError(f"scene {token} is not in teacher store {self.path} ({len(self)} scenes)")
        names = self.columns if columns is None else columns
        if absent := [name for name in names if name not in self.columns]:
            raise DataError(f"teacher store {self.path} has no column {absent[0]}; it has {', '.join(self.columns)}")
        return self._read(place, names)

    def require(self, *, tokens: tuple[str, ...], columns: tuple[str, ...], protocol: str, cache: str | None) -> None:
        """Check that the store can teach these scenes these sub-scores.

        Args:
            tokens: scenes that will be asked for.
            columns: columns that will be asked for.
            protocol: protocol the planner learns.
            cache: fingerprint of the metric cache in use, if one is; imported stores say nothing of a cache.

        Raises:
            DataError: naming what does not fit.
        """
        if protocol != self.protocol:
            raise DataError(f"teacher store {self.path} holds {self.protocol}, the planner learns {protocol}")
        absent = [column for column in columns if column not in self.columns]
        if absent:
            raise DataError(f"teacher store {self.path} has no column {absent[0]}; it has {', '.join(self.columns)}")
        made_from = self.fingerprints["cache"]
        if cache is not None and made_from is not None and cache != made_from:
            raise DataError(
                f"teacher store {self.path} was made from metric cache {made_from}, the cache given "
                f"is {cache}; teach again or give the cache it was made from"
            )
        missing = np.flatnonzero(self._index.find(tokens) < 0)
        if len(missing):
            raise DataError(
                f"teacher store {self.path} lacks {len(missing)} of {len(tokens)} scenes, {tokens[missing[0]]} for "
                "one; run navforge teach on this split"
            )

    def check(self) -> None:
        """Read every byte; raises `DataError` naming the first shard whose bytes have changed."""
        size, row = self.layout.row_bytes, 0
        for name, about in self.header["shards"].items():
            digest = hashlib.sha256()
            for place in range(row, row + about["scenes"]):
                digest.update(self._map[place * size : (place + 1) * size])
                self._let_go()
            if digest.hexdigest() != about["sha256"]:
                raise DataError(
                    f"teacher store {self.path}: {ROWS}: shard {name} (rows {row} to {row + about['scenes'] - 1}) has "
                    "changed since it was written; delete the store and make it again"
                )
            row += about["scenes"]

    def _read(self, place: int, names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
        size = self.layout.row_bytes
        row = np.frombuffer(self._map, np.uint8, size, place * size)
        try:
            if self.header["taught"]:
                values = taught.unpack(row, protocol_of(self.protocol), self.layout, names)
            else:
                self.layout.head(row)
                values = self.layout.unpack(row, names)
        except DataError as error:
            token = self._tokens[place].decode()
            raise DataError(
                f"teacher store {self.path}: {ROWS}: row {place} (scene {token}): {error}; delete the store and make "
                "it again"
            ) from error
        finally:
            self._let_go()
        return {name: value.astype(np.float32, copy=False) for name, value in values.items()}

    def _let_go(self) -> None:
        """Unmap the rows; they stay in the page cache.

        All of them, because the kernel maps more around a byte that is touched than was asked for, how much more being
        its own affair. What is not mapped costs nothing to unmap.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def _index(self) -> TokenIndex:
        return TokenIndex(self._tokens)


def layout_of(header: dict[str, Any]) -> RowLayout:
    """How the rows of a store are packed, from its header."""
    columns = tuple((name, ENCODINGS[about["encoding"]]) for name, about in header["columns"].items())
    return RowLayout(header["entries"], columns)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a finished store.

    Raises:
        DataError: missing, unfinished, damaged or of another format.
    """
    file = path / HEADER
    if not file.is_file():
        state = "is unfinished; run the same navforge teach again" if (path / SHARDS).is_dir() else "not found"
        raise DataError(f"teacher store {path} {state}")
    content = read_json(file, "teacher store header", remedy=_REMEDY)
    if (form := content.get("format")) != FORMAT:
        raise DataError(
            f"teacher store {path} has format {shown(form)}, this version reads {FORMAT}; delete it and run "
            "navforge teach again"
        )
    try:
        header = unsealed(content)
        needed = record(_Needed, header, newer=True)
        if needed.entries < 1 or needed.scenes < 1 or "vocabulary" not in needed.fingerprints:
            raise ValueError("it is of no entries, no scenes or no vocabulary")
        layout_of(header)
        protocol_of(needed.protocol)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"teacher store header {file} is damaged: {error}; {_REMEDY}") from error
    return header


def _open(path: Path, header: dict[str, Any]) -> TeacherStore:
    layout = layout_of(header)
    names = read_bytes(path / TOKENS, "tokens of teacher store", missing=_REMEDY)
    if fingerprint_of(names) != header["tokens"]:
        raise DataError(f"teacher store {path}: {TOKENS} is not the one {HEADER} was written with; {_REMEDY}")
    tokens = np.array(names.split(), np.bytes_)
    with open_regular(path / ROWS, "rows of teacher store", missing=_REMEDY) as file:
        size = os.fstat(file.fileno()).st_size
        if size != len(tokens) * layout.row_bytes or len(tokens) != header["scenes"]:
            raise DataError(
                f"teacher store {path}: {ROWS} holds {size} bytes, the header says {header['scenes']} rows of "
                f"{layout.row_bytes}; {_REMEDY}"
            )
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return TeacherStore(path, header, layout, tokens, mapped)

"""`TeacherStore`: sub-scores of every vocabulary entry on every scene of a split, memory-mapped.

A store is a folder: `header.json` (what it was made from, how columns are encoded), `tokens.txt` (one scene per row, in
row order) and one `COLUMN.npy` per column, (S, N) unsigned integers; value = integer / scale. All processes of a
machine share one copy through the page cache.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.vocabulary.vocabulary import Vocabulary

FORMAT = 1
HEADER = "header.json"
TOKENS = "tokens.txt"
SCORE = "score"
PROGRESS = "progress_m"


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a column is kept: integer = round(value * scale)."""

    dtype: str
    scale: float
    exact: bool
    """Values are multiples of 1 / scale; anything else is refused."""
    saturates: bool = False
    """Values above the largest integer are kept as the largest; otherwise they are refused."""


LEVELS = Encoding(dtype="uint8", scale=2.0, exact=True)
"""Discrete sub-scores: 0, 0.5, 1."""
UNIT = Encoding(dtype="uint16", scale=65535.0, exact=False)
"""Continuous values in [0, 1], to 7.6e-6."""
METRES = Encoding(dtype="uint16", scale=100.0, exact=False, saturates=True)
"""Progress to 5 mm. No car drives 655 m in 4 s: raw progress beyond is a jump of the projection where the route's
centreline comes back to itself, kept as 655.35 m."""


def encoding_of(column: str) -> Encoding:
    """How `column` is kept."""
    return {"ego_progress": UNIT, SCORE: UNIT, PROGRESS: METRES}.get(column, LEVELS)


def encode(values: NDArray[np.float64], encoding: Encoding, column: str) -> NDArray[np.unsignedinteger[Any]]:
    """Values as unsigned integers.

    Raises:
        DataError: a value is not finite, out of range, or not one of the levels of an exact encoding.
    """
    scaled = values * encoding.scale
    whole = np.rint(scaled)
    most = np.iinfo(encoding.dtype).max
    if encoding.saturates:
        whole = np.where(np.isfinite(values), np.minimum(whole, most), whole)
    wrong = ~np.isfinite(values) | (whole < 0) | (whole > most)
    if encoding.exact:
        wrong |= whole != scaled
    if wrong.any():
        raise DataError(f"teacher column {column}: cannot keep the value {values[wrong][0]!r}")
    return whole.astype(encoding.dtype)


@dataclass(frozen=True)
class TeacherStore:
    """An opened store; see the module's description for its files."""

    path: Path
    header: dict[str, Any]
    tokens: tuple[str, ...]
    arrays: dict[str, NDArray[np.unsignedinteger[Any]]]
    """Column -> (S, N) memory-mapped integers."""

    @staticmethod
    def open(path: Path | str, vocabulary: Vocabulary) -> TeacherStore:
        """Open a finished store for the vocabulary it was made with.

        Raises:
            DataError: missing, unfinished, damaged, or made with another vocabulary.
        """
        path = Path(path)
        header = read_header(path)
        made_with = header["fingerprints"]["vocabulary"]
        if made_with != vocabulary.fingerprint:
            raise DataError(
                f"teacher store {path} was made with vocabulary {made_with} ({header['entries']} entries), the "
                f"vocabulary given is {vocabulary.fingerprint} ({vocabulary.size} entries); rows would not correspond"
            )
        return _map(path, header)

    def __reduce__(self) -> tuple[Any, tuple[Path, dict[str, Any]]]:
        """Handing a store to another process hands over its path: the columns stay on disk."""
        return _map, (self.path, self.header)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of vocabulary, cache and split the store was made from."""
        return self.header["fingerprints"]

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return self.header["protocol"]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all that decided the store's values."""
        return self.header["fingerprint"]

    @property
    def columns(self) -> tuple[str, ...]:
        """The protocol's sub-scores, then `score` (without extended comfort) and `progress_m`."""
        return tuple(self.arrays)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self.tokens)}

    def row(self, token: str, columns: tuple[str, ...] | None = None) -> dict[str, NDArray[np.float32]]:
        """Column -> (N,) float32 values of one scene.

        Raises:
            DataError: the scene is not in the store.
        """
        if token not in self._row_of:
            raise DataError(f"scene {token} is not in teacher store {self.path} ({len(self.tokens)} scenes)")
        row = self._row_of[token]
        return {
            name: (self.arrays[name][row] / np.float32(self.header["columns"][name]["scale"])).astype(np.float32)
            for name in columns or self.columns
        }

    def require(self, *, tokens: tuple[str, ...], columns: tuple[str, ...], protocol: str, cache: str | None) -> None:
        """Check that the store can teach these scenes these sub-scores.

        Args:
            tokens: scenes that will be asked for.
            columns: columns that will be asked for.
            protocol: protocol the planner learns.
            cache: fingerprint of the metric cache in use, if one is.

        Raises:
            DataError: naming what does not fit.
        """
        if protocol != self.protocol:
            raise DataError(f"teacher store {self.path} holds {self.protocol}, the planner learns {protocol}")
        absent = [column for column in columns if column not in self.arrays]
        if absent:
            raise DataError(f"teacher store {self.path} has no column {absent[0]}; it has {', '.join(self.columns)}")
        if cache is not None and cache != self.fingerprints["cache"]:
            raise DataError(
                f"teacher store {self.path} was made from metric cache {self.fingerprints['cache']}, the cache given "
                f"is {cache}; teach again or give the cache it was made from"
            )
        missing = [token for token in tokens if token not in self._row_of]
        if missing:
            raise DataError(
                f"teacher store {self.path} lacks {len(missing)} of {len(tokens)} scenes, {missing[0]} for one; "
                "run navforge teach on this split"
            )


def read_header(path: Path) -> dict[str, Any]:
    """The header of a finished store.

    Raises:
        DataError: missing, unfinished, damaged or of another format.
    """
    file = path / HEADER
    if not file.is_file():
        state = "is unfinished; run the same navforge teach again" if (path / "parts").is_dir() else "not found"
        raise DataError(f"teacher store {path} {state}")
    try:
        header = json.loads(file.read_text())
        if header["format"] != FORMAT:
            raise DataError(f"teacher store {path} has format {header['format']}, this version reads {FORMAT}")
        for name in ("fingerprint", "fingerprints", "entries", "columns", "protocol"):
            header[name]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"teacher store {path}: {HEADER} is damaged ({error}); teach again") from error
    return header


def _map(path: Path, header: dict[str, Any]) -> TeacherStore:
    tokens = tuple((path / TOKENS).read_text().split())
    shape = (len(tokens), header["entries"])
    arrays = {name: _map_column(path, name, about, shape) for name, about in header["columns"].items()}
    return TeacherStore(path, header, tokens, arrays)


def _map_column(
    path: Path, name: str, about: dict[str, Any], shape: tuple[int, int]
) -> NDArray[np.unsignedinteger[Any]]:
    file = path / f"{name}.npy"
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"teacher store {path}: {file.name} is missing or truncated; teach again") from error
    if array.shape != shape or array.dtype != np.dtype(about["dtype"]):
        raise DataError(
            f"teacher store {path}: {file.name} holds {array.shape} {array.dtype}, the header says {shape} "
            f"{about['dtype']}; teach again"
        )
    return array

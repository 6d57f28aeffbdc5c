"""Shards of a teacher store that is being made: the rows of one log each, whole or absent, and their merge.

A shard file is the rows, a JSON text that says what they are, its length and a magic word. Its name and bytes depend on
nothing but what the store is made from, so that shards may be made in any order, by any number of processes, twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from navforge.core.errors import DataError
from navforge.core.files import atomic_path, file_fingerprint, write_text
from navforge.core.outside.files import open_regular
from navforge.core.outside.records import record
from navforge.core.outside.sealed import sealed, unsealed, write_sealed
from navforge.core.outside.text import parse_json
from navforge.teacher.store import HEADER, ROWS, SHARDS, TOKENS

_TAIL = struct.Struct("<I8s")
_MAGIC = b"navteach"
_BLOCK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Row:
    """A packed scene and its statistics."""

    row: bytes
    rounding: dict[str, float]
    """Column -> largest difference between what was found and what is read of the row."""
    best: float
    """Best score of any entry."""
    mean: float
    """Mean score of the entries."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What a shard says of its rows."""

    key: str
    """Fingerprint of the store it belongs to."""
    tokens: tuple[str, ...]
    sha256: str
    """Of the rows."""
    rounding: dict[str, float]
    best: tuple[float, ...]
    """By scene."""
    mean: tuple[float, ...]


def shard_path(out: Path, log_name: str) -> Path:
    """Where the shard of a log lies."""
    return out / SHARDS / f"{log_name}.shard"


def write_shard(path: Path, key: str, scenes: Iterable[tuple[str, Row]]) -> None:
    """Write a shard; rows are taken one at a time."""
    digest, tokens, rows = hashlib.sha256(), [], []
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for token, row in scenes:
            file.write(row.row)
            digest.update(row.row)
            tokens.append(token)
            rows.append(row)
        about = Shard(
            key=key,
            tokens=tuple(tokens),
            sha256=digest.hexdigest(),
            rounding=_largest(row.rounding for row in rows),
            best=tuple(row.best for row in rows),
            mean=tuple(row.mean for row in rows),
        )
        text = json.dumps(sealed(asdict(about)), allow_nan=False).encode()
        file.write(text + _TAIL.pack(len(text), _MAGIC))


def read_shard(path: Path, row_bytes: int) -> Shard:
    """What a shard says of its rows; of the rows themselves only the size is checked.

    Raises:
        DataError: missing, cut or no shard.
    """
    try:
        with open_regular(path, "shard") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL.size))
            length, magic = _TAIL.unpack(file.read())
            if magic != _MAGIC or length > size - _TAIL.size:
                raise ValueError("no shard")
            file.seek(size - _TAIL.size - length)
            shard = record(Shard, unsealed(parse_json(file.read(length).decode())))
        if len(shard.tokens) * row_bytes + length + _TAIL.size != size:
            raise ValueError("rows are missing")
    except DataError:
        raise
    except (OSError, ValueError, struct.error) as error:
        raise DataError(f"shard {path} is damaged ({error}); delete it and run the same command again") from error
    return shard


def is_finished(path: Path, key: str, tokens: tuple[str, ...], row_bytes: int) -> bool:
    """Whether a whole shard of these scenes is there, every byte of it as it was written."""
    try:
        shard = read_shard(path, row_bytes)
        if (shard.key, shard.tokens) != (key, tokens):
            return False
        with open(path, "rb") as file:
            return _copy(file, len(tokens) * row_bytes, None) == shard.sha256
    except (DataError, OSError):
        return False


def merge(out: Path, header: Mapping[str, Any], logs: Mapping[str, tuple[str, ...]], row_bytes: int) -> None:
    """Make the store whole: rows and tokens in the order of `logs`, then the header, which says so.

    May be interrupted and done again: shards are deleted last.

    Raises:
        DataError: a shard is missing, damaged or of another store.
    """
    shards: dict[str, Shard] = {}
    with atomic_path(out / ROWS) as temporary, open(temporary, "wb") as target:
        for log_name, tokens in logs.items():
            path = shard_path(out, log_name)
            shard = shards[log_name] = read_shard(path, row_bytes)
            with open(path, "rb") as file:
                same = _copy(file, len(tokens) * row_bytes, target) == shard.sha256
            if not same or (shard.key, shard.tokens) != (header["fingerprint"], tokens):
                raise DataError(f"shard {path} is damaged or of another store; run the same command again")
    write_text(out / TOKENS, "".join(f"{token}\n" for tokens in logs.values() for token in tokens))
    write_sealed(out / HEADER, {**header, **_found(shards), "tokens": file_fingerprint(out / TOKENS)})
    shutil.rmtree(out / SHARDS, ignore_errors=True)


def _found(shards: dict[str, Shard]) -> dict[str, Any]:
    best = [value for shard in shards.values() for value in shard.best]
    mean = [value for shard in shards.values() for value in shard.mean]
    return {
        "rounding": _largest(shard.rounding for shard in shards.values()),
        "oracle": math.fsum(best) / len(best),
        "mean_score": math.fsum(mean) / len(mean),
        "shards": {name: {"scenes": len(shard.tokens), "sha256": shard.sha256} for name, shard in shards.items()},
    }


def _largest(found: Iterable[dict[str, float]]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for part in found:
        for name, value in part.items():
            largest[name] = max(value, largest.get(name, 0.0))
    return largest


def _copy(source: Any, size: int, target: Any) -> str:
    """SHA-256 of the next `size` bytes, which are written to `target` if there is one."""
    digest = hashlib.sha256()
    while size > 0 and (block := source.read(min(size, _BLOCK))):
        digest.update(block)
        if target is not None:
            target.write(block)
        size -= len(block)
    return digest.hexdigest()

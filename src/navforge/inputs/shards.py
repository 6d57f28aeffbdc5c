"""A shard: the stored form of one log's scenes in an Arrow IPC file, read through a memory map.

One record batch per scene, one row each: `token`, per part a column of bytes, and per part a column `PART.crc32`. The
schema's metadata says what the shard was made from, so that a shard of another run is noticed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from navforge.core.errors import DataError
from navforge.core.outside.files import check
from navforge.core.outside.records import record
from navforge.core.outside.text import parse_json

FORMAT = 1
"""Number of the form of a shard."""
TOKEN = "token"
NO_THREADS = pa.ipc.IpcReadOptions(use_threads=False)
"""Loader workers are forked, and threads do not survive a fork."""
_MADE = b"made"


def write_shard(path: Path, parts: tuple[str, ...], made: str, scenes: Iterable[tuple[str, dict[str, bytes]]]) -> None:
    """Write a shard.

    Args:
        path: of the shard.
        parts: names of the parts every scene has.
        made: fingerprint of what the shard is made from.
        scenes: token and stored form of each scene, in order; taken one at a time.
    """
    columns = [(TOKEN, pa.string()), *((name, pa.binary()) for name in parts)]
    columns += [(_sum_column(name), pa.uint32()) for name in parts]
    schema = pa.schema(columns, metadata={_MADE: json.dumps({"made": made, "parts": parts})})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        for token, stored in scenes:
            values = [token, *(stored[name] for name in parts), *(zlib.crc32(stored[name]) for name in parts)]
            rows = [pa.array([value], kind) for value, (_, kind) in zip(values, columns, strict=True)]
            file.write_batch(pa.record_batch(rows, schema=schema))


@dataclass(frozen=True)
class _About:
    """What a shard says of itself."""

    made: str
    parts: tuple[str, ...]


class Shard:
    """An opened shard."""

    def __init__(self, path: Path) -> None:
        """Open a shard.

        Raises:
            DataError: it is missing, truncated or no shard.
        """
        self.path = path
        check(path, "shard")
        try:
            self._map = pa.memory_map(str(path))
            self._file = pa.ipc.open_file(self._map, options=NO_THREADS)
            about = record(_About, parse_json(self._file.schema.metadata[_MADE].decode()))
            self.head = about.made
            """Fingerprint of what the shard was made from."""
            self.parts = about.parts
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise DataError(f"shard {path} is damaged: {str(error).splitlines()[0]}") from error

    def __len__(self) -> int:
        return self._file.num_record_batches

    def read(self, row: int, parts: Iterable[str]) -> tuple[str, dict[str, memoryview]]:
        """Token and parts of a scene, without a copy, checked against their sums.

        Raises:
            DataError: a byte has changed since the shard was written; names the part.
        """
        token, values = self._row(row)
        return token, {name: self._checked(values, name, token, row) for name in parts}

    @property
    def tokens(self) -> tuple[str, ...]:
        """Its scenes, in the order of the rows; raises DataError if one cannot be read."""
        return tuple(self._row(row)[0] for row in range(len(self)))

    def check(self) -> None:
        """Read every byte; raises DataError naming the first scene of which a part has changed."""
        for row in range(len(self)):
            self.read(row, self.parts)

    def _row(self, row: int) -> tuple[str, dict[str, Any]]:
        try:
            batch = self._file.get_batch(row)
            batch.validate(full=True)
            if batch.num_rows != 1:
                raise ValueError(f"{batch.num_rows} rows in batch {row}, expected 1")
            values = {name: batch.column(name)[0] for name in batch.schema.names}
            return values[TOKEN].as_py(), values
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise DataError(f"shard {self.path} is damaged: row {row}: {str(error).splitlines()[0]}") from error

    def _checked(self, values: dict[str, Any], name: str, token: str, row: int) -> memoryview:
        content = memoryview(values[name].as_buffer())
        if zlib.crc32(content) != values[_sum_column(name)].as_py():
            raise DataError(
                f"shard {self.path} is damaged: {name} of scene {token} (row {row}) has changed since it was written"
            )
        return content


def _sum_column(part: str) -> str:
    return f"{part}.crc32"

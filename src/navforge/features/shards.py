"""A shard of a feature store: the rows of one log's scenes in a safetensors file, read through a memory map.

Every tensor has the scenes along its first axis. `checksums` (S, A) holds the CRC-32 of each scene's row in each of the
A other tensors, in the order of their names; the metadata say what the shard was made from.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.core.outside.files import open_regular
from navforge.core.outside.text import parse_json

CHECKSUMS = "checksums"
_ABOUT = "navforge"
_LENGTH = struct.Struct("<Q")
_LARGEST_HEADER = 1 << 26
_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "I64": torch.int64,
}
"""What safetensors calls the types that shards hold."""


@dataclass(frozen=True)
class Column:
    """How the rows of one tensor look."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    """Of one row."""

    @property
    def bytes(self) -> int:
        """Of one row."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_shard(path: Path, about: Mapping[str, Any], tokens: Sequence[str], arrays: Mapping[str, Tensor]) -> None:
    """Write a shard.

    Args:
        path: of the shard.
        about: plain values that say what it is made from.
        tokens: its scenes.
        arrays: tensors (S, ...) on the host, by name.
    """
    sums = [[zlib.crc32(row) for row in _bytes_of(arrays[name])] for name in sorted(arrays)]
    tensors = {name: tensor.contiguous() for name, tensor in arrays.items()}
    tensors[CHECKSUMS] = torch.tensor(sums, dtype=torch.int64).T.contiguous()
    # One key: the order of several in the file would be another in every process.
    text = json.dumps({"made": about, "tokens": list(tokens)}, sort_keys=True)
    path.write_bytes(save(tensors, metadata={_ABOUT: text}))


class Shard:
    """An opened shard. Rows are not copied and not checked unless asked for."""

    def __init__(self, path: Path) -> None:
        """Map a shard.

        Raises:
            DataError: missing, truncated or no shard.
        """
        self.path = path
        try:
            with open_regular(path, "shard") as file:
                size = os.fstat(file.fileno()).st_size
                (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
                if length > min(size, _LARGEST_HEADER):
                    raise ValueError("its header is longer than the file")
                header = file.read(length)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            entries = parse_json(header.decode())
            about = parse_json(entries.pop("__metadata__")[_ABOUT])
            self.tokens: tuple[str, ...] = tuple(about["tokens"])
            self.made: dict[str, Any] = about["made"]
            self.columns: dict[str, Column] = {}
            self.rows: dict[str, NDArray[np.uint8]] = {}
            """(S, bytes of a row) of each tensor."""
            for name, entry in entries.items():
                self._add(name, entry, start=_LENGTH.size + length)
            sums = self.rows.pop(CHECKSUMS)
            del self.columns[CHECKSUMS]
            self._sums = sums.view(np.int64)
            self.head = fingerprint(header, self._sums.tobytes())
            """Fingerprint of everything but the rows, which it holds the checksums of."""
        except (ValueError, KeyError, TypeError, AttributeError, struct.error, OSError) as error:
            raise DataError(f"shard {path} is damaged: {error}") from error

    def __len__(self) -> int:
        return len(self.tokens)

    def is_whole(self, name: str, row: int) -> bool:
        """Whether a row of a tensor is as it was written."""
        return zlib.crc32(self.rows[name][row]) == self._sums[row, sorted(self.columns).index(name)]

    def check(self) -> None:
        """Read every byte; raises `DataError` naming the first scene whose row has changed."""
        for name in self.columns:
            for row, token in enumerate(self.tokens):
                if not self.is_whole(name, row):
                    raise DataError(
                        f"shard {self.path} is damaged: {name} of scene {token} has changed since it was written"
                    )
            self.let_go()

    def let_go(self) -> None:
        """Unmap what was read; it stays in the page cache, which all processes of a machine share."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _add(self, name: str, entry: Mapping[str, Any], start: int) -> None:
        column = Column(_DTYPES[entry["dtype"]], tuple(entry["shape"][1:]))
        begin, end = entry["data_offsets"]
        if entry["shape"][0] != len(self.tokens) or end - begin != len(self.tokens) * column.bytes:
            raise ValueError(f"{name} has not the size that its shape needs")
        if start + end > len(self._map):
            raise ValueError(f"it is truncated in {name}")
        self.columns[name] = column
        content = np.frombuffer(self._map, np.uint8, end - begin, start + begin)
        self.rows[name] = content.reshape(len(self.tokens), column.bytes)


def _bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    """(S, bytes of a row)."""
    return tensor.contiguous().reshape(len(tensor), -1).view(torch.uint8).numpy()

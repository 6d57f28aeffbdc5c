"""A file of named arrays: JSON header, then byte-shuffled, zstd-compressed, checksummed arrays. No pickle.

Layout: `MAGIC`; header size (8 bytes, little endian); CRC-32 of the header (4 bytes); header (UTF-8 JSON with `meta`
and, per array, dtype, shape, offset, size and CRC-32 of its compressed bytes); the compressed arrays end to end.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.outside.arrays import check_expansion
from navforge.core.outside.files import open_regular
from navforge.core.outside.records import record
from navforge.core.outside.text import parse_json

Arrays = dict[str, NDArray[Any]]

MAGIC = b"navforge arrays 1\n"
_PREFIX = struct.Struct("<QI")
_KINDS = "biufS"
_LEVEL = 12
_WHAT = "metric cache file"


@dataclass(frozen=True)
class _Entry:
    """Where an array lies, and what it is."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    crc: int


@dataclass(frozen=True)
class _Header:
    meta: dict[str, Any]
    arrays: dict[str, _Entry]


def write_arrays(path: Path | str, meta: dict[str, Any], arrays: Arrays) -> int:
    """Write a file; the same input gives the same bytes.

    Args:
        path: target.
        meta: plain JSON values.
        arrays: numbers, truth values or byte strings, by name.

    Returns:
        Size of the file in bytes.
    """
    index, blobs, offset = {}, [], 0
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"array {name!r} of dtype {array.dtype} cannot be stored")
        blob = _compress(array)
        index[name] = {
            "dtype": array.dtype.newbyteorder("<").str,
            "shape": list(array.shape),
            "offset": offset,
            "size": len(blob),
            "crc": zlib.crc32(blob),
        }
        blobs.append(blob)
        offset += len(blob)
    header = json.dumps({"meta": meta, "arrays": index}, sort_keys=True, allow_nan=False).encode()
    with open(path, "wb") as file:
        file.write(MAGIC + _PREFIX.pack(len(header), zlib.crc32(header)) + header)
        for blob in blobs:
            file.write(blob)
    return len(MAGIC) + _PREFIX.size + len(header) + offset


def read_meta(path: Path | str) -> dict[str, Any]:
    """The `meta` of a file, after a check of the header and of the file's size.

    Raises:
        DataError: no such file, not such a file, truncated, or a damaged header.
    """
    return _read_header(Path(path))[0].meta


def read_arrays(path: Path | str) -> tuple[dict[str, Any], Arrays]:
    """Meta and all arrays of a file.

    Raises:
        DataError: as `read_meta`, or a damaged array.
    """
    path = Path(path)
    header, start = _read_header(path)
    with open_regular(path, _WHAT) as file:
        file.seek(start)
        payload = memoryview(file.read())
    arrays = {}
    for name, entry in header.arrays.items():
        blob = payload[entry.offset : entry.offset + entry.size]
        if zlib.crc32(blob) != entry.crc:
            raise DataError(f"{path} is damaged: array {name!r} fails its checksum")
        try:
            arrays[name] = _decompress(blob, np.dtype(entry.dtype), entry.shape)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise DataError(f"{path} is damaged: array {name!r}: {error}") from error
    return header.meta, arrays


def _read_header(path: Path) -> tuple[_Header, int]:
    with open_regular(path, _WHAT) as file:
        stored = os.fstat(file.fileno()).st_size
        prefix = file.read(len(MAGIC) + _PREFIX.size)
        if not prefix.startswith(MAGIC) or len(prefix) < len(MAGIC) + _PREFIX.size:
            raise DataError(f"{path} is not a metric cache file of this version, or is cut off at its start")
        size, crc = _PREFIX.unpack(prefix[len(MAGIC) :])
        text = file.read(min(size, stored))
    if len(text) != size or zlib.crc32(text) != crc:
        raise DataError(f"{path} is damaged or cut off in its header")
    try:
        header = record(_Header, parse_json(text.decode()))
        _check_entries(header, stored)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged in its header: {error}") from error
    start = len(prefix) + size
    expected = start + sum(entry.size for entry in header.arrays.values())
    if stored != expected:
        raise DataError(f"{path} is cut off or damaged: {stored} bytes instead of {expected}")
    return header, start


def _check_entries(header: _Header, stored: int) -> None:
    """Raise ValueError or TypeError for arrays that cannot be, or that would unpack to far more than the file."""
    unpacked = 0
    for name, entry in header.arrays.items():
        dtype = np.dtype(entry.dtype)
        if dtype.kind not in _KINDS or min((entry.offset, entry.size, *entry.shape)) < 0:
            raise ValueError(f"array {name!r} of dtype {dtype}, shape {entry.shape}, {entry.size} bytes")
        unpacked += math.prod(entry.shape) * dtype.itemsize
    check_expansion(unpacked, stored)


def _compress(array: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    planes = little.view(np.uint8).reshape(-1, little.dtype.itemsize) if little.size else np.zeros((0, 1), np.uint8)
    codec = pyarrow.Codec("zstd", compression_level=_LEVEL)
    return codec.compress(np.ascontiguousarray(planes.T).tobytes(), asbytes=True)


def _decompress(blob: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    count = int(np.prod(shape, dtype=np.int64))
    size = count * dtype.itemsize
    if not size:
        return np.zeros(shape, dtype)
    raw = pyarrow.Codec("zstd").decompress(blob, decompressed_size=size, asbytes=True)
    planes = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(shape)

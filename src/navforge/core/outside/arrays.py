"""`.npy` and `.npz` files from outside: plain arrays, whose stated size is checked before memory is taken.

Headers are matched against the one form that numpy writes for plain numbers and text; nothing is evaluated.
"""

from __future__ import annotations

import lzma
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.outside.files import but_is, open_regular

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biufcSU][0-9]{1,6})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,200})\), *\} *\n"
)
_LARGEST_HEADER = 1 << 16
_UNSUSPICIOUS = 1 << 28
"""Bytes up to which an archive may unpack to any multiple of its size."""
_MOST_EXPANSION = 64
"""Bytes that a byte of a larger archive may unpack to; trajectories reach about 3."""
_LAST_CODE_POINT = 0x10FFFF
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What zipfile raises of a damaged or encrypted archive."""


def read_npy(path: Path | str, what: str, *, missing: str = "", remedy: str = "") -> NDArray[Any]:
    """The array in an `.npy` file.

    Args:
        path: the file.
        what: what it is to the user.
        missing: how to get it where it is not there.
        remedy: what to do about a damaged one.

    Raises:
        DataError: as `open_regular`, or not an array of plain numbers or text of exactly the size its header states.
    """
    with open_regular(path, what, missing=missing) as file:
        try:
            return _array(file, os.fstat(file.fileno()).st_size)
        except (*_DAMAGE, UnicodeError) as error:
            file.seek(0)
            words = f"; {remedy}" if remedy else ""
            head = file.read(16)
            kind = "" if head.startswith(_MAGIC) else but_is(head)
            raise DataError(f"{what} {path} is damaged: {error}{kind}{words}") from error


def read_npz(
    path: Path | str, what: str, names: Sequence[str], *, missing: str = "", remedy: str = ""
) -> dict[str, NDArray[Any]]:
    """Some arrays of an `.npz` file, by name; arguments as `read_npy`.

    Raises:
        DataError: as `open_regular`; not such an archive; an array is missing, damaged, or would unpack to a size out
            of proportion to the file.
    """
    words = f"; {remedy}" if remedy else ""
    with open_regular(path, what, missing=missing) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
                absent = [name for name in names if name not in entries]
                if absent:
                    listed = ", ".join(sorted(entries)[:8]) or "no arrays"
                    raise DataError(
                        f"{what} {path} has no array {', '.join(absent)}; it holds {listed[:200] or 'nothing'}{words}"
                    )
                try:
                    check_expansion(sum(entries[name].file_size for name in names), os.fstat(file.fileno()).st_size)
                except ValueError as error:
                    raise DataError(
                        f"{what} {path} is refused: {error}; if it is yours, write it with numpy.savez (uncompressed)"
                    ) from error
                return {name: _member(archive, entries[name], name) for name in names}
        except DataError:
            raise
        except _DAMAGE as error:
            file.seek(0)
            head = file.read(16)
            kind = "" if head.startswith(b"PK") else but_is(head)
            raise DataError(f"{what} {path} is damaged or not an npz file: {error}{kind}{words}") from error


def check_expansion(unpacked: int, stored: int) -> None:
    """Raise ValueError where bytes that are `stored` would unpack to a size out of proportion."""
    if unpacked > max(_UNSUSPICIOUS, _MOST_EXPANSION * stored):
        raise ValueError(
            f"it would unpack to {unpacked / (1 << 30):.1f} GiB, more than {_MOST_EXPANSION} times its size"
        )


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    try:
        with archive.open(entry) as member:
            return _array(member, entry.file_size)
    except _DAMAGE as error:
        # zipfile shows an object where a password is needed.
        raise ValueError(f"array {name!r}: {'encrypted' if entry.flag_bits & 1 else error}") from error


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of an `.npy` stream of `size` bytes."""
    start = file.read(8)
    if not start.startswith(_MAGIC) or len(start) != 8:
        raise ValueError("it does not start as an npy array")
    wide = start[6] > 1
    prefix = file.read(4 if wide else 2)
    length = int.from_bytes(prefix, "little")
    if length > _LARGEST_HEADER:
        raise ValueError(f"its header states a length of {length} bytes")
    match = _HEADER.fullmatch(file.read(length))
    if match is None:
        raise ValueError("its header does not describe an array of plain numbers or text")
    try:
        dtype = np.dtype(match[1].decode())
        shape = tuple(int(number) for number in match[3].decode().split(",") if number.strip())
    except TypeError as error:
        raise ValueError(str(error)) from error
    count = math.prod(shape)
    stored = size - len(start) - len(prefix) - length
    if count * dtype.itemsize != stored or len(shape) > 32:
        raise ValueError(f"shape {shape} and type {dtype.str} need {count * dtype.itemsize} bytes, it holds {stored}")
    array = np.frombuffer(bytearray(file.read(stored)), np.uint8)
    if len(array) != stored or file.read(1):
        raise ValueError("it is cut off")
    if dtype.kind == "b" and stored and array.max() > 1:
        raise ValueError("truth values other than 0 and 1")
    values = array.view(dtype) if stored else np.empty(count, dtype)
    if dtype.kind == "U" and stored:
        points = array.view(np.dtype(f"{dtype.byteorder if dtype.byteorder in '<>' else '='}u4"))
        if points.max() > _LAST_CODE_POINT:
            raise ValueError("text with characters outside Unicode")
    values = values.astype(dtype.newbyteorder("="), copy=False)
    return values.reshape(shape, order="F" if match[2] == b"True" else "C")

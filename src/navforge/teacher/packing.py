"""Columns of small integers packed into one run of bytes per scene: how a teacher store keeps a row.

A row is a head of 16 bytes and one plane per column, each starting at a multiple of 8 bytes, little-endian. In a plane
of b bits, entry i takes bits b * i .. b * i + b - 1, counted from the lowest bit of the first byte. Pure: arrays and
bytes in, arrays and bytes out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError

Codes = NDArray[np.unsignedinteger[Any]]

HEAD = struct.Struct("<IHHd")
"""CRC-32 of all that follows it in the row, `forgiven`, 0, `reference_gated_m`."""
_ALIGNED = 8


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the values of a column become integers of a few bits."""

    name: str
    bits: int
    steps: float | None
    """Value = integer / steps; None: the integer is the bit pattern of a float16."""
    exact: bool
    """Values without a code are refused instead of rounded."""

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        """Type of codes outside of a row."""
        return np.uint16 if self.bits == 16 else np.uint8

    @property
    def largest(self) -> int:
        """The largest code of a value in [0, 1]."""
        return int(np.float16(1.0).view(np.uint16)) if self.steps is None else round(self.steps)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """Value of every code; NaN for bit patterns that are not a code."""
        codes = np.arange(1 << self.bits)
        values = codes.astype(np.uint16).view(np.float16) if self.steps is None else codes / self.steps
        table = np.where(codes <= self.largest, values, np.nan).astype(np.float32)
        table.flags.writeable = False
        return table

    @cached_property
    def by_byte(self) -> NDArray[np.float32]:
        """(256, entries per byte) values of the entries in a byte; for encodings below 8 bits."""
        shifts = np.arange(0, 8, self.bits)
        table = self.values[(np.arange(256)[:, None] >> shifts) & ((1 << self.bits) - 1)]
        table.flags.writeable = False
        return table


FLAG = Encoding(name="flag", bits=1, steps=1.0, exact=True)
"""0 or 1."""
LEVEL = Encoding(name="level", bits=2, steps=2.0, exact=True)
"""0, 0.5 or 1."""
UNIT8 = Encoding(name="unit8", bits=8, steps=255.0, exact=False)
"""A number in [0, 1], to 2.0e-3."""
UNIT16 = Encoding(name="unit16", bits=16, steps=65535.0, exact=False)
"""A number in [0, 1], to 7.7e-6."""
HALF = Encoding(name="half", bits=16, steps=None, exact=True)
"""A float16 in [0, 1], as it is."""
ENCODINGS = {encoding.name: encoding for encoding in (FLAG, LEVEL, UNIT8, UNIT16, HALF)}


def encode(values: NDArray[np.floating[Any]], encoding: Encoding, column: str) -> Codes:
    """Codes (N,) of values (N,).

    Raises:
        DataError: a value is not finite, not in [0, 1], or not one of the values of an exact encoding.
    """
    if encoding.steps is None:
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        codes: Codes = (half + np.float16(0)).view(np.uint16)  # -0 becomes 0
        wrong = (half != values) | (codes > encoding.largest)
    else:
        with np.errstate(invalid="ignore"):
            scaled = values * encoding.steps
            whole = np.rint(scaled)
            wrong = ~((whole >= 0) & (whole <= encoding.steps))
            wrong |= whole != scaled if encoding.exact else ~((values >= 0) & (values <= 1))
            codes = whole.astype(encoding.dtype)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise DataError(f"column {column}: entry {place}: cannot keep the value {values[place]!r} as {encoding.name}")
    return codes


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a row says of its scene beside the columns."""

    forgiven: int = 0
    """Bit c is set where the human filter forgives column c of the layout."""
    reference_gated_m: float = 0.0
    """Progress of the PDM-Closed reference times its gates, m."""


@dataclass(frozen=True)
class RowLayout:
    """Where in a row the columns are."""

    entries: int
    columns: tuple[tuple[str, Encoding], ...]
    """Name and encoding in the order of the planes."""

    @cached_property
    def _planes(self) -> dict[str, tuple[int, int, Encoding]]:
        """Begin, number of bytes and encoding of each plane, by column."""
        planes, begin = {}, HEAD.size
        for name, encoding in self.columns:
            size = -(-self.entries * encoding.bits // 8)
            planes[name] = (begin, size, encoding)
            begin += -(-size // _ALIGNED) * _ALIGNED
        return planes

    @cached_property
    def row_bytes(self) -> int:
        """Bytes from one row to the next."""
        begin, size, _ = list(self._planes.values())[-1]
        return begin + -(-size // _ALIGNED) * _ALIGNED

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in the order of the planes."""
        return tuple(name for name, _ in self.columns)

    def pack(self, codes: Mapping[str, Codes], head: Head) -> bytes:
        """A row from the codes (N,) of every column, which must be in range (`encode` sees to it)."""
        row = np.zeros(self.row_bytes, np.uint8)
        for name, (begin, size, encoding) in self._planes.items():
            row[begin : begin + size] = _packed(codes[name], encoding)
        HEAD.pack_into(row.data, 0, 0, head.forgiven, 0, head.reference_gated_m)
        row[:4] = np.frombuffer(struct.pack("<I", zlib.crc32(row.data[4:])), np.uint8)
        return row.tobytes()

    def head(self, row: NDArray[np.uint8]) -> Head:
        """The head of a row (row_bytes,) after a check of every byte.

        Raises:
            DataError: a byte has changed since the row was packed.
        """
        crc, forgiven, zero, reference = HEAD.unpack_from(row.data, 0)
        if zlib.crc32(row.data[4:]) != crc or zero != 0:
            raise DataError("the bytes have changed since they were written")
        return Head(forgiven=forgiven, reference_gated_m=reference)

    def unpack(self, row: NDArray[np.uint8], names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Values (N,) of some columns of a row, by name."""
        return {name: self._values(row, *self._planes[name]) for name in names}

    def _values(self, row: NDArray[np.uint8], begin: int, size: int, encoding: Encoding) -> NDArray[np.float32]:
        plane = row[begin : begin + size]
        if encoding.bits < 8:
            return encoding.by_byte.take(plane, axis=0).reshape(-1)[: self.entries]
        return encoding.values.take(plane.view("<u2") if encoding.bits == 16 else plane)


def _packed(codes: Codes, encoding: Encoding) -> NDArray[np.uint8]:
    if encoding.bits == 16:
        return np.ascontiguousarray(codes, "<u2").view(np.uint8)
    if encoding.bits == 8:
        return np.ascontiguousarray(codes, np.uint8)
    if encoding.bits == 1:
        return np.packbits(codes.view(np.uint8), bitorder="little")
    per_byte = 8 // encoding.bits
    padded = np.zeros(-(-len(codes) // per_byte) * per_byte, np.uint8)
    padded[: len(codes)] = codes
    shifts = np.arange(0, 8, encoding.bits, dtype=np.uint8)
    return np.bitwise_or.reduce(padded.reshape(-1, per_byte) << shifts, axis=1, dtype=np.uint8)

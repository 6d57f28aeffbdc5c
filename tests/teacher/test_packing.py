"""Rows of packed columns: exactness, layout, and bytes that change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navforge.core.errors import DataError
from navforge.teacher.packing import ENCODINGS, FLAG, HALF, LEVEL, UNIT8, UNIT16, Encoding, Head, RowLayout, encode

LAYOUT = (("nc", LEVEL), ("dac", FLAG), ("ep", UNIT16), ("rough", UNIT8), ("half", HALF))


def random_values(encoding: Encoding, count: int, generator: np.random.Generator) -> np.ndarray:
    if encoding is HALF:
        return generator.random(count).astype(np.float16).astype(np.float64)
    return generator.integers(0, round(encoding.steps) + 1, count) / encoding.steps


@settings(max_examples=60, deadline=None)
@given(entries=st.integers(1, 70), seed=st.integers(0, 1000), names=st.permutations([name for name, _ in LAYOUT]))
def test_what_is_packed_is_read_back_whatever_the_size_and_order(entries: int, seed: int, names: list[str]) -> None:
    generator = np.random.default_rng(seed)
    kinds = dict(LAYOUT)
    layout = RowLayout(entries, tuple((name, kinds[name]) for name in names))
    values = {name: random_values(kinds[name], entries, generator) for name in names}
    row = layout.pack({n: encode(v, kinds[n], n) for n, v in values.items()}, Head(forgiven=5, reference_gated_m=7.25))
    assert len(row) == layout.row_bytes and layout.row_bytes % 8 == 0
    held = np.frombuffer(row, np.uint8)
    assert layout.head(held) == Head(forgiven=5, reference_gated_m=7.25)
    for name, found in layout.unpack(held, names).items():
        np.testing.assert_array_equal(found, values[name].astype(np.float32))


def test_the_bytes_are_as_the_page_says() -> None:
    """Entry i takes bits b * i and on, lowest bit first; 16-bit planes are little-endian; planes start at 8 bytes."""
    layout = RowLayout(9, (("nc", LEVEL), ("dac", FLAG), ("ep", UNIT16)))
    codes = {
        "nc": np.array([0, 1, 2, 0, 2, 0, 0, 0, 1], np.uint8),
        "dac": np.array([1, 0, 0, 0, 0, 0, 0, 1, 1], np.uint8),
        "ep": np.arange(9, dtype=np.uint16) + 256,
    }
    row = layout.pack(codes, Head())
    assert row[16:19] == bytes([0b00_10_01_00, 0b00_00_00_10, 0b01]) and not any(row[19:24])
    assert row[24:26] == bytes([0b1000_0001, 0b1]) and not any(row[26:32])
    assert row[32:36] == bytes([0, 1, 1, 1]) and len(row) == 56


def test_a_row_of_8192_entries_meets_the_size_that_navtrain_needs() -> None:
    columns = [(f"two{i}", LEVEL) for i in range(2)] + [(f"one{i}", FLAG) for i in range(5)] + [("ep", UNIT16)]
    layout = RowLayout(8192, tuple(columns))
    assert layout.row_bytes == 8192 * 25 // 8 + 16
    assert layout.row_bytes * 103_288 < 3e9


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=lambda encoding: encoding.name)
def test_rounding_is_at_most_half_a_step_and_the_ends_are_exact(encoding: Encoding) -> None:
    ends = encode(np.array([0.0, 1.0]), encoding, "x")
    assert encoding.values[ends].tolist() == [0.0, 1.0]
    if not encoding.exact:
        values = np.linspace(0, 1, 10_001)
        rounded = encoding.values[encode(values, encoding, "x")]
        assert np.abs(rounded - values).max() <= 0.5 / encoding.steps + 1e-7


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        ([0.5], FLAG),
        ([0.25], LEVEL),
        ([1.5], LEVEL),
        ([1.0000001], UNIT16),
        ([-1e-9], UNIT16),
        ([np.nan], UNIT16),
        ([np.nan], FLAG),
        ([np.inf], UNIT8),
        ([0.1], HALF),
        ([1.5], HALF),
        ([-0.5], HALF),
        ([np.nan], HALF),
    ],
)
def test_values_that_cannot_be_kept_are_refused(values: list[float], encoding: Encoding) -> None:
    with pytest.raises(DataError, match="column x: entry 1: cannot keep the value"):
        encode(np.array([0.0, *values]), encoding, "x")


def test_minus_zero_is_zero() -> None:
    assert encode(np.array([-0.0]), HALF, "x").tolist() == [0]


@pytest.mark.parametrize("place", [0, 4, 6, 9, 16, 20, 33, 55])
def test_any_byte_that_changes_is_noticed(place: int) -> None:
    layout = RowLayout(9, (("nc", LEVEL), ("dac", FLAG), ("ep", UNIT16)))
    codes = {"nc": np.ones(9, np.uint8), "dac": np.ones(9, np.uint8), "ep": np.ones(9, np.uint16)}
    row = np.frombuffer(layout.pack(codes, Head(reference_gated_m=9.0)), np.uint8).copy()
    layout.head(row)
    row[place] ^= 16
    with pytest.raises(DataError, match="changed"):
        layout.head(row)


def test_codes_stand_for_equal_shares_of_one() -> None:
    assert LEVEL.values[:3].tolist() == [0.0, 0.5, 1.0] and FLAG.values.tolist() == [0.0, 1.0]
    assert UNIT8.values[[0, 51, 255]].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert UNIT16.values[[0, 13107, 65535]].tolist() == pytest.approx([0.0, 0.2, 1.0])

"""Time masks: the compiled instructions against plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.geometry.bits import MASK_STEPS, lowest, marked
from navforge.geometry.compiled import kernel


@kernel
def compiled_lowest(mask):
    return lowest(mask)


@kernel
def compiled_marked(codes, row, n, pattern):
    return marked(codes, row, n, pattern)


def test_the_lowest_bit() -> None:
    masks = [1 << t for t in range(63)] + [0b1011000, 3 << 40, (1 << 41) - 1, -8, -(1 << 63)]
    for mask in masks:
        expected = next(t for t in range(64) if mask >> t & 1)
        assert lowest(mask) == compiled_lowest(mask) == expected


@pytest.mark.parametrize("pattern", [1, 2, 0x30, 0x80, 0xFF])
def test_marked_steps(pattern: int) -> None:
    rng = np.random.default_rng(pattern)
    codes = rng.integers(0, 256, (3, 8, MASK_STEPS), dtype=np.uint8) & rng.integers(0, 256, (3, 8, MASK_STEPS)).astype(
        np.uint8
    )
    seen = 0
    for row in range(3):
        for n in range(8):
            bits = "".join("1" if codes[row, n, t] & pattern else "0" for t in reversed(range(MASK_STEPS)))
            assert marked(codes, row, n, pattern) == int(bits, 2)
            found = compiled_marked(codes, row, n, pattern)
            assert found % 2**64 == int(bits, 2), "bit 63 is the sign"
            seen |= found
    assert seen != 0


def test_marked_needs_bytes_in_order() -> None:
    with pytest.raises(Exception, match="C-contiguous"):
        compiled_marked(np.zeros((2, 8, 64), dtype=np.int64), 0, 0, 1)
    with pytest.raises(Exception, match="C-contiguous"):
        compiled_marked(np.asfortranarray(np.zeros((2, 8, 64), dtype=np.uint8)), 0, 0, 1)

"""Look-ups in tables by eight proposals at once."""

from __future__ import annotations

import numpy as np

from navforge.geometry.bits import MASK_STEPS
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, lanes_at
from navforge.geometry.tables import gather


@kernel
def gather_all(table, at, indices, codes):
    for row in range(at.shape[0]):
        for t in range(at.shape[1]):
            gather(table, at[row, t, lanes_at(0)], indices, codes, row, t)


def test_each_lane_reads_its_own_cell() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, 1000).astype(np.uint8)
    at = rng.integers(0, 1000, (2, 41, WIDTH)).astype(np.float64)
    at[0, 0] = [0, 999, 0, 999, 1, 998, 500, 501]
    codes = np.zeros((2, WIDTH, MASK_STEPS), dtype=np.uint8)
    gather_all(table, at, np.empty((2, WIDTH), dtype=np.int64), codes)
    np.testing.assert_array_equal(codes[:, :, :41], table[at.astype(int)].transpose(0, 2, 1))
    assert not codes[:, :, 41:].any(), "other steps are left alone"

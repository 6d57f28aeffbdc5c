from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from navforge.metric_cache.ragged import gather_polygons, is_listed, slices

LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=8)


def starts(lengths) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int64)


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, data=st.data())
def test_slices_are_those_of_the_rows_in_turn(lengths, data):
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    start = starts(lengths)
    number, element = slices(start, np.array(rows, np.int32))
    expected = [(i, k) for i, row in enumerate(rows) for k in range(start[row], start[row + 1])]
    assert list(zip(number.tolist(), element.tolist(), strict=True)) == expected


@settings(max_examples=50, deadline=None)
@given(rings=LENGTHS, data=st.data())
def test_gathered_polygons_are_the_polygons(rings, data):
    vertices = data.draw(st.lists(st.integers(1, 5), min_size=sum(rings), max_size=sum(rings)))
    rows = data.draw(st.lists(st.integers(0, len(rings) - 1), max_size=6))
    polygon_start, ring_start = starts(rings), starts(vertices)
    xy = np.random.default_rng(0).normal(size=(int(ring_start[-1]), 2))

    def polygons(polygon_start, ring_start, xy):
        return [
            [xy[ring_start[r] : ring_start[r + 1]].tolist() for r in range(polygon_start[p], polygon_start[p + 1])]
            for p in range(len(polygon_start) - 1)
        ]

    out_xy, out_ring, out_polygon = gather_polygons(np.array(rows, np.int32), polygon_start, ring_start, xy)
    table = polygons(polygon_start, ring_start, xy)
    assert polygons(out_polygon, out_ring, out_xy) == [table[row] for row in rows]
    assert out_ring.dtype == out_polygon.dtype == np.int64


@given(values=st.lists(st.integers(0, 9)), listed=st.lists(st.integers(0, 9)))
@settings(max_examples=50, deadline=None)
def test_is_listed_is_isin(values, listed):
    found = is_listed(np.array(values, np.int64), np.array(listed, np.int64))
    assert found.tolist() == np.isin(values, listed).tolist()

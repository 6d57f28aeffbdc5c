"""Polygons of a cached scene as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.se2 import points_to_local
from navforge.scoring.arrays import PolygonArrays

Float = NDArray[np.float64]

WRITABLE = ("C", "W")
"""Kernels are compiled anew for read-only arrays, such as those of a memory-mapped cache, so none reaches them."""
MARGIN_M = 1e-6
"""Slack of broad phases against rounding: what is this near is tested exactly."""


def prepare_polygons(
    xy: Float, ring_start: NDArray[np.int64], polygon_start: NDArray[np.int64], origin: Float
) -> PolygonArrays:
    """Polygons in the frame of `origin`, with their bounds."""
    local = np.ascontiguousarray(points_to_local(origin, np.asarray(xy, dtype=np.float64).reshape(-1, 2)))
    ring_start = np.require(ring_start, np.int64, WRITABLE)
    polygon_start = np.require(polygon_start, np.int64, WRITABLE)
    count = len(polygon_start) - 1
    bounds = np.empty((count, 4))
    if count:
        first_vertex = ring_start[polygon_start[:-1]]
        if (ring_start[polygon_start[1:]] <= first_vertex).any():
            raise DataError(f"polygon {int(np.argmin(ring_start[polygon_start[1:]] - first_vertex))} has no vertices")
        bounds[:, :2] = np.minimum.reduceat(local, first_vertex)
        bounds[:, 2:] = np.maximum.reduceat(local, first_vertex)
    return PolygonArrays(local, ring_start, polygon_start, bounds)


def any_of(codes: NDArray[np.uint8], chosen: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether each code is one of a few (`numpy.isin`, quicker on small arrays)."""
    found = np.zeros(len(codes), dtype=np.bool_)
    for code in chosen:
        found |= codes == code
    return found

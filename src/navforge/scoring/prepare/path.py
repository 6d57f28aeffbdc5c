"""The centreline of a cached scene as the kernels read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.se2 import points_to_local
from navforge.scoring.arrays import PATH_BLOCK, AreaArrays, PathArrays
from navforge.scoring.kernels.path import MAX_RUNS, SEGMENT_COLUMNS, fill_near, fill_segments
from navforge.scoring.prepare.polygons import MARGIN_M

Float = NDArray[np.float64]


def prepare_path(centerline: Float, origin: Float, areas: AreaArrays) -> PathArrays:
    """The centreline (M, 3) in the frame of `origin`, and which of it is near each cell of the areas' raster.

    Raises:
        DataError: less than two points.
    """
    if len(centerline) < 2:
        raise DataError(f"the centreline has {len(centerline)} points; progress needs at least two")
    xy = np.ascontiguousarray(points_to_local(origin, centerline[:, :2]))
    segment = np.empty((len(xy) - 1, SEGMENT_COLUMNS))
    block = np.empty(((len(segment) - 1) // PATH_BLOCK + 1, 3))
    fill_segments(xy, MARGIN_M, segment, block)
    unit = -(-len(segment) // MAX_RUNS)
    near_first = np.empty(len(areas.raster), dtype=np.uint8)
    near_last = np.empty(len(areas.raster), dtype=np.uint8)
    fill_near(
        segment, areas.raster_grid, areas.raster_rows, areas.raster_columns, unit, MARGIN_M, near_first, near_last
    )
    return PathArrays(xy, segment, block, near_first, near_last, unit)

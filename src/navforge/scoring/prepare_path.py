"""The centreline of a cached scene as the kernels read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.se2 import points_to_local
from navforge.scoring.arrays import PATH_BLOCK, PathArrays
from navforge.scoring.prepare_polygons import MARGIN_M

Float = NDArray[np.float64]


def prepare_path(centerline: Float, origin: Float) -> PathArrays:
    """The centreline (M, 3) in the frame of `origin`.

    Raises:
        DataError: less than two points.
    """
    if len(centerline) < 2:
        raise DataError(f"the centreline has {len(centerline)} points; progress needs at least two")
    xy = np.ascontiguousarray(points_to_local(origin, centerline[:, :2]))
    lengths = np.hypot(*np.diff(xy, axis=0).T)
    blocks = []
    for first in range(0, len(xy) - 1, PATH_BLOCK):
        points = xy[first : first + PATH_BLOCK + 1]
        center = 0.5 * (points.min(axis=0) + points.max(axis=0))
        blocks.append([*center, np.hypot(*(points - center).T).max() + MARGIN_M])
    return PathArrays(xy, np.concatenate([[0.0], np.cumsum(lengths)]), np.array(blocks))

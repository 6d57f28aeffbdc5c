"""Polygons of a cached scene as the kernels read them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import Pose
from navforge.geometry.writable import writable
from navforge.scoring.arrays import PolygonArrays
from navforge.scoring.kernels.prepare import fill_polygons

Float = NDArray[np.float64]

INT = np.dtype(np.int64)
MARGIN_M = 1e-6
"""Slack of broad phases against rounding: what is this near is tested exactly."""


def frame_of(origin: Float) -> Float:
    """(5,) the frame of a global pose (3,), as `kernels_prepare` takes it."""
    heading = origin[Pose.HEADING]
    return np.array([origin[Pose.X], origin[Pose.Y], heading, math.cos(heading), math.sin(heading)])


def prepare_polygons(
    xy: Float, ring_start: NDArray[np.int64], polygon_start: NDArray[np.int64], origin: Float
) -> PolygonArrays:
    """Polygons in the frame of `origin`, with their bounds.

    Raises:
        DataError: a polygon without vertices.
    """
    xy = writable(xy).reshape(-1, 2)
    ring_start = writable(ring_start, INT)
    polygon_start = writable(polygon_start, INT)
    local = np.empty_like(xy)
    bounds = np.empty((len(polygon_start) - 1, 4))
    empty = fill_polygons(xy, ring_start, polygon_start, frame_of(origin), local, bounds)
    if empty >= 0:
        raise DataError(f"polygon {empty} has no vertices")
    return PolygonArrays(local, ring_start, polygon_start, bounds)

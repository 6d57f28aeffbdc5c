"""What the scoring kernels read: named tuples of flat arrays in the ego frame of a scene.

Ego frame: origin at the rear axle of the current pose, x forward. Coordinates stay small, so nothing is lost to
rounding, and what depends on the plan alone can be shared between scenes.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int32]


class Area(IntEnum):
    """Classes of map polygons that the scores ask about."""

    DRIVABLE = 0
    """Roadblocks, intersections, car parks (not roadblock connectors, not generic drivable polygons)."""
    ON_ROUTE = 1
    """Lanes and lane connectors of the corrected route."""
    INTERSECTION = 2
    LANE = 3
    """All lanes and lane connectors."""


class PolygonArrays(NamedTuple):
    """Polygons with rings, as `metric_cache.scene.MapPolygons`, in the ego frame."""

    xy: Float
    ring_start: NDArray[np.int64]
    polygon_start: NDArray[np.int64]
    bounds: Float
    """(P, 4) x min, y min, x max, y max."""


class AreaArrays(NamedTuple):
    """Polygons by class, with square bins over them and a raster of what needs no exact test."""

    polygons: PolygonArrays
    member_start: Int
    """(5,) polygons of class a: `members[member_start[a]:member_start[a + 1]]`."""
    members: Int
    bin_grid: Float
    """(3,) x, y of the lower corner and side of the bins, m."""
    bin_count: int
    """Bins per axis; a point outside them is tested against all members."""
    bin_start: Int
    """(4 * bins * bins + 1,) by class, row (y), column (x)."""
    bin_members: Int
    stripe_axis: NDArray[np.uint8]
    """(P,) coordinate, 0 for x and 1 for y, that the stripes of a polygon divide, from its bounds on."""
    stripe_first: Int
    """(P + 1,) first stripe of each polygon."""
    stripe_start: Int
    """(stripes + 1,) edges of stripe s: `stripe_edge[stripe_start[s]:stripe_start[s + 1]]`."""
    stripe_edge: Int
    """Vertices in `polygons.xy` at which edges begin."""
    raster_grid: Float
    """(3,) x, y of the lower corner and side of the raster's cells, m."""
    raster: NDArray[np.uint8]
    """(rows * columns,) two bits for each of the first three classes: 0 outside, 1 inside, 2 to be tested. Points
    outside the raster look at the nearest cell of its border, which says to be tested for all classes. Without a raster
    one such cell."""
    raster_rows: int
    raster_columns: int
    raster_scale: float
    """Cells per m."""


class PathArrays(NamedTuple):
    """The route's centreline."""

    xy: Float
    """(M, 2)"""
    segment: Float
    """(M - 1, 7) start x, y; way x, y; 1 / (length squared), 0 if it has none; length; arc length at its start, m."""
    block: Float
    """(B, 3) circle around each run of `PATH_BLOCK` segments: x, y, radius."""
    near_first: NDArray[np.uint8]
    """(cells of `AreaArrays.raster`,) first run of `near_unit` segments that may be within 0.5 m of a point of the
    cell, counted from 1; 0 where none is."""
    near_last: NDArray[np.uint8]
    """(cells,) last such run, counted from 1."""
    near_unit: int
    """Segments per run, so that a byte holds the number of any run."""


PATH_BLOCK = 8


class TrafficArrays(NamedTuple):
    """Tracks of other road users, nearest first; objects that exist at no step are left out.

    Bounds are axis-parallel, in the ego frame, a little larger than the boxes; those of nothing hold no point (low
    infinite, high minus infinite).
    """

    bounds: Float
    """(G, 4, 8) low x, low y, high x, high y over all steps; object o is `[o // 8, :, o % 8]`, the rest nothing."""
    windows: Float
    """(O, 4, W) the same over windows of `WINDOW_STEPS` steps; W is a multiple of 8."""
    track: Float
    """(O, T, 4) box centre x, y, cosine and sine of the heading; 0 where the object does not exist."""
    present: NDArray[np.int64]
    """(O,) time mask: bit t says that the object exists at step t."""
    half_length: Float
    half_width: Float
    reach_squared: Float
    """(O,) (distance of centres beyond which the box cannot meet the ego's) squared."""
    is_agent: NDArray[np.bool_]
    """(O,) vehicle, pedestrian or bicycle."""
    is_stopped: NDArray[np.bool_]
    """(O,) at rest when first seen, or static."""
    object: Int
    """(O,) row of the object in the scene's tracks."""


WINDOW_STEPS = 3
MAX_TRAFFIC_STEPS = 60
"""Steps of objects that a time mask and the windows hold; both releases know fewer (41 and 51)."""


class LightArrays(NamedTuple):
    """Connectors that are ever red."""

    polygons: PolygonArrays
    red: NDArray[np.int64]
    """(K,) time mask: bit t says that the connector is red at step t."""


class ComfortArrays(NamedTuple):
    """History and filters of the comfort sub-score; a filter row i is `coefficients[i]` from sample `start[i]` on."""

    enabled: bool
    """False where no history is known: comfort is then 1."""
    history: Float
    """(H, 11) states before the first simulated one."""
    lever_m: float
    """Accelerations are taken this far ahead of the rear axle."""
    lateral_ok: bool
    """Lateral acceleration is not simulated: whether it stays in bounds is a constant of the scene."""
    longitudinal_start: Int
    longitudinal: Float
    acceleration_start: Int
    acceleration: Float
    jerk_start: Int
    jerk: Float
    yaw_rate_start: Int
    yaw_rate: Float
    yaw_acceleration_start: Int
    yaw_acceleration: Float

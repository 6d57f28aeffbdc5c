"""`CachedScene`: everything the simulation and the scores of one scene depend on, as flat arrays.

Frame: global map frame of the scene's location (metric CRS, metres), float64, unless said otherwise.
Times are microseconds (int64); steps are 0.1 s apart from the scene's `time_us`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

OBSERVATION_STEPS = 51
"""Object poses are kept for 5 s (51 steps): v1.1 looks 5 s ahead, v2 uses the first 41 steps (4 s)."""


class MapLayer(IntEnum):
    """Kinds of polygons in a scene's drivable map (names of nuPlan's semantic map layers)."""

    ROADBLOCK = 0
    ROADBLOCK_CONNECTOR = 1
    LANE = 2
    LANE_CONNECTOR = 3
    INTERSECTION = 4
    CARPARK_AREA = 5
    GENERIC_DRIVABLE_AREA = 6


class ObjectType(IntEnum):
    """Object classes of OpenScene; the first three are agents (they move), the others static."""

    VEHICLE = 0
    PEDESTRIAN = 1
    BICYCLE = 2
    TRAFFIC_CONE = 3
    BARRIER = 4
    CZONE_SIGN = 5
    GENERIC_OBJECT = 6


@dataclass(frozen=True, slots=True)
class MapPolygons:
    """Polygons of the drivable map, in devkit order.

    Polygon p has rings `polygon_start[p]:polygon_start[p + 1]` (first exterior, then holes); ring r has vertices
    `xy[ring_start[r]:ring_start[r + 1]]`, closed (last vertex repeats the first).
    """

    xy: Float
    """(V, 2) vertices."""
    ring_start: NDArray[np.int64]
    """(R + 1,)"""
    polygon_start: NDArray[np.int64]
    """(P + 1,)"""
    layer: NDArray[np.uint8]
    """(P,) `MapLayer`."""
    fid: NDArray[np.int64]
    """(P,) feature id in the map file; unique across layers of one map."""
    on_route: NDArray[np.bool_]
    """(P,) lane or lane connector whose id is among the (corrected) route's lanes."""


@dataclass(frozen=True, slots=True)
class ObjectTracks:
    """Tracked objects at 10 Hz, in devkit order (order of first sighting)."""

    token: NDArray[np.str_]
    """(O,) track token."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType`."""
    extent: Float
    """(O, 2) length, width of the first sighting."""
    pose: Float
    """(O, 51, 3) box centre x, y, heading; NaN-free; meaningful where `valid`."""
    velocity: Float
    """(O, 51, 2) velocity vx, vy in the global frame, as the devkit interpolates it; 0 for static objects."""
    valid: NDArray[np.bool_]
    """(O, 51) the object exists at this step."""
    first_heading: Float
    """(O,) heading of the first sighting; collision types and TTC use it with the current centroid."""
    first_velocity: Float
    """(O, 2) velocity of the first sighting, global frame."""


@dataclass(frozen=True, slots=True)
class RedLights:
    """Lane connectors under a red light, per step; the obstacle is the connector's polygon."""

    step: NDArray[np.uint8]
    """(L,) step 0..50 of each entry."""
    connector: NDArray[np.int64]
    """(L,) index into `xy`'s polygons (`ring_start`)."""
    fid: NDArray[np.int64]
    """(K,) feature id of each connector that is ever red."""
    xy: Float
    """(W, 2) vertices of the connectors' closed exterior rings."""
    ring_start: NDArray[np.int64]
    """(K + 1,)"""


@dataclass(frozen=True, slots=True)
class CachedScene:
    """One scene of the metric cache."""

    token: str
    log_name: str
    map_location: str
    time_us: int
    """Time of the current frame."""
    synthetic: bool
    """Rendered second-stage scene (17-character token): no human trajectory, no human filter."""
    ego_state: Float
    """(11,) state of the current frame (`geometry.columns.State`)."""
    history_states: Float
    """(H, 11) logged states at 10 Hz before the current frame, H 14 or 15, padded in front by history comfort."""
    human_poses: Float | None
    """(8, 3) logged future at 2 Hz, ego frame of the current pose; None where `synthetic`."""
    pdm_reference: Float
    """(51, 3) PDM-Closed trajectory x, y, heading at 10 Hz from the current time; its first pose is the ego
    projected onto the path."""
    pdm_times_us: NDArray[np.int64]
    """(51,) times of `pdm_reference`."""
    centerline: Float
    """(M, 3) route centreline x, y, heading; points repeat at lane joints."""
    centerline_progress: Float
    """(M,) arc length in m along `centerline`."""
    route_lane_ids: tuple[str, ...]
    """Lanes and lane connectors of the corrected route, in order."""
    polygons: MapPolygons
    objects: ObjectTracks
    red_lights: RedLights

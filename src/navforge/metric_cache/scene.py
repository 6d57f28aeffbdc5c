"""`CachedScene`: everything the simulation and the scores of one scene depend on, as flat arrays.

Frame: global map frame of the scene's location (metric CRS, metres), float64, unless said otherwise.
Times are microseconds (int64); steps are 0.1 s apart from the scene's `time_us`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.reactive import ReactiveStart
from navforge.metric_cache.tracks import ObjectTracks

Float = NDArray[np.float64]

SCORED_STEPS = 41
"""Steps of 0.1 s that are simulated and scored (4 s and the current state)."""
REFERENCE_STEPS = 51
"""Steps of the PDM-Closed trajectory (5 s and the current state)."""


class MapLayer(IntEnum):
    """Kinds of polygons in a scene's drivable map (names of nuPlan's semantic map layers)."""

    ROADBLOCK = 0
    ROADBLOCK_CONNECTOR = 1
    LANE = 2
    LANE_CONNECTOR = 3
    INTERSECTION = 4
    CARPARK_AREA = 5
    GENERIC_DRIVABLE_AREA = 6


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

    def near(self, bounds: Float) -> MapPolygons:
        """The polygons whose own bounds meet some bounds.

        Args:
            bounds: (4,) low x, low y, high x, high y, global frame.
        """
        from navforge.metric_cache.ragged import gather_polygons, polygons_near  # noqa: PLC0415 (loads numba: seconds)

        rows = polygons_near(self.xy, self.ring_start, self.polygon_start, bounds)
        rings = gather_polygons(rows, self.polygon_start, self.ring_start, self.xy)
        return MapPolygons(*rings, self.layer[rows], self.fid[rows], self.on_route[rows])


@dataclass(frozen=True, slots=True)
class RedLights:
    """Lane connectors under a red light, per step; the obstacle is the connector's polygon. v2.2 only."""

    step: NDArray[np.uint8]
    """(L,) step 0..40 of each entry, ascending."""
    connector: NDArray[np.int64]
    """(L,) index k of the connector."""
    fid: NDArray[np.int64]
    """(K,) feature id of each connector that is ever red."""
    xy: Float
    """(W, 2) vertices of the connectors' closed rings."""
    ring_start: NDArray[np.int64]
    """(R + 1,) ring r has vertices `xy[ring_start[r]:ring_start[r + 1]]`."""
    polygon_start: NDArray[np.int64]
    """(K + 1,) connector k has rings `polygon_start[k]:polygon_start[k + 1]`, the exterior first."""


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
    """(H, 11) logged states at 10 Hz before the current frame, H 14 or 15, padded in front by history comfort.
    H 0 means that no history is given: history comfort is then 1 (PDM-Closed scores its own proposals so)."""
    human_poses: Float | None
    """(8, 3) logged future at 2 Hz, ego frame of the current pose; None where `synthetic`."""
    pdm_reference: Float
    """(2, 51, 3) by `Devkit`: PDM-Closed trajectory x, y, heading at 10 Hz from the current time; its first pose is
    the ego projected onto the path."""
    pdm_reference_input: Float
    """(2, 41, 3) by `Devkit`: `pdm_reference` as the simulator gets it, resampled at microsecond-truncated times."""
    pdm_times_us: NDArray[np.int64]
    """(51,) times of `pdm_reference`."""
    centerline: Float
    """(M, 3) route centreline x, y, heading; points repeat at lane joints."""
    centerline_progress: Float
    """(M,) arc length in m along `centerline`."""
    route_lane_ids: tuple[str, ...]
    """Lanes and lane connectors of the corrected route, in order."""
    polygons: MapPolygons
    objects_v1: ObjectTracks | None
    """Objects by the rules of v1.1 (51 steps); None where the log has less than 5 s of future frames."""
    objects_v2: ObjectTracks
    """Objects by the rules of v2.2 (41 steps)."""
    red_lights: RedLights
    reactive: ReactiveStart | None = None
    """Where reactive traffic starts; None in a scene that is not meant for it."""

    def objects(self, devkit: Devkit) -> ObjectTracks:
        """Objects as a devkit release interpolates them.

        Raises:
            DataError: `Devkit.V1` of a scene with less than 5 s of future frames.
        """
        if devkit is Devkit.V2:
            return self.objects_v2
        if self.objects_v1 is None:
            raise DataError(
                f"scene {self.token} of log {self.log_name} has less than 5 s of future frames, which protocol pdms_v1 "
                "needs; use a scene filter with num_future_frames=10, or another protocol"
            )
        return self.objects_v1

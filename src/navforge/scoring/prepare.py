"""A cached scene made ready for the kernels: flat arrays in its ego frame, with indexes over them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import Pose, State
from navforge.geometry.se2 import points_to_local
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.scene import CachedScene, Devkit, MapLayer, MapPolygons, ObjectTracks, ObjectType, RedLights
from navforge.scoring.arrays import (
    PATH_BLOCK,
    AreaArrays,
    ComfortArrays,
    LightArrays,
    PathArrays,
    PolygonArrays,
    TrafficArrays,
)
from navforge.scoring.filters import savgol_matrix, savgol_rows
from navforge.scoring.kernels_area import CLASSES, fill_bins, fill_raster
from navforge.scoring.kernels_comfort import MAX_LATERAL_ACCELERATION
from navforge.scoring.kernels_traffic import EGO_RADIUS_M
from navforge.simulation.tracker import STEP_S, STEPS

Float = NDArray[np.float64]

DRIVABLE_LAYERS = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA)
LANE_LAYERS = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
AGENT_TYPES = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
STOPPED_OBJECT_SPEED_MPS = 0.05
BIN_SIDE_M = 8.0
BIN_COUNT = 32
RASTER_SIDE_M = 0.5
RASTER_LOW_M = (-24.0, -52.0)
RASTER_HIGH_M = (88.0, 52.0)
"""Extent of the raster in the ego frame; points outside take the exact test."""
WRITABLE = ("C", "W")
"""Kernels are compiled anew for read-only arrays, such as those of a memory-mapped cache, so none reaches them."""
STRIP_LOW_M = -32.0
STRIP_SIDE_M = 2.0
STRIP_COUNT = 64
MARGIN_M = 1e-6
"""Slack of broad phases against rounding: what is this near is tested exactly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedScene:
    """A scene as the kernels read it. Arrays are in the ego frame of `ego_state`; states go in as they are, global."""

    token: str
    ego_state: Float
    """(11,) current state, global frame."""
    areas: AreaArrays
    path: PathArrays
    lights: LightArrays
    traffic: dict[Devkit, TrafficArrays]
    """By the rules of each release that the scene's frames allow."""
    comfort: dict[Devkit, ComfortArrays]

    def traffic_of(self, devkit: Devkit) -> TrafficArrays:
        """Other road users by the rules of a release.

        Raises:
            DataError: the scene's log ends too early for that release.
        """
        if devkit not in self.traffic:
            raise DataError(
                f"scene {self.token} has less than 5 s of future frames, which protocol pdms_v1 needs; use a scene "
                "filter with num_future_frames=10, or another protocol"
            )
        return self.traffic[devkit]


def prepare(
    scene: CachedScene,
    *,
    devkits: Collection[Devkit] = tuple(Devkit),
    drop_overlapping: bool | None = None,
    raster: bool = True,
) -> PreparedScene:
    """Make a scene ready for `scoring.engine.score_proposals`.

    The PDM-Closed reference is not read, so a scene whose reference is yet to be planned can be prepared.

    Args:
        scene: the cached scene, global frame.
        devkits: releases by whose rules it will be scored; those that its frames do not allow are left out.
        drop_overlapping: ignore objects whose box meets the ego's at the current step. None: as the benchmark does
            (v2's log replay drops them, v1.1 does not). PDM-Closed ignores them in both.
        raster: build the raster over the map; worth its few hundred microseconds from some ten proposals on. Scores
            are the same without it.

    Raises:
        DataError: a centreline with less than two points.
    """
    origin = scene.ego_state[: State.HEADING + 1]
    traffic = {}
    for devkit in devkits:
        if devkit is Devkit.V1 and scene.objects_v1 is None:
            continue
        drop = devkit is Devkit.V2 if drop_overlapping is None else drop_overlapping
        traffic[devkit] = prepare_traffic(scene.objects(devkit), origin, drop_overlapping=drop)
    return PreparedScene(
        token=scene.token,
        ego_state=np.require(scene.ego_state, np.float64, WRITABLE),
        areas=prepare_areas(scene.polygons, origin, raster=raster),
        path=prepare_path(scene.centerline, origin),
        lights=prepare_lights(scene.red_lights, origin),
        traffic=traffic,
        comfort={
            devkit: prepare_comfort_v1(scene.ego_state)
            if devkit is Devkit.V1
            else prepare_comfort_v2(scene.ego_state, scene.history_states)
            for devkit in devkits
        },
    )


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


def prepare_areas(polygons: MapPolygons, origin: Float, *, raster: bool) -> AreaArrays:
    """Map polygons by class (`scoring.arrays.Area`), binned and rasterised."""
    shapes = prepare_polygons(polygons.xy, polygons.ring_start, polygons.polygon_start, origin)
    lane = _any_of(polygons.layer, LANE_LAYERS)
    classes = (
        _any_of(polygons.layer, DRIVABLE_LAYERS),
        lane & polygons.on_route,
        polygons.layer == MapLayer.INTERSECTION,
        lane,
    )
    members = np.concatenate([np.flatnonzero(chosen) for chosen in classes]).astype(np.int32)
    member_start = np.concatenate([[0], np.cumsum([chosen.sum() for chosen in classes])]).astype(np.int32)
    bin_low = -0.5 * BIN_SIDE_M * BIN_COUNT
    bin_grid = np.array([bin_low, bin_low, BIN_SIDE_M])
    bin_start = np.zeros(CLASSES * BIN_COUNT * BIN_COUNT + 1, dtype=np.int32)
    fill_bins(shapes.bounds, member_start, members, bin_grid, BIN_COUNT, bin_start, np.empty(0, dtype=np.int32))
    bin_members = np.empty(bin_start[-1], dtype=np.int32)
    fill_bins(shapes.bounds, member_start, members, bin_grid, BIN_COUNT, bin_start, bin_members)
    raster_grid = np.array([*RASTER_LOW_M, RASTER_SIDE_M])
    cells = np.zeros((0, 0), dtype=np.uint8)
    if raster:
        columns, rows = (
            round((high - low) / RASTER_SIDE_M) for low, high in zip(RASTER_LOW_M, RASTER_HIGH_M, strict=True)
        )
        cells = np.zeros((rows, columns), dtype=np.uint8)
        fill_raster(shapes, member_start, members, raster_grid, MARGIN_M, cells)
    return AreaArrays(shapes, member_start, members, bin_grid, BIN_COUNT, bin_start, bin_members, raster_grid, cells)


def _any_of(codes: NDArray[np.uint8], chosen: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether each code is one of a few (`numpy.isin`, quicker on small arrays)."""
    found = np.zeros(len(codes), dtype=np.bool_)
    for code in chosen:
        found |= codes == code
    return found


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


def prepare_traffic(objects: ObjectTracks, origin: Float, *, drop_overlapping: bool) -> TrafficArrays:
    """Boxes of objects by step, in the frame of `origin`."""
    count, steps = objects.valid.shape
    half = 0.5 * objects.extent.astype(np.float64).reshape(count, 2)
    xy = points_to_local(origin, objects.pose[..., :2])
    heading = objects.pose[..., Pose.HEADING] - origin[Pose.HEADING]
    keep = np.ones(count, dtype=bool)
    if drop_overlapping and count:
        keep = ~(objects.valid[:, 0] & _meets_ego(xy[:, 0], heading[:, 0], half))
    step, obj = np.nonzero((objects.valid & keep[:, None]).T)
    order = np.lexsort((xy[obj, step, 0], step))
    step, obj = step[order], obj[order]
    agent = _any_of(objects.type, AGENT_TYPES)
    speed = np.hypot(objects.first_velocity[:, 0], objects.first_velocity[:, 1])
    radius = np.hypot(half[:, 0], half[:, 1]) + EGO_RADIUS_M + MARGIN_M
    at_heading = heading[obj, step]
    return TrafficArrays(
        strip=_strips(step, xy[obj, step, 0], steps, float(radius.max(initial=0.0))),
        strip_low=STRIP_LOW_M,
        strip_scale=1.0 / STRIP_SIDE_M,
        x=np.ascontiguousarray(xy[obj, step, 0]),
        y=np.ascontiguousarray(xy[obj, step, 1]),
        cos=np.cos(at_heading),
        sin=np.sin(at_heading),
        half_length=np.ascontiguousarray(half[obj, 0]),
        half_width=np.ascontiguousarray(half[obj, 1]),
        reach_squared=(radius * radius)[obj],
        object=obj.astype(np.int32),
        is_agent=agent,
        is_stopped=~agent | (speed <= STOPPED_OBJECT_SPEED_MPS),
    )


def _strips(step: NDArray[np.int64], x: Float, steps: int, reach: float) -> NDArray[np.int32]:
    """(steps, strips, 2) range of the boxes, ordered by step and x, within `reach` of each strip."""
    edges = STRIP_LOW_M + STRIP_SIDE_M * np.arange(STRIP_COUNT + 1)
    low, high = edges[:-1] - reach, edges[1:] + reach
    low[0], high[-1] = -np.inf, np.inf
    ranges = np.empty((steps, STRIP_COUNT, 2), dtype=np.int32)
    start = np.searchsorted(step, np.arange(steps + 1))
    for t in range(steps):
        own = x[start[t] : start[t + 1]]
        ranges[t, :, 0] = start[t] + np.searchsorted(own, low)
        ranges[t, :, 1] = start[t] + np.searchsorted(own, high, side="right")
    return ranges


def _meets_ego(xy: Float, heading: Float, half: Float) -> NDArray[np.bool_]:
    """(O,) whether boxes meet the ego's box at the origin of the frame; separating axes, touching included."""
    dx = xy[:, 0] - REAR_AXLE_TO_CENTER_M
    dy = xy[:, 1]
    c, s = np.cos(heading), np.sin(heading)
    length, width = half[:, 0], half[:, 1]
    own_length, own_width = 0.5 * EGO_LENGTH_M, 0.5 * EGO_WIDTH_M
    along, across = np.abs(c), np.abs(s)
    return (
        (np.abs(dx) <= own_length + length * along + width * across)
        & (np.abs(dy) <= own_width + length * across + width * along)
        & (np.abs(dx * c + dy * s) <= length + own_length * along + own_width * across)
        & (np.abs(dy * c - dx * s) <= width + own_length * across + own_width * along)
    )


def prepare_lights(lights: RedLights, origin: Float) -> LightArrays:
    """Red connectors by step, in the frame of `origin`."""
    shapes = prepare_polygons(lights.xy, lights.ring_start, lights.polygon_start, origin)
    order = np.argsort(lights.step, kind="stable")
    start = np.searchsorted(lights.step[order], np.arange(STEPS + 1)).astype(np.int32)
    return LightArrays(shapes, start, lights.connector[order].astype(np.int32))


def prepare_comfort_v2(ego_state: Float, history: Float) -> ComfortArrays:
    """History comfort: windows 8 (acceleration), 15 (jerk), 5 (yaw), accelerations at the box centre."""
    history = np.require(history, np.float64, WRITABLE).reshape(-1, len(State))
    count = len(history) + STEPS
    acceleration = savgol_rows(count, 8, 2)
    lateral = np.zeros(count)
    lateral[: len(history)] = history[:, State.ACCELERATION_Y]
    lateral[len(history)] = ego_state[State.ACCELERATION_Y]
    return ComfortArrays(
        len(history) > 0,
        history,
        REAR_AXLE_TO_CENTER_M,
        _lateral_ok(lateral, savgol_matrix(count, 8, 2)),
        *acceleration,
        *acceleration,
        *savgol_rows(count, 15, 2, 1, STEP_S),
        *savgol_rows(count, 5, 2, 1, STEP_S),
        *savgol_rows(count, 5, 3, 2, STEP_S),
    )


def prepare_comfort_v1(ego_state: Float) -> ComfortArrays:
    """Comfort of v1.1: no history; bounds on acceleration and jerk use one window over the whole plan."""
    lateral = np.zeros(STEPS)
    lateral[0] = ego_state[State.ACCELERATION_Y]
    return ComfortArrays(
        True,
        np.empty((0, len(State))),
        0.0,
        _lateral_ok(lateral, savgol_matrix(STEPS, STEPS, 2)),
        *savgol_rows(STEPS, STEPS, 2),
        *savgol_rows(STEPS, 8, 2),
        *savgol_rows(STEPS, STEPS, 2, 1, STEP_S),
        *savgol_rows(STEPS, 5, 2, 1, STEP_S),
        *savgol_rows(STEPS, 5, 3, 2, STEP_S),
    )


def _lateral_ok(lateral: Float, smoothing: Float) -> bool:
    """Simulated lateral acceleration is 0, so the filtered series and its bounds do not depend on the proposal."""
    return bool((np.abs(np.round(smoothing @ lateral, 8)) < MAX_LATERAL_ACCELERATION).all())

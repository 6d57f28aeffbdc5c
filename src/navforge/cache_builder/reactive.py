"""Where reactive traffic starts: vehicles snapped to lanes, and those that stand (NAVSIM v2.2's IDM agents builder)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.geometry.columns import Pose, State
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.maps.graph import LaneEdge, lane_graph
from navforge.maps.map import Map
from navforge.maps.schema import Layer
from navforge.metric_cache.objects import FrameObjects, ObjectType
from navforge.metric_cache.reactive import ReactiveStart
from navforge.simulation.kernels.reactive import RADIUS_M
from navforge.simulation.kernels.standing import first_come

Float = NDArray[np.float64]

SNAP_DISTANCE_M = 3.0
"""A vehicle further from its lane's baseline does not follow it but stands."""
STATIONARY_SPEED_MPS = 0.1
DEFAULT_TARGET_SPEED_MPS = 10.0

_HEADING_DISTANCE_M = 0.5
_RADIUS_SLACK_M = 1.0


@dataclass(frozen=True, slots=True)
class _Places:
    """The lane under each vehicle; rows without one are zero."""

    edge: list[LaneEdge | None]
    progress_m: Float
    pose: Float
    """(V, 3) nearest pose on the lane."""
    on_road: NDArray[np.bool_]
    """On a lane or an intersection, whether or not a lane's baseline is known there."""


def reactive_start(
    road_map: Map, current: FrameObjects, ego_state: Float, ego_center: Float
) -> tuple[ReactiveStart, tuple[int, ...]]:
    """Choose who follows a lane and who stands.

    Vehicles are taken in the order of the frame. One within 3 m of the baseline of the lane it is on follows that lane
    unless, snapped to it, it meets the ego or one chosen before it. One further away stands, and so does a stationary
    one off the road.

    Args:
        road_map: map of the scene's location.
        current: objects of the current frame, global frame.
        ego_state: (11,) current state.
        ego_center: (3,) pose of the ego's centre.

    Returns:
        The start, and the feature id of each of its lanes.
    """
    rows = np.flatnonzero(current.type == ObjectType.VEHICLE)
    pose, extent, velocity = current.pose[rows], current.extent[rows], current.velocity[rows]
    places = _places(road_map, pose)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    has_lane = np.array([edge is not None for edge in places.edge], dtype=np.bool_)
    deviation = np.hypot(*(places.pose[:, :2] - pose[:, :2]).T)
    tokens = current.token[rows].tolist()
    is_follower = has_lane & (deviation <= SNAP_DISTANCE_M) & _first_sightings(tokens)
    follows = _placed(places.pose, extent, is_follower, ego_center)
    taken = {token for token, chosen in zip(tokens, follows, strict=True) if chosen}
    stands = np.where(has_lane, deviation > SNAP_DISTANCE_M, (speed < STATIONARY_SPEED_MPS) & ~places.on_road)
    stands &= np.array([token not in taken for token in tokens], dtype=np.bool_)
    chosen = np.flatnonzero(follows)
    edges = [edge for row in chosen if (edge := places.edge[row]) is not None]
    target = _target_speeds(edges)
    known = np.where(np.isnan(speed), np.hypot(*ego_state[[State.VELOCITY_X, State.VELOCITY_Y]]), speed)
    near = _near(edges, places.pose[chosen], ego_state)
    chosen, target = chosen[near], target[near]
    edges = [edge for edge, kept in zip(edges, near, strict=True) if kept]
    lane_of = {fid: lane for lane, fid in enumerate(dict.fromkeys(edge.fid for edge in edges))}
    paths = {edge.fid: edge.path for edge in edges}
    start = ReactiveStart(
        current=current,
        follower=rows[chosen].astype(np.int32),
        lane=np.array([lane_of[edge.fid] for edge in edges], np.int32),
        progress_m=places.progress_m[chosen],
        speed_mps=known[chosen],
        target_speed_mps=target,
        start_pose=places.pose[chosen],
        path=np.concatenate([paths[fid] for fid in lane_of]) if lane_of else np.zeros((0, 3)),
        path_start=np.cumsum([0, *(len(paths[fid]) for fid in lane_of)], dtype=np.int64),
        standing=rows[stands].astype(np.int32),
    )
    return start, tuple(lane_of)


def _places(road_map: Map, pose: Float) -> _Places:
    """The lane under each vehicle (V, 3): among those that contain its centre the one whose heading is closest.

    Headings are compared without regard to full turns. Source: nuPlan's `get_starting_segment`.
    """
    count = len(pose)
    edge: list[LaneEdge | None] = [None] * count
    progress, nearest = np.zeros(count), np.zeros((count, 3))
    points: Any = shapely.points(pose[:, :2])
    graph = lane_graph(road_map)
    lanes = road_map.layer(Layer.LANE)
    vehicle, row = lanes.rows_containing_each(points)
    on_road = np.zeros(count, dtype=np.bool_)
    on_road[vehicle] = True
    candidates = [(v, graph.lane(int(fid))) for v, fid in zip(vehicle.tolist(), lanes.fid[row], strict=True)]
    off_lane = np.flatnonzero(~on_road)
    if len(off_lane):
        crossing = off_lane[road_map.layer(Layer.INTERSECTION).rows_containing_each(points[off_lane])[0]]
        on_road[crossing] = True
        crossing = np.unique(crossing)
        connectors = road_map.layer(Layer.LANE_CONNECTOR_POLYGON)
        vehicle, row = connectors.rows_containing_each(points[crossing])
        fids = connectors.column("lane_connector_fid")[row]
        candidates += [
            (int(crossing[v]), graph.lane_connector(int(fid)))
            for v, fid in zip(vehicle, fids, strict=True)  # pyright: ignore[reportArgumentType]
        ]
    if candidates:
        owner = np.array([v for v, _ in candidates])
        arc, snapped = _nearest_poses(np.array([one.line for _, one in candidates], dtype=object), points[owner])
        turn = np.abs(snapped[:, Pose.HEADING] - pose[owner, Pose.HEADING])
        best: dict[int, int] = {}
        for n, v in enumerate(owner.tolist()):
            if v not in best or turn[n] < turn[best[v]]:
                best[v] = n
        for v, n in best.items():
            edge[v], progress[v], nearest[v] = candidates[n][1], arc[n], snapped[n]
    return _Places(edge, progress, nearest, on_road)


def _nearest_poses(lines: NDArray[np.object_], points: NDArray[np.object_]) -> tuple[Float, Float]:
    """Arc length (N,) and pose (N, 3) of the point of each line nearest to a point.

    The heading is that of the next 0.5 m, at the end of the line that of the last. Source: nuPlan's
    `get_nearest_pose_from_position`.
    """
    arc = shapely.line_locate_point(lines, points)
    here = shapely.get_coordinates(shapely.line_interpolate_point(lines, arc))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(lines, arc + _HEADING_DISTANCE_M))
    step = ahead - here
    end = ~step.any(axis=1)
    if end.any():
        behind = shapely.line_interpolate_point(lines[end], arc[end] - _HEADING_DISTANCE_M)
        step[end] = here[end] - shapely.get_coordinates(behind)
    return arc, np.column_stack([here, np.arctan2(step[:, 1], step[:, 0])])


def _placed(pose: Float, extent: Float, chosen: NDArray[np.bool_], ego_center: Float) -> NDArray[np.bool_]:
    """Which boxes find room beside the ego and those before them."""
    boxes = np.vstack([pose, ego_center])
    half = 0.5 * np.vstack([extent, [EGO_LENGTH_M, EGO_WIDTH_M]])
    taken = np.zeros(len(boxes), dtype=np.bool_)
    taken[-1] = True
    first_come(
        boxes[:, 0] - ego_center[0], boxes[:, 1] - ego_center[1], np.ascontiguousarray(boxes[:, 2]),
        np.ascontiguousarray(half[:, 0]), np.ascontiguousarray(half[:, 1]), np.append(chosen, False), taken,
    )  # fmt: skip
    return taken[:-1]


def _target_speeds(edges: list[LaneEdge]) -> Float:
    """Speed limits; a lane without one takes that of the vehicle before, as in the devkit, the first 10 m/s."""
    speeds = np.empty(len(edges))
    last = DEFAULT_TARGET_SPEED_MPS
    for n, edge in enumerate(edges):
        last = edge.speed_limit_mps or last
        speeds[n] = last
    return speeds


def _near(edges: list[LaneEdge], pose: Float, ego_state: Float) -> NDArray[np.bool_]:
    """Whether followers may be within the radius at the first step, on their lane without its last segment."""
    ends = np.array([edge.path[max(len(edge.path) - 2, 0), :2] for edge in edges]).reshape(-1, 2)
    distance = [np.hypot(*(xy - ego_state[: State.HEADING]).T) for xy in (pose[:, :2], ends)]
    return np.minimum(*distance) <= RADIUS_M + _RADIUS_SLACK_M


def _first_sightings(tokens: list[str]) -> NDArray[np.bool_]:
    """Whether each track is met for the first time."""
    seen: set[str] = set()
    first = np.zeros(len(tokens), dtype=np.bool_)
    for n, token in enumerate(tokens):
        first[n] = token not in seen
        seen.add(token)
    return first

"""The lane the ego starts in, and the centreline from there to the end of the route.

Follows `_get_starting_lane` and `_get_discrete_centerline` of the devkit's PDM planner (same in v1.1 and v2.2).
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import shapely

from navforge.cache_builder.drivable import DrivableMap
from navforge.cache_builder.road_graph import RoadGraph
from navforge.cache_builder.route import Route
from navforge.core.errors import DataError
from navforge.geometry.columns import Pose

_SEARCH_DEPTH = 30
"""Blocks of the route ahead of the ego that the centreline covers."""


def starting_lane(
    graph: RoadGraph, route: Route, drivable: DrivableMap, ego_pose: np.ndarray, ego_center: np.ndarray,
    ego_box: shapely.Polygon,
) -> int:  # fmt: skip
    """The route lane the centreline starts with.

    Among the route lanes under the rear axle the one whose baseline turns least against the ego; where there is none,
    the first route lane that contains the ego's centre, else the lane closest to the ego's box.

    Args:
        graph: the map.
        route: corrected.
        drivable: polygons around the ego; their search order decides ties.
        ego_pose: (3,) rear axle x, y, heading.
        ego_center: (2,) centre of the ego box.
        ego_box: the ego's footprint.

    Raises:
        DataError: the route has no lanes.
    """
    lanes = set(route.lanes)
    under = [lane for lane in drivable.fids_at(shapely.Point(ego_pose[:2])) if lane in lanes]
    if under:
        return under[int(np.argmin([_heading_error(graph.lane_path(lane), ego_pose) for lane in under]))]
    best, best_distance = None, np.inf
    for lane in route.lanes:
        polygon = graph.lane_polygon(lane)
        if shapely.contains_xy(polygon, *ego_center[:2]):
            return lane
        distance = shapely.distance(polygon, ego_box)
        if distance < best_distance:
            best, best_distance = lane, distance
    if best is None:
        raise DataError("the route has no lanes")
    return best


def centerline_lanes(graph: RoadGraph, route: Route, start: int) -> list[int]:
    """Lanes of the shortest path from the starting lane to the last block of the route within 30 blocks.

    Where no path exists: the path to the deepest lane reached (in lanes, then the nearest in metres).
    """
    block = graph.block_of(start)
    first = route.blocks.index(block) if block in route.blocks else 0
    target = route.blocks[first : first + _SEARCH_DEPTH][-1]
    return shortest_lanes(graph, start, target, set(route.lanes))


def centerline_poses(graph: RoadGraph, lanes: list[int]) -> np.ndarray:
    """(M, 3) baselines of consecutive lanes end to end; the joint points appear twice."""
    return np.concatenate([graph.lane_path(lane) for lane in lanes])


def shortest_lanes(graph: RoadGraph, start: int, target_block: int, allowed: Collection[int]) -> list[int]:
    """Dijkstra over lanes, cost = baseline length, ties broken by order of discovery as the devkit does.

    A lane whose cost improves keeps its place in the frontier; lanes outside `allowed` are not entered.
    """
    parent: dict[int, int | None] = {start: None}
    frontier: dict[int, tuple[float, int]] = {start: (1.0, 1)}
    expanded: dict[int, tuple[float, int]] = {}
    while frontier:
        lane = min(frontier, key=lambda candidate: frontier[candidate][0])
        cost, depth = frontier.pop(lane)
        if graph.block_of(lane) == target_block:
            return _trace(parent, lane)
        expanded[lane] = (cost, depth)
        for following in graph.next_lanes(lane):
            if following not in allowed or following in expanded:
                continue
            reached = (cost + graph.lane_length(following), depth + 1)
            if following not in frontier or reached[0] < frontier[following][0]:
                parent[following] = lane
                frontier[following] = reached
    deepest = max(depth for _, depth in expanded.values())
    last = [lane for lane, (_, depth) in expanded.items() if depth == deepest]
    return _trace(parent, min(last, key=lambda lane: expanded[lane][0]))


def _trace(parent: dict[int, int | None], lane: int) -> list[int]:
    path = [lane]
    while (before := parent[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def _heading_error(path: np.ndarray, ego_pose: np.ndarray) -> float:
    nearest = int(np.argmin(np.sqrt(((ego_pose[:2] - path[:, :2]) ** 2).sum(axis=-1))))
    turn = path[nearest, Pose.HEADING] - ego_pose[Pose.HEADING]
    return abs(math.atan2(math.sin(turn), math.cos(turn)))

"""Route correction: the logged roadblocks made to start at the ego, linked, and cut before they cross themselves.

Follows `route_roadblock_correction` of the devkit (same in v1.1 and v2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely

from navforge.cache_builder.road_graph import RoadGraph
from navforge.core.errors import DataError
from navforge.geometry.columns import Pose

_CANDIDATE_RADIUS_M = 1.0
_HEADING_ERROR_RAD = math.pi / 4
_DISPLACEMENT_ERROR_M = 3.0
_DEPTH_BACKWARD = 15
_DEPTH_FORWARD = 30
_FORWARD_TARGETS = 3
_LOOP_AREA_M2 = 1.0


@dataclass(frozen=True)
class Route:
    """A route as blocks and the lanes inside them.

    Attributes:
        blocks: roadblocks and roadblock connectors without repetition, in driving order.
        lanes: the lanes of those blocks without repetition, block by block in file order.
    """

    blocks: tuple[int, ...]
    lanes: tuple[int, ...]


def load_route(graph: RoadGraph, block_ids: Sequence[int]) -> Route:
    """A route from block ids; repeated ids count once.

    Raises:
        DataError: a block is not in the map.
    """
    blocks = tuple(dict.fromkeys(block_ids))
    for block in blocks:
        if not graph.has_block(block):
            raise DataError(f"roadblock {block} of the route is not in the map; the log does not fit this map version")
    lanes = dict.fromkeys(lane for block in blocks for lane in graph.lanes_of(block))
    return Route(blocks, tuple(lanes))


def correct_route(graph: RoadGraph, route: Route, ego_pose: np.ndarray) -> Route:
    """The route corrected for where the ego is.

    1. Where the ego stands off the route, the route is extended backwards to the ego's block, or the ego's block
       forwards to one of the first three route blocks.
    2. Blocks that do not follow each other are linked by the shortest connection, if there is one.
    3. The route ends before a roadblock connector that overlaps an earlier one.

    Args:
        graph: the map.
        route: as logged.
        ego_pose: (3,) rear axle x, y, heading.

    Raises:
        DataError: an empty route with the ego off it, no roadblock anywhere, or an invalid polygon on the route.
    """
    start, candidates = _starting_block(graph, route, ego_pose)
    blocks = list(route.blocks)
    if start not in blocks:
        if not blocks:
            raise DataError("the route is empty; use a scene filter with has_route=true")
        blocks = _reach_start(graph, blocks, start, candidates)
    blocks = _link(graph, blocks)
    blocks = _cut_loop(graph, blocks)
    return load_route(graph, blocks)


def search_blocks(
    start: int, targets: Collection[int], neighbours: Callable[[int], Sequence[int]], max_depth: int
) -> list[int] | None:
    """Breadth-first path from a block to the first target met; None where none is within `max_depth` blocks.

    The devkit's search visits blocks again and again and remembers, for a block at some depth, the *last* visit at
    the depth before. Keeping each level's blocks once in order of their first and once in order of their last visit
    gives the same path without the exponential queue.

    Args:
        start: the block at depth 1.
        targets: blocks to reach.
        neighbours: next (or previous) blocks of a block.
        max_depth: the deepest level searched.

    Returns:
        Blocks from `start` to the target, both included.
    """
    parents: list[dict[int, int]] = []
    first_order, last_order = [start], [start]
    for _ in range(max_depth):
        for block in first_order:
            if block in targets:
                return _trace(block, parents)
        parent: dict[int, int] = {}
        reached: dict[int, None] = {}
        for block in last_order:
            for following in neighbours(block):
                parent[following] = block
                reached.pop(following, None)
                reached[following] = None
        if not reached:
            return None
        first_order = list(dict.fromkeys(following for block in first_order for following in neighbours(block)))
        last_order = list(reached)
        parents.append(parent)
    return None


def _trace(block: int, parents: list[dict[int, int]]) -> list[int]:
    path = [block]
    for parent in reversed(parents):
        path.append(parent[path[-1]])
    return path[::-1]


def _starting_block(graph: RoadGraph, route: Route, ego_pose: np.ndarray) -> tuple[int, list[int]]:
    """The block the ego is on, and all blocks it might be on."""
    x, y = float(ego_pose[Pose.X]), float(ego_pose[Pose.Y])
    nearby = list(graph.blocks_near(x, y, _CANDIDATE_RADIUS_M)) or list(graph.nearest_blocks(x, y))
    if not nearby:
        raise DataError("the map has no roadblocks")
    on_route: list[tuple[float, int]] = []
    off_route: list[tuple[float, int]] = []
    closest: list[float] = []
    for block in nearby:
        nearest_lane = np.inf
        for lane in graph.lanes_of(block):
            displacement, heading_error = _errors(graph.lane_path(lane), ego_pose)
            nearest_lane = min(nearest_lane, displacement)
            if heading_error < _HEADING_ERROR_RAD and displacement < _DISPLACEMENT_ERROR_M:
                (on_route if block in route.blocks else off_route).append((displacement, block))
        closest.append(nearest_lane)
    chosen = on_route or off_route or list(zip(closest, nearby, strict=True))
    best = int(np.argmin([displacement for displacement, _ in chosen]))
    return chosen[best][1], [block for _, block in chosen]


def _errors(path: np.ndarray, ego_pose: np.ndarray) -> tuple[float, float]:
    """Distance to the nearest pose of a path in m, and the heading error there in rad."""
    distance = np.sqrt(((path[:, :2] - ego_pose[:2]) ** 2).sum(axis=-1))
    nearest = int(np.argmin(distance))
    turn = path[nearest, Pose.HEADING] - ego_pose[Pose.HEADING]
    return float(distance[nearest]), abs(math.atan2(math.sin(turn), math.cos(turn)))


def _reach_start(graph: RoadGraph, blocks: list[int], start: int, candidates: list[int]) -> list[int]:
    backward = search_blocks(blocks[0], candidates, graph.previous_blocks, _DEPTH_BACKWARD)
    if backward is not None:
        return backward[:0:-1] + blocks
    forward = search_blocks(start, blocks[:_FORWARD_TARGETS], graph.next_blocks, _DEPTH_FORWARD)
    if forward is not None:
        return forward + blocks[blocks.index(forward[-1]) + 1 :]
    return blocks


def _link(graph: RoadGraph, blocks: list[int]) -> list[int]:
    linked = blocks[:1]
    for block, following in pairwise(blocks):
        if block not in graph.previous_blocks(following):
            path = search_blocks(block, [following], graph.next_blocks, _DEPTH_FORWARD)
            if path is not None:
                linked.extend(path[1:-1])
        linked.append(following)
    return linked


def _cut_loop(graph: RoadGraph, blocks: list[int]) -> list[int]:
    """Blocks before the first roadblock connector that overlaps an earlier one by more than 1 m2."""
    earlier: dict[int, shapely.Polygon] = {}
    for index, block in enumerate(blocks):
        if not graph.is_connector(block):
            continue
        polygon = graph.block_polygon(block)
        if earlier:
            others = np.array(list(earlier.values()), dtype=object)
            boxes = shapely.bounds(others)
            x_min, y_min, x_max, y_max = polygon.bounds
            touching = (boxes[:, 0] <= x_max) & (boxes[:, 2] >= x_min) & (boxes[:, 1] <= y_max) & (boxes[:, 3] >= y_min)
            try:
                areas = shapely.area(shapely.intersection(others[touching], polygon))
            except shapely.GEOSException as error:
                raise DataError(f"roadblock connector {block} of the route has an invalid polygon: {error}") from error
            if (areas > _LOOP_AREA_M2).any():
                return blocks[:index]
        earlier[block] = polygon
    return blocks

"""Red lights on a route."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from navforge.cache_builder.road_graph import RoadGraph
from navforge.data.logs import Frame
from navforge.maps.flat import flatten_polygons
from navforge.metric_cache.scene import SCORED_STEPS, RedLights

_STEPS_PER_FRAME = 5


def red_connectors(frame: Frame, route_lanes: Collection[int]) -> list[int]:
    """Lane connectors of a route that are red in a frame, in log order."""
    lights = frame.traffic_lights
    return [int(fid) for fid, red in zip(lights.connector, lights.is_red, strict=True) if red and fid in route_lanes]


def replayed_lights(graph: RoadGraph, frames: Sequence[Frame], route_lanes: Collection[int]) -> RedLights:
    """Red lights per step of 0.1 s over 4 s; a frame's lights hold until the next frame.

    Args:
        graph: the map.
        frames: the current frame and at least 8 future ones.
        route_lanes: lanes of the route *as logged*: the devkit does not correct the route here.
    """
    route = set(route_lanes)
    red = [red_connectors(frame, route) for frame in frames[: (SCORED_STEPS - 1) // _STEPS_PER_FRAME + 1]]
    entries = [(step, fid) for step in range(SCORED_STEPS) for fid in red[step // _STEPS_PER_FRAME]]
    return lights_table(graph, entries)


def held_lights(graph: RoadGraph, frame: Frame, route_lanes: Collection[int]) -> RedLights:
    """The red lights of one frame held over all steps, as PDM-Closed assumes."""
    red = red_connectors(frame, set(route_lanes))
    return lights_table(graph, [(step, fid) for step in range(SCORED_STEPS) for fid in red])


def lights_table(graph: RoadGraph, entries: list[tuple[int, int]]) -> RedLights:
    """Entries (step, lane connector), ascending by step, with the connectors' polygons."""
    fids = list(dict.fromkeys(fid for _, fid in entries))
    index = {fid: k for k, fid in enumerate(fids)}
    polygons = np.empty(len(fids), dtype=object)
    polygons[:] = [graph.lane_polygon(fid) for fid in fids]
    flat = flatten_polygons(polygons)
    return RedLights(
        step=np.array([step for step, _ in entries], np.uint8),
        connector=np.array([index[fid] for _, fid in entries], np.int64),
        fid=np.array(fids, np.int64),
        xy=flat.xy,
        ring_start=flat.ring_start,
        polygon_start=flat.polygon_start,
    )

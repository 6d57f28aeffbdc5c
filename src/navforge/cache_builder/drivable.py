"""Polygons of the map around the ego that scoring needs, in the devkit's order (`PDMDrivableMap.from_simulation`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.maps.flat import flatten_polygons
from navforge.maps.graph import lane_graph
from navforge.maps.map import Map
from navforge.maps.schema import Layer
from navforge.metric_cache.scene import MapLayer, MapPolygons

MAP_RADIUS_M = 100.0
"""Half side of the square around the ego's centre."""

_NODE_CAPACITY = 10


@dataclass(frozen=True)
class DrivableMap:
    """Polygons with their layer and feature id.

    Attributes:
        layer: (P,) `MapLayer`.
        fid: (P,) feature id.
        polygons: (P,) shapely polygons, invalid ones as they are.
    """

    layer: NDArray[np.uint8]
    fid: NDArray[np.int64]
    polygons: NDArray[np.object_]

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons, _NODE_CAPACITY)

    def fids_at(self, point: shapely.Point) -> list[int]:
        """Feature ids of the polygons that touch a point, in the order of the devkit's search tree."""
        return [int(self.fid[index]) for index in self._tree.query(point, predicate="intersects")]

    def flat(self, route_lanes: Collection[int]) -> MapPolygons:
        """As flat arrays, with the lanes of a route marked."""
        flat = flatten_polygons(self.polygons)
        is_lane = np.isin(self.layer, (MapLayer.LANE, MapLayer.LANE_CONNECTOR))
        return MapPolygons(
            xy=flat.xy,
            ring_start=flat.ring_start,
            polygon_start=flat.polygon_start,
            layer=self.layer,
            fid=self.fid,
            on_route=is_lane & np.isin(self.fid, list(route_lanes)),
        )


def drivable_map(road_map: Map, x: float, y: float, radius_m: float = MAP_RADIUS_M) -> DrivableMap:
    """Roadblocks, then their lanes, then the lane connectors of roadblock connectors, intersections, car parks.

    Only features that meet the square around (x, y) count; lanes come with their roadblock even if they do not meet
    it themselves. Roadblock connectors and generic drivable areas are left out, as in the devkit.

    Raises:
        DataError: nothing is there (the devkit fails then, too).
    """
    graph = lane_graph(road_map)
    roadblocks = [graph.roadblock(int(fid)) for fid in road_map.near(Layer.ROADBLOCK, x, y, radius_m)]
    connectors = [
        graph.roadblock_connector(int(fid)) for fid in road_map.near(Layer.ROADBLOCK_CONNECTOR, x, y, radius_m)
    ]
    parts: list[tuple[MapLayer, int, shapely.Polygon]] = []
    parts += [(MapLayer.ROADBLOCK, block.fid, block.polygon) for block in roadblocks]
    parts += [(MapLayer.LANE, lane.fid, lane.polygon) for block in roadblocks for lane in block.interior]
    parts += [(MapLayer.LANE_CONNECTOR, lane.fid, lane.polygon) for block in connectors for lane in block.interior]
    for kind, layer in ((MapLayer.INTERSECTION, Layer.INTERSECTION), (MapLayer.CARPARK_AREA, Layer.CARPARK_AREA)):
        table = road_map.layer(layer)
        fids = road_map.near(layer, x, y, radius_m)
        parts += [(kind, int(fid), table.geometry[table.row(int(fid))]) for fid in fids]
    if not parts:
        raise DataError(
            f"the map has no road within {radius_m:g} m of the ego at ({x:.1f}, {y:.1f}); does the log belong to this "
            "location, and is the whole map there?"
        )
    polygons = np.empty(len(parts), dtype=object)
    polygons[:] = [polygon for _, _, polygon in parts]
    return DrivableMap(
        layer=np.array([kind for kind, _, _ in parts], np.uint8),
        fid=np.array([fid for _, fid, _ in parts], np.int64),
        polygons=polygons,
    )

"""`Map`: one location's layers, read when first asked for, with the spatial queries of nuplan-devkit's map API."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.maps.geopackage import map_path, read_crs, read_layer
from navforge.maps.graph import LaneEdge, Roadblock
from navforge.maps.layers import LayerTable
from navforge.maps.numpy_quicksort import first_in_quicksort
from navforge.maps.schema import LOCATION_ALIASES, SCHEMAS, Layer


class Map:
    """Map of one location in its metric CRS.

    Query results are feature ids in file order. Spatial predicates are shapely's on the layer's own geometry, which
    for `Layer.LANE_CONNECTOR` is the baseline path, except in `at`, where it is the connector's polygon.
    """

    def __init__(self, path: Path | str, location: str) -> None:
        self.path = Path(path)
        self.location = location
        self._layers: dict[Layer, LayerTable] = {}
        self._edges: dict[tuple[bool, int], LaneEdge] = {}
        self._roadblocks: dict[tuple[bool, int], Roadblock] = {}

    def __repr__(self) -> str:
        return f"Map({self.location!r}, {str(self.path)!r})"

    @cached_property
    def crs(self) -> str:
        """Name of the metric CRS, such as EPSG:32617."""
        return read_crs(self.path)

    def layer(self, layer: Layer) -> LayerTable:
        """A layer's table, read on first use; DataError if the file lacks it."""
        if layer not in self._layers:
            self._layers[layer] = read_layer(self.path, SCHEMAS[layer], self.crs)
        return self._layers[layer]

    def near(self, layer: Layer, x: float, y: float, radius: float) -> NDArray[np.int64]:
        """Features that meet the axis-aligned square of half side `radius` (m) about a point.

        Source: `NuPlanMap.get_proximal_map_objects`.
        """
        table = self.layer(layer)
        return table.fid[table.rows_meeting(shapely.box(x - radius, y - radius, x + radius, y + radius))]

    def at(self, layer: Layer, x: float, y: float) -> NDArray[np.int64]:
        """Features whose polygon contains the point, its boundary excluded.

        Source: `NuPlanMap.get_all_map_objects`.
        """
        if layer is Layer.LANE_CONNECTOR:
            table = self.layer(Layer.LANE_CONNECTOR_POLYGON)
            return table.column("lane_connector_fid")[table.rows_containing(x, y)].astype(np.int64)
        table = self.layer(layer)
        return table.fid[table.rows_containing(x, y)]

    def is_in(self, layer: Layer, x: float, y: float) -> bool:
        """Whether some geometry of the layer contains the point. Source: `NuPlanMap.is_in_layer`."""
        return len(self.layer(layer).rows_containing(x, y)) > 0

    def nearest(self, layer: Layer, x: float, y: float) -> tuple[int, float]:
        """Feature nearest to a point, and its distance in m (0 inside); among equals the devkit's choice.

        Source: `NuPlanMap.get_distance_to_nearest_map_object`.
        """
        table = self.layer(layer)
        if not len(table):
            raise DataError(f"{self.path}: layer {layer.value} is empty")
        distance = shapely.distance(shapely.Point(x, y), table.geometry)
        distance = np.where(np.isnan(distance), np.inf, distance)
        row = first_in_quicksort(distance)
        return int(table.fid[row]), float(distance[row])

    def lane(self, fid: int) -> LaneEdge:
        """The lane with this feature id, whether or not the map holds it."""
        return self._edge(fid, is_connector=False)

    def lane_connector(self, fid: int) -> LaneEdge:
        """The lane connector with this feature id, whether or not the map holds it."""
        return self._edge(fid, is_connector=True)

    def find_lane_edge(self, fid: int) -> LaneEdge | None:
        """The lane with this feature id, else the lane connector, else None."""
        if fid in self.layer(Layer.LANE):
            return self.lane(fid)
        return self.lane_connector(fid) if fid in self.layer(Layer.LANE_CONNECTOR) else None

    def roadblock(self, fid: int) -> Roadblock:
        """The roadblock with this feature id, whether or not the map holds it."""
        return self._block(fid, is_connector=False)

    def roadblock_connector(self, fid: int) -> Roadblock:
        """The roadblock connector with this feature id, whether or not the map holds it."""
        return self._block(fid, is_connector=True)

    def find_roadblock(self, fid: int) -> Roadblock | None:
        """The roadblock with this feature id, else the roadblock connector, else None."""
        if fid in self.layer(Layer.ROADBLOCK):
            return self.roadblock(fid)
        return self.roadblock_connector(fid) if fid in self.layer(Layer.ROADBLOCK_CONNECTOR) else None

    def _edge(self, fid: int, *, is_connector: bool) -> LaneEdge:
        key = (is_connector, int(fid))
        if key not in self._edges:
            self._edges[key] = LaneEdge(self, int(fid), is_connector)
        return self._edges[key]

    def _block(self, fid: int, *, is_connector: bool) -> Roadblock:
        key = (is_connector, int(fid))
        if key not in self._roadblocks:
            self._roadblocks[key] = Roadblock(self, int(fid), is_connector)
        return self._roadblocks[key]


def read_map(map_root: Path | str, location: str) -> Map:
    """The map of a location; one object per process as long as the file does not change.

    Raises:
        DataError: no such location or file. Damaged or missing layers raise when they are first used.
    """
    path = map_path(map_root, location)
    stat = path.stat()
    return _cached(path.resolve(), LOCATION_ALIASES.get(location, location), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _cached(path: Path, location: str, size: int, mtime_ns: int) -> Map:
    return Map(path, location)

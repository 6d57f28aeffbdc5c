"""`Map`: one location's layers, read when first asked for, with the spatial queries of nuplan-devkit's map API."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.maps.geopackage import map_path, read_crs, read_layer
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

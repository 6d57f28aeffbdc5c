"""One layer of a map in memory: feature ids, columns and geometries in the metric CRS, with look-ups."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.maps.flat import FlatLines, FlatPolygons, Geometries, flatten_lines, flatten_polygons
from navforge.maps.schema import LayerSchema


@dataclass(frozen=True)
class LayerTable:
    """Features of one layer in file order, which is the order of all results (as in nuplan-devkit)."""

    source: str
    """The file, for error messages."""
    schema: LayerSchema
    fid: NDArray[np.int64]
    """(F,)"""
    geometry: Geometries = field(repr=False)
    """(F,) shapely geometries, metric CRS, invalid ones as they are, None where the file has none."""
    columns: dict[str, NDArray[np.generic]] = field(repr=False)
    """(F,) each: int64 with `NO_FID` or float64 with NaN where missing."""

    def __len__(self) -> int:
        return len(self.fid)

    def __contains__(self, fid: int) -> bool:
        return fid in self._row_of

    def row(self, fid: int) -> int:
        """Row of a feature; DataError if the layer has no such feature."""
        try:
            return self._row_of[fid]
        except KeyError as error:
            raise DataError(f"{self.source}: layer {self.schema.name} has no feature {fid}") from error

    def column(self, name: str) -> NDArray[np.generic]:
        """(F,) values of a column that is read (`schema.Column.is_read`)."""
        return self.columns[name]

    def fids_where(self, column: str, value: int) -> NDArray[np.int64]:
        """Features whose id column equals `value`, in file order."""
        return self.fid[self.rows_where(column, value)]

    def rows_where(self, column: str, value: int) -> NDArray[np.int64]:
        """Rows whose id column equals `value`, ascending."""
        order, values = self._sorted(column)
        first, last = np.searchsorted(values, [value, value + 1])
        return order[first:last]

    def one_where(self, column: str, value: int) -> int:
        """The only row whose id column equals `value`; DataError if there is none or more than one."""
        rows = self.rows_where(column, value)
        if len(rows) != 1:
            raise DataError(
                f"{self.source}: layer {self.schema.name} has {len(rows)} features with {column} {value}, expected one"
            )
        return int(rows[0])

    def rows_meeting(self, area: shapely.Geometry) -> NDArray[np.int64]:
        """Rows whose geometry intersects `area` (touching counts), ascending."""
        near = np.sort(self._tree.query(area))
        return near[shapely.intersects(self.geometry[near], area)]

    def rows_containing(self, x: float, y: float) -> NDArray[np.int64]:
        """Rows whose geometry contains the point (its boundary does not count), ascending."""
        point = shapely.Point(x, y)
        near = np.sort(self._tree.query(point))
        return near[shapely.contains(self.geometry[near], point)]

    def rows_containing_each(self, points: Geometries) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs (point, row) of points and the geometries that contain them, by point, then row (`rows_containing`)."""
        point, row = self._tree.query(points, predicate="within")
        order = np.lexsort((row, point))
        return point[order], row[order]

    @cached_property
    def polygons(self) -> FlatPolygons:
        """All polygons as flat arrays."""
        return flatten_polygons(self.geometry)

    @cached_property
    def lines(self) -> FlatLines:
        """All lines as flat arrays."""
        return flatten_lines(self.geometry)

    @cached_property
    def _row_of(self) -> dict[int, int]:
        return {int(fid): row for row, fid in enumerate(self.fid)}

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.geometry)

    @cached_property
    def _orders(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.generic]]]:
        return {}

    def _sorted(self, column: str) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
        if column not in self._orders:
            values = self.column(column)
            order = np.argsort(values, kind="stable")
            self._orders[column] = (order, values[order])
        return self._orders[column]

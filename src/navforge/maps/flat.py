"""Shapely geometries as flat arrays: vertices and where each ring, polygon or line starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError

Geometries = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class FlatPolygons:
    """Polygons with holes.

    Polygon p has rings `polygon_start[p]:polygon_start[p + 1]`, the exterior first; ring r has vertices
    `xy[ring_start[r]:ring_start[r + 1]]`, closed, in file order.
    """

    xy: NDArray[np.float64]
    """(V, 2) m."""
    ring_start: NDArray[np.int64]
    """(R + 1,)"""
    polygon_start: NDArray[np.int64]
    """(P + 1,)"""

    def __len__(self) -> int:
        return len(self.polygon_start) - 1

    def exterior(self, polygon: int) -> NDArray[np.float64]:
        """(V, 2) closed exterior ring of one polygon."""
        ring = self.polygon_start[polygon]
        return self.xy[self.ring_start[ring] : self.ring_start[ring + 1]]


@dataclass(frozen=True, slots=True)
class FlatLines:
    """Polylines; line l has vertices `xy[start[l]:start[l + 1]]`."""

    xy: NDArray[np.float64]
    """(V, 2) m."""
    start: NDArray[np.int64]
    """(L + 1,)"""

    def __len__(self) -> int:
        return len(self.start) - 1

    def line(self, index: int) -> NDArray[np.float64]:
        """(V, 2) vertices of one line."""
        return self.xy[self.start[index] : self.start[index + 1]]


def flatten_polygons(geometry: Geometries) -> FlatPolygons:
    """Flat arrays of polygons, invalid ones included as they are; a multipolygon must have a single part."""
    if len(geometry) == 0:
        return FlatPolygons(np.empty((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64))
    kind, xy, offsets = shapely.to_ragged_array(_single_parts(geometry, shapely.GeometryType.POLYGON), include_z=False)
    assert kind == shapely.GeometryType.POLYGON and offsets is not None
    return FlatPolygons(xy, np.asarray(offsets[0], np.int64), np.asarray(offsets[1], np.int64))


def flatten_lines(geometry: Geometries) -> FlatLines:
    """Flat arrays of polylines; a multiline must have a single part."""
    if len(geometry) == 0:
        return FlatLines(np.empty((0, 2)), np.zeros(1, np.int64))
    kind, xy, offsets = shapely.to_ragged_array(
        _single_parts(geometry, shapely.GeometryType.LINESTRING), include_z=False
    )
    assert kind == shapely.GeometryType.LINESTRING and offsets is not None
    return FlatLines(xy, np.asarray(offsets[0], np.int64))


def discrete_path(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, 3) x, y, heading of a polyline (V, 2): each vertex heads to the next, the last like the one before.

    Source: nuPlan's `extract_discrete_polyline`.
    """
    steps = np.diff(xy, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    return np.column_stack([xy, np.append(heading, heading[-1])])


def _single_parts(geometry: Geometries, wanted: shapely.GeometryType) -> Geometries:
    kinds = shapely.get_type_id(geometry)
    if (kinds == wanted).all():
        return geometry
    parts = shapely.get_num_geometries(geometry)
    first: Any = shapely.get_geometry(geometry, 0)
    bad = (parts != 1) | (shapely.get_type_id(first) != wanted)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        found = "no geometry" if geometry[index] is None else geometry[index].geom_type
        raise DataError(f"expected one {wanted.name.lower()} each, found {found} at row {index}")
    return first

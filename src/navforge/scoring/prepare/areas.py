"""Map polygons by class, with bins and a raster over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.writable import writable
from navforge.metric_cache.scene import MapLayer, MapPolygons
from navforge.scoring.arrays import Area, AreaArrays, PolygonArrays
from navforge.scoring.kernels.area import (
    CLASSES,
    RASTER_ALL_TEST,
    STRIPES_PER_M,
    fill_bins,
    fill_raster,
    fill_stripes,
)
from navforge.scoring.kernels.prepare import fill_members
from navforge.scoring.prepare.polygons import MARGIN_M, prepare_polygons

Float = NDArray[np.float64]

LAYERS = {
    Area.DRIVABLE: (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA),
    Area.ON_ROUTE: (MapLayer.LANE, MapLayer.LANE_CONNECTOR),
    Area.INTERSECTION: (MapLayer.INTERSECTION,),
    Area.LANE: (MapLayer.LANE, MapLayer.LANE_CONNECTOR),
}
"""Layers of each class; of those of `Area.ON_ROUTE` the polygons that the route uses."""
BIN_SIDE_M = 8.0
BIN_COUNT = 32
RASTER_SIDE_M = 0.5
RASTER_LOW_M = (-24.0, -52.0)
RASTER_HIGH_M = (88.0, 52.0)
"""Extent of the raster in the ego frame; points outside, or in the cells of its border, take the exact test."""
RASTER_COLUMNS, RASTER_ROWS = (
    round((high - low) / RASTER_SIDE_M) for low, high in zip(RASTER_LOW_M, RASTER_HIGH_M, strict=True)
)
RASTER_GRID = np.array([*RASTER_LOW_M, RASTER_SIDE_M])
_CLASSES_OF_LAYER = np.array(
    [sum(1 << area for area, layers in LAYERS.items() if layer in layers) for layer in MapLayer], dtype=np.uint8
)


def prepare_areas(polygons: MapPolygons, origin: Float, *, raster: bool) -> AreaArrays:
    """Map polygons by class (`scoring.arrays.Area`), binned and rasterised."""
    shapes = prepare_polygons(polygons.xy, polygons.ring_start, polygons.polygon_start, origin)
    members, member_start = find_members(polygons)
    bin_low = -0.5 * BIN_SIDE_M * BIN_COUNT
    bin_grid = np.array([bin_low, bin_low, BIN_SIDE_M])
    bin_start = np.zeros(CLASSES * BIN_COUNT * BIN_COUNT + 1, dtype=np.int32)
    fill_bins(shapes.bounds, member_start, members, bin_grid, BIN_COUNT, bin_start, np.empty(0, dtype=np.int32))
    bin_members = np.empty(bin_start[-1], dtype=np.int32)
    fill_bins(shapes.bounds, member_start, members, bin_grid, BIN_COUNT, bin_start, bin_members)
    cells, rows, columns = fill_cells(shapes, member_start, members, raster=raster)
    return AreaArrays(
        shapes,
        member_start,
        members,
        bin_grid,
        BIN_COUNT,
        bin_start,
        bin_members,
        *find_stripes(shapes),
        RASTER_GRID.copy(),
        cells.reshape(-1),
        rows,
        columns,
        1.0 / RASTER_SIDE_M,
    )


def find_members(polygons: MapPolygons) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`members` and `member_start` of `AreaArrays`."""
    layer = writable(polygons.layer, np.dtype(np.uint8))
    on_route = writable(polygons.on_route, np.dtype(np.bool_))
    start = np.empty(len(Area) + 1, dtype=np.int32)
    members = np.empty(len(Area) * len(layer), dtype=np.int32)
    count = fill_members(layer, on_route, _CLASSES_OF_LAYER, int(Area.ON_ROUTE), start, members)
    return members[:count], start


def find_stripes(
    shapes: PolygonArrays,
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """`stripe_axis`, `stripe_first`, `stripe_start` and `stripe_edge` of `AreaArrays`."""
    count = len(shapes.bounds)
    axis = np.empty(count, dtype=np.uint8)
    first = np.empty(count + 1, dtype=np.int32)
    longest = np.maximum(shapes.bounds[:, 2] - shapes.bounds[:, 0], shapes.bounds[:, 3] - shapes.bounds[:, 1])
    start = np.empty(int((longest * STRIPES_PER_M).sum()) + 2 * count + 2, dtype=np.int32)
    fill_stripes(shapes, axis, first, start, np.empty(0, dtype=np.int32))
    start = start[: first[-1] + 1]
    edges = np.empty(start[-1], dtype=np.int32)
    fill_stripes(shapes, axis, first, start, edges)
    return axis, first, start, edges


def fill_cells(
    shapes: PolygonArrays, member_start: NDArray[np.int32], members: NDArray[np.int32], *, raster: bool
) -> tuple[NDArray[np.uint8], int, int]:
    """(rows, columns) raster, and its two extents; its border, where points outside it look, says to be tested."""
    rows, columns = (RASTER_ROWS, RASTER_COLUMNS) if raster else (1, 1)
    cells = np.zeros((rows, columns), dtype=np.uint8)
    if raster:
        fill_raster(shapes, member_start, members, RASTER_GRID, MARGIN_M, cells)
    cells[[0, -1]] = RASTER_ALL_TEST
    cells[:, [0, -1]] = RASTER_ALL_TEST
    return cells, rows, columns

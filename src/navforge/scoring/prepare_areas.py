"""Map polygons by class, with bins and a raster over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.scene import MapLayer, MapPolygons
from navforge.scoring.arrays import AreaArrays
from navforge.scoring.kernels_area import CLASSES, fill_bins, fill_raster
from navforge.scoring.prepare_polygons import MARGIN_M, any_of, prepare_polygons

Float = NDArray[np.float64]

DRIVABLE_LAYERS = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA)
LANE_LAYERS = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
BIN_SIDE_M = 8.0
BIN_COUNT = 32
RASTER_SIDE_M = 0.5
RASTER_LOW_M = (-24.0, -52.0)
RASTER_HIGH_M = (88.0, 52.0)
"""Extent of the raster in the ego frame; points outside take the exact test."""


def prepare_areas(polygons: MapPolygons, origin: Float, *, raster: bool) -> AreaArrays:
    """Map polygons by class (`scoring.arrays.Area`), binned and rasterised."""
    shapes = prepare_polygons(polygons.xy, polygons.ring_start, polygons.polygon_start, origin)
    lane = any_of(polygons.layer, LANE_LAYERS)
    classes = (
        any_of(polygons.layer, DRIVABLE_LAYERS),
        lane & polygons.on_route,
        polygons.layer == MapLayer.INTERSECTION,
        lane,
    )
    members = np.concatenate([np.flatnonzero(chosen) for chosen in classes]).astype(np.int32)
    member_start = np.concatenate([[0], np.cumsum([chosen.sum() for chosen in classes])]).astype(np.int32)
    bin_low = -0.5 * BIN_SIDE_M * BIN_COUNT
    bin_grid = np.array([bin_low, bin_low, BIN_SIDE_M])
    bin_start = np.zeros(CLASSES * BIN_COUNT * BIN_COUNT + 1, dtype=np.int32)
    fill_bins(shapes.bounds, member_start, members, bin_grid, BIN_COUNT, bin_start, np.empty(0, dtype=np.int32))
    bin_members = np.empty(bin_start[-1], dtype=np.int32)
    fill_bins(shapes.bounds, member_start, members, bin_grid, BIN_COUNT, bin_start, bin_members)
    raster_grid = np.array([*RASTER_LOW_M, RASTER_SIDE_M])
    cells = np.zeros((0, 0), dtype=np.uint8)
    if raster:
        columns, rows = (
            round((high - low) / RASTER_SIDE_M) for low, high in zip(RASTER_LOW_M, RASTER_HIGH_M, strict=True)
        )
        cells = np.zeros((rows, columns), dtype=np.uint8)
        fill_raster(shapes, member_start, members, raster_grid, MARGIN_M, cells)
    return AreaArrays(shapes, member_start, members, bin_grid, BIN_COUNT, bin_start, bin_members, raster_grid, cells)

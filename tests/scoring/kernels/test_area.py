"""Strict containment by stripes against the plain walk around whole polygons."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.geometry.kernels import in_polygon
from navforge.metric_cache.scene import MapLayer
from navforge.scoring.kernels.area import RASTER_ALL_TEST, cell_of, contains, in_area, in_area_exact
from navforge.scoring.prepare.scene import prepare
from tests.scoring.scenes import Sketch, random_scene


def awkward_points(xy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vertices, points on edges and level with vertices, points near and far."""
    first, second = xy[:-1], xy[1:]
    along = rng.uniform(-0.2, 1.2, (len(first), 1))
    near = first + along * (second - first)
    level = np.stack([rng.permutation(xy[:, 0]), xy[:, 1]], axis=1)
    far = rng.uniform(-150, 150, (50, 2))
    return np.concatenate([xy, near, near + rng.normal(0, 0.3, near.shape), level, level[:, ::-1], far])


def assert_same(areas, points: np.ndarray) -> set[bool]:
    shapes = areas.polygons
    seen = set()
    for p in range(len(shapes.bounds)):
        for x, y in points:
            plain = in_polygon(shapes.xy, shapes.ring_start, shapes.polygon_start, shapes.bounds, p, x, y)
            assert contains(areas, p, x, y) == plain, (p, x, y)
            seen.add(plain)
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_stripes_agree_with_whole_rings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    areas = prepare(random_scene(rng)).areas
    assert set(areas.stripe_axis.tolist()) == {0, 1}, "polygons longer in x and in y"
    xy = areas.polygons.xy
    assert assert_same(areas, awkward_points(xy[rng.permutation(len(xy))[:60]], rng)) == {True, False}


def test_stripes_on_a_lattice() -> None:
    """Points exactly on vertices, edges and stripe borders; a hole, a self-crossing ring, repeated vertices."""
    hole = shapely.Polygon([(0, 0), (7, 0), (7, 4), (0, 4)], [[(1, 1), (1, 3), (3, 3), (3, 1)]])
    crossing = shapely.Polygon([(0, 0), (4, 3), (4, 0), (0, 3)])
    repeated = shapely.Polygon([(0, 0), (2, 0), (2, 0), (3, 2), (3, 2), (0, 2)])
    flat = shapely.Polygon([(0, 0), (4, 0), (2, 0)])
    shapes = [(MapLayer.ROADBLOCK, one, False) for one in (hole, crossing, repeated, flat)]
    areas = prepare(Sketch(polygons=shapes).scene()).areas
    grid = np.stack(np.meshgrid(np.arange(-1, 8.1, 0.5), np.arange(-1, 5.1, 0.5)), axis=-1).reshape(-1, 2)
    assert assert_same(areas, grid) == {True, False}


@pytest.mark.parametrize("raster", [True, False])
def test_the_raster_only_spares_exact_tests(raster: bool) -> None:
    rng = np.random.default_rng(9)
    areas = prepare(random_scene(rng), raster=raster).areas
    shapes = areas.polygons
    inside = np.zeros(3, dtype=int)
    for x, y in np.concatenate([rng.uniform((-30, -60), (100, 60), (1500, 2)), rng.uniform(-15, 30, (500, 2))]):
        for area in range(3):
            members = areas.members[areas.member_start[area] : areas.member_start[area + 1]]
            plain = any(
                in_polygon(shapes.xy, shapes.ring_start, shapes.polygon_start, shapes.bounds, p, x, y) for p in members
            )
            assert in_area(areas, area, x, y) == in_area_exact(areas, area, x, y) == plain
            inside[area] += plain
    assert (inside > 0).all()


def test_points_outside_look_at_the_border() -> None:
    """Whatever a point's coordinates, it finds a cell, and outside the raster that says to be tested."""
    areas = prepare(Sketch(polygons=[(MapLayer.ROADBLOCK, shapely.box(-500, -500, 500, 500), False)]).scene()).areas
    low, high = areas.raster_grid[:2], areas.raster_grid[:2] + np.array([areas.raster_columns, areas.raster_rows]) / 2.0
    middle = 0.5 * (low + high)
    assert areas.raster[int(cell_of(areas, *middle))] & 3 == 1, "the road covers the whole raster"
    for bad in (low[0] - 1e-9, high[0] + 1e-9, -1e300, 1e300, -np.inf, np.inf, np.nan):
        for x, y in ((bad, middle[1]), (middle[0], bad), (bad, bad)):
            if low[0] <= x <= high[0] and low[1] <= y <= high[1]:
                continue
            cell = int(cell_of(areas, x, y))
            assert 0 <= cell < len(areas.raster)
            assert areas.raster[cell] == RASTER_ALL_TEST, (x, y)
            assert not contains(areas, 0, x, y) or max(abs(x), abs(y)) < 500

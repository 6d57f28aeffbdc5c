"""Distances and positions along the centreline against shapely; lane keeping and direction against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, lanes_at
from navforge.metric_cache.scene import MapLayer
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.kernels.lookup import SEEN_ROWS, look_one
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, COS, MOTION_ROWS, SIN
from navforge.scoring.kernels.path import MAX_RUNS, driving_direction, lane_keeping, locate, near_path
from navforge.scoring.prepare.scene import prepare
from tests.scoring.scenes import Sketch, box

STEPS = 41


@kernel
def locate_lanes(path, points, found):
    for first in range(0, points.shape[2], WIDTH):
        n = lanes_at(first)
        found[0, 0, n] = locate(path, points[0, 0, n], points[1, 0, n])


def winding(rng: np.random.Generator, count: int) -> np.ndarray:
    """A path with curves, repeated vertices and a loop that comes back near itself."""
    turn = np.cumsum(rng.normal(0, 0.06, count))
    step = rng.uniform(0.02, 1.0, count) * (rng.random(count) > 0.1)
    return np.cumsum(step[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1), axis=0) + np.array([-15.0, 0.0])


def scene_with(line: np.ndarray, raster: bool = True) -> SceneArrays:
    polygons = [(MapLayer.LANE, box(-50, -6, 150, 6), True), (MapLayer.INTERSECTION, box(20, -9, 35, 9), False)]
    return prepare(Sketch(polygons=polygons, centerline=line).scene(), raster=raster)


def points_near(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    at = line[rng.integers(0, len(line), 400)]
    spread = rng.choice([0.0, 0.1, 0.5, 1.0, 20.0], (400, 1))
    points = np.concatenate([at + rng.normal(0, 1, (400, 2)) * spread, rng.uniform(-300, 300, (40, 2))])
    return points[: len(points) // WIDTH * WIDTH]


@pytest.mark.parametrize("count", [2, 3, 9, 217, 600])
def test_locate_is_shapelys_project(count: int) -> None:
    rng = np.random.default_rng(count)
    prepared = scene_with(winding(rng, count))
    line = shapely.LineString(prepared.path.xy)
    points = points_near(prepared.path.xy, rng)
    found = np.empty((1, 1, len(points)))
    locate_lanes(prepared.path, np.ascontiguousarray(points.T[:, None]), found)
    one_by_one = [locate(prepared.path, x, y) for x, y in points]
    np.testing.assert_array_equal(found[0, 0], one_by_one)
    np.testing.assert_allclose(found[0, 0], shapely.line_locate_point(line, shapely.points(points)), atol=1e-9)


@pytest.mark.parametrize("raster", [True, False])
@pytest.mark.parametrize("count", [2, 9, 217, 600])
def test_near_the_path_is_at_most_half_a_metre(count: int, raster: bool) -> None:
    rng = np.random.default_rng(count)
    prepared = scene_with(winding(rng, count), raster)
    assert (prepared.path.near_unit > 1) == (count - 1 > MAX_RUNS)
    points = points_near(prepared.path.xy, rng)
    distance = shapely.distance(shapely.points(points), shapely.LineString(prepared.path.xy))
    found = [near_path(prepared.path, prepared.areas, x, y) for x, y in points]
    clear = np.abs(distance - 0.5) > 1e-12
    np.testing.assert_array_equal(np.array(found)[clear], (distance <= 0.5)[clear])
    assert set(found) == {True, False}


def motion_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    motion = np.zeros((MOTION_ROWS, STEPS, 1))
    motion[CENTER_X, :, 0], motion[CENTER_Y, :, 0] = x, y
    motion[COS], motion[SIN] = 1.0, 0.0
    return motion


def looked(prepared: SceneArrays, motion: np.ndarray) -> np.ndarray:
    seen = np.empty((SEEN_ROWS, 1), dtype=np.int64)
    look_one(prepared.areas, prepared.path, motion, STEPS, True, 0, seen)
    return seen


def plain_lane_keeping(off: np.ndarray, crossing: np.ndarray) -> float:
    run = longest = 0
    for t in range(STEPS):
        if not crossing[t]:
            run = run + 1 if off[t] else 0
            longest = max(longest, run)
    return 0.0 if longest >= 20 else 1.0


@pytest.mark.parametrize("raster", [True, False])
def test_lane_keeping(raster: bool) -> None:
    """Runs of every length at every place, steps in the intersection (x in 20..35) skipped."""
    prepared = scene_with(np.array([[-20.0, 0.0], [100.0, 0.0]]), raster)
    rng = np.random.default_rng(1)
    results = set()
    cases = [(first, length) for first in (0, 1, 5, 18, 19, 20, 21, 22) for length in (0, 1, 19, 20, 21, 41)]
    for first, length in cases:
        for start in (-18.0, 0.0, 15.0, 40.0):
            off = (np.arange(STEPS) >= first) & (np.arange(STEPS) < first + length)
            off ^= rng.random(STEPS) < rng.choice([0.0, 0.05])
            x = start + 0.7 * np.arange(STEPS)
            y = np.where(off, rng.choice([0.51, 0.9, 3.0, -2.0], STEPS), rng.choice([0.0, 0.49, -0.3], STEPS))
            motion = motion_of(x, y)
            expected = plain_lane_keeping(off, (x > 20) & (x < 35))
            assert lane_keeping(prepared.path, prepared.areas, motion, STEPS, 0, looked(prepared, motion)) == expected
            results.add(expected)
    assert results == {0.0, 1.0}


@pytest.mark.parametrize("raster", [True, False])
@pytest.mark.parametrize("forgive", [True, False])
def test_driving_direction(forgive: bool, raster: bool) -> None:
    """Off the route's lane beyond |y| = 6; forgiven in the intersection, if at all."""
    prepared = scene_with(np.array([[-20.0, 0.0], [100.0, 0.0]]), raster)
    rng = np.random.default_rng(2)
    results = set()
    for _ in range(200):
        way = rng.uniform(0.05, 1.2) * rng.uniform(0.5, 1.5, STEPS)
        x = rng.uniform(-10, 20) + np.cumsum(way)
        wrong = np.repeat(rng.random(STEPS) < rng.uniform(0, 0.9), rng.integers(1, 9))[:STEPS]
        y = np.where(wrong, rng.uniform(6.01, 7.0, STEPS), rng.uniform(5.0, 5.99, STEPS))
        motion = motion_of(x, y)
        counted = np.append(0.0, np.hypot(np.diff(x), np.diff(y))) * wrong
        if forgive:
            counted *= ~((x > 20) & (x < 35))
        worst = max(counted[max(0, t - 10) : t + 1].sum() for t in range(STEPS))
        expected = 1.0 if worst < 2.0 else 0.5 if worst < 6.0 else 0.0
        seen, work = looked(prepared, motion), np.empty((STEPS, 1))
        assert driving_direction(prepared.areas, motion, STEPS, forgive, 0, seen, work) == expected
        results.add(expected)
    assert results == {0.0, 0.5, 1.0}

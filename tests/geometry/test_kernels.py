"""Geometry kernels against shapely, and on the cases where a boundary decides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely

from navforge.geometry.kernels import (
    INSIDE,
    ON_BOUNDARY,
    OUTSIDE,
    box_meets_polygon,
    boxes_overlap,
    in_polygon,
    ring_side,
    segment_distance_squared,
    segment_meets_box,
)

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]])


def flat(polygon: shapely.Polygon) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rings = [np.asarray(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
    starts = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
    return np.concatenate(rings), starts, np.array([0, len(rings)]), np.array([polygon.bounds])


def random_ring(rng: np.random.Generator, simple: bool) -> np.ndarray:
    count = int(rng.integers(3, 15))
    angle = rng.uniform(0, 2 * np.pi, count)
    angle = np.sort(angle) if simple else angle
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(1, 5, (count, 1))


@pytest.mark.parametrize(
    ("point", "side"),
    [
        ((2.0, 2.0), INSIDE),
        ((5.0, 2.0), OUTSIDE),
        ((-1.0, 0.0), OUTSIDE),
        ((-1.0, 4.0), OUTSIDE),
        ((2.0, 0.0), ON_BOUNDARY),
        ((0.0, 2.0), ON_BOUNDARY),
        ((4.0, 4.0), ON_BOUNDARY),
        ((0.0, 0.0), ON_BOUNDARY),
        ((2.0, 4.0), ON_BOUNDARY),
        ((2.0, np.nextafter(4.0, 0.0)), INSIDE),
        ((2.0, np.nextafter(4.0, 5.0)), OUTSIDE),
    ],
)
def test_sides_of_a_square(point: tuple[float, float], side: int) -> None:
    for ring in (SQUARE, SQUARE[::-1].copy()):
        assert ring_side(ring, 0, len(ring), *point) == side


def test_a_ray_through_vertices() -> None:
    """Points level with the vertices of a star."""
    star = np.array([[0, 0], [2, 1], [4, 0], [3, 2], [4, 4], [2, 3], [0, 4], [1, 2], [0, 0]], dtype=np.float64)
    polygon = shapely.Polygon(star)
    for x in np.linspace(-1, 5, 25):
        for y in (0.0, 1.0, 2.0, 3.0, 4.0):
            found = ring_side(star, 0, len(star), x, y)
            expected = (
                ON_BOUNDARY
                if polygon.exterior.distance(shapely.Point(x, y)) == 0
                else INSIDE
                if polygon.contains(shapely.Point(x, y))
                else OUTSIDE
            )
            assert found == expected, (x, y)


@pytest.mark.parametrize("seed", range(6))
def test_points_in_random_polygons(seed: int) -> None:
    """Simple, self-crossing and holed polygons: shapely's containment."""
    rng = np.random.default_rng(seed)
    for simple in (True, False):
        holes = [0.3 * random_ring(rng, True)] if simple and seed % 2 else []
        polygon = shapely.Polygon(random_ring(rng, simple), holes)
        arrays = flat(polygon)
        points = rng.uniform(-5, 5, (300, 2))
        expected = shapely.contains_xy(polygon, points[:, 0], points[:, 1])
        found = [in_polygon(arrays[0], arrays[1], arrays[2], arrays[3], 0, x, y) for x, y in points]
        np.testing.assert_array_equal(found, expected)


def oriented(x: float, y: float, heading: float, length: float, width: float) -> shapely.Polygon:
    c, s = np.cos(heading), np.sin(heading)
    corners = [(a * length / 2, b * width / 2) for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    return shapely.Polygon([(x + c * a - s * b, y + s * a + c * b) for a, b in corners])


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    x1, y1, h1, l1, w1 = first
    x2, y2, h2, l2, w2 = second
    return boxes_overlap(
        x2 - x1, y2 - y1, np.cos(h1), np.sin(h1), l1 / 2, w1 / 2, np.cos(h2), np.sin(h2), l2 / 2, w2 / 2
    )


@pytest.mark.parametrize("seed", range(4))
def test_random_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(400):
        first, second = (tuple(rng.uniform([-4, -4, -7, 0.1, 0.1], [4, 4, 7, 6, 3])) for _ in range(2))
        expected = oriented(*first).intersects(oriented(*second))
        assert overlap(first, second) == overlap(second, first) == expected
        hits += expected
    assert 40 < hits < 360


def test_boxes_that_touch_overlap() -> None:
    own = (0.0, 0.0, 0.0, 4.0, 2.0)
    assert overlap(own, (4.0, 0.0, 0.0, 4.0, 2.0)), "side to side"
    assert overlap(own, (4.0, 2.0, 0.0, 4.0, 2.0)), "corner to corner"
    assert not overlap(own, (np.nextafter(4.0, 5.0), 0.0, 0.0, 4.0, 2.0))
    assert overlap(own, (0.5, 0.2, 1.0, 0.0, 0.0)), "a point inside"
    assert not overlap(own, (2.5, 0.0, 1.0, 0.0, 0.0)), "a point outside"


@pytest.mark.parametrize("seed", range(4))
def test_segments_and_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shapely.box(-2, -1, 2, 1)
    for _ in range(400):
        a, b = rng.uniform(-4, 4, (2, 2))
        assert segment_meets_box(*a, *b, 2.0, 1.0) == shapely.LineString([a, b]).intersects(shape)


@pytest.mark.parametrize("seed", range(4))
def test_boxes_and_polygons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        polygon = shapely.Polygon(random_ring(rng, True), [0.3 * random_ring(rng, True)])
        if not polygon.is_valid:
            continue
        arrays = flat(polygon)
        x, y, h, length, width = rng.uniform([-5, -5, -7, 0.05, 0.05], [5, 5, 7, 3, 2])
        found = box_meets_polygon(
            arrays[0], arrays[1], arrays[2], arrays[3], 0, x, y, np.cos(h), np.sin(h), length / 2, width / 2
        )
        assert found == polygon.intersects(oriented(x, y, h, length, width))


@pytest.mark.parametrize("seed", range(4))
def test_distance_to_polylines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xy = np.cumsum(rng.uniform(-1, 2, (20, 2)), axis=0)
    xy = np.repeat(xy, rng.integers(1, 3, 20), axis=0)
    line = shapely.LineString(xy)
    for point in rng.uniform(-5, 20, (100, 2)):
        distances = [segment_distance_squared(*a, *b, *point) for a, b in pairwise(xy)]
        assert min(distances) ** 0.5 == pytest.approx(line.distance(shapely.Point(point)), abs=1e-9)

"""Distances of convex quadrilaterals against shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.geometry.convex import circles_gap, quad_distance_squared, quads_meet, set_circle


def convex_quads(rng: np.random.Generator, count: int, spread: float = 3.0) -> np.ndarray:
    """(count, 4, 2) convex quadrilaterals; every third is a triangle."""
    angle = np.sort(rng.uniform(0.0, 2 * np.pi, (count, 4)), axis=1)
    stretch = rng.uniform(0.2, 3.0, (count, 1, 2))
    quads = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * stretch + rng.uniform(-spread, spread, (count, 1, 2))
    quads[::3, 3] = quads[::3, 2]
    return np.ascontiguousarray(quads)


def test_distance_and_meeting_are_shapelys() -> None:
    rng = np.random.default_rng(0)
    a, b = convex_quads(rng, 400), convex_quads(rng, 400)
    wanted = shapely.distance(shapely.polygons(a), shapely.polygons(b))
    found = np.array([quad_distance_squared(a, i, b, i) for i in range(400)])
    np.testing.assert_allclose(np.sqrt(found), wanted, atol=1e-12)
    assert [quads_meet(a, i, b, i) for i in range(400)] == (wanted == 0.0).tolist()
    assert 20 < (wanted == 0.0).sum() < 380, "both outcomes are tried"


def test_touching_meets_and_inside_meets() -> None:
    unit = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    beside = np.array([1.0, 0.0])
    assert quads_meet(unit, 0, unit + beside, 0)
    assert quads_meet(unit, 0, unit * 0.2 + 0.4, 0)
    assert not quads_meet(unit, 0, unit + beside * (1.0 + 1e-12), 0)
    assert quad_distance_squared(unit, 0, unit + np.array([4.0, 5.0]), 0) == pytest.approx(25.0)


def test_circles_hold_their_pieces() -> None:
    quads = convex_quads(np.random.default_rng(1), 50)
    circle = np.empty((50, 3))
    for i in range(50):
        set_circle(circle, quads, i)
        assert (np.hypot(*(quads[i] - circle[i, :2]).T) <= circle[i, 2]).all()
    distance = [np.sqrt(quad_distance_squared(quads, i, quads, 0)) for i in range(1, 50)]
    assert all(circles_gap(circle, i + 1, circle, 0) <= d + 1e-12 for i, d in enumerate(distance))

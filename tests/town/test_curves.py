"""Polylines of the town."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.town import curves


def test_fillet_replaces_the_corner_by_an_arc_of_the_radius() -> None:
    line = curves.fillet(np.array([0.0, 0.0]), np.array([20.0, 0.0]), np.array([20.0, 20.0]), 5.0)
    arc = line[1:-1]
    assert np.allclose(np.hypot(*(arc - [15.0, 5.0]).T), 5.0)
    assert np.allclose(arc[0], [15.0, 0.0]) and np.allclose(arc[-1], [20.0, 5.0])


def test_fillet_to_the_right_mirrors_the_one_to_the_left() -> None:
    left = curves.fillet(np.zeros(2), np.array([9.0, 0.0]), np.array([9.0, 9.0]), 4.0)
    right = curves.fillet(np.zeros(2), np.array([9.0, 0.0]), np.array([9.0, -9.0]), 4.0)
    assert np.allclose(left * [1, -1], right)


def test_offset_of_a_circle_is_a_circle() -> None:
    angle = np.linspace(0.0, np.pi, 200)
    circle = 10.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner = curves.offset(circle, 2.0)
    assert np.allclose(np.hypot(*inner.T), 8.0, atol=1e-3)
    assert np.allclose(curves.curvature(circle)[5:-5], 0.1, atol=1e-4)


def test_smoothing_keeps_ends_and_straight_lines() -> None:
    line = np.array([[0.0, 0.0], [30.0, 0.0]])
    smooth = curves.smooth(line, 2.0, 1.0)
    assert np.allclose(smooth[:, 1], 0.0) and np.allclose(smooth[[0, -1]], line)
    bent = curves.smooth(np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 30.0]]), 2.0, 1.0)
    assert np.allclose(bent[[0, -1]], [[0.0, 0.0], [30.0, 30.0]])
    assert np.abs(curves.curvature(bent)).max() < 0.5


def test_projection_has_the_sign_of_the_side() -> None:
    line = np.array([[0.0, 0.0], [10.0, 0.0]])
    s, d = curves.project(line, curves.arc_length(line), np.array([[3.0, 2.0], [4.0, -1.0]]))
    assert s == pytest.approx([3.0, 4.0]) and d == pytest.approx([2.0, -1.0])


def test_parallel_lines_do_not_cross() -> None:
    u = np.array([1.0, 0.0])
    assert curves.crossing(np.zeros(2), u, np.array([0.0, 1.0]), u) is None

from __future__ import annotations

import numpy as np

from navforge.geometry.se2 import (
    points_to_global,
    points_to_local,
    poses_to_global,
    poses_to_local,
    wrap_angle,
)

ORIGIN = np.array([10.0, -5.0, np.pi / 2])


def test_known_places() -> None:
    np.testing.assert_allclose(points_to_local(ORIGIN, np.array([10.0, -2.0])), [3.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(points_to_global(ORIGIN, np.array([0.0, 1.0])), [9.0, -5.0], atol=1e-12)


def test_there_and_back() -> None:
    poses = np.random.default_rng(0).uniform(-3, 3, (4, 5, 3))
    np.testing.assert_allclose(poses_to_local(ORIGIN, poses_to_global(ORIGIN, poses)), poses, atol=1e-12)
    np.testing.assert_allclose(
        points_to_local(ORIGIN, points_to_global(ORIGIN, poses[..., :2])), poses[..., :2], atol=1e-12
    )


def test_wrapped_angles_lie_in_half_open_range() -> None:
    assert wrap_angle(np.array(np.pi)) == -np.pi
    np.testing.assert_allclose(wrap_angle(np.array([7.0, -7.0, 0.5])), [7 - 2 * np.pi, 2 * np.pi - 7, 0.5])

"""Motion along lanes against scipy."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import interp1d

from navforge.simulation.kernels.lane import clamped, pose_along, principal, vertex_after
from tests.simulation.lanes import bent_lane


def test_poses_are_scipys() -> None:
    rng = np.random.default_rng(4)
    lane, arc = bent_lane(rng, 20, 0.4)
    wanted = interp1d(arc, lane, axis=0)
    pose = np.empty((1, 3))
    for at in [*arc, *rng.uniform(0.0, arc[-1], 50)]:
        pose_along(lane, arc, 0, 19, at, pose, 0)
        x, y, heading = wanted(at)
        np.testing.assert_array_equal(pose[0, :2], [x, y])
        assert pose[0, 2] == (heading + np.pi) % (2 * np.pi) - np.pi


def test_clamped_and_vertex_after() -> None:
    arc = np.array([0.0, 1.0, 2.5])
    assert [clamped(at, arc, 0, 2) for at in (-1.0, 2.0, 3.0)] == [0.0, 2.0, 2.5]
    assert [vertex_after(arc, 0, 2, at) for at in (-0.1, 0.0, 1.0, 2.4, 2.5)] == [0, 1, 2, 2, 3]
    assert principal(np.pi) == -np.pi

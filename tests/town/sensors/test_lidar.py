"""LiDAR points lie on what they hit."""

from __future__ import annotations

import dataclasses

import numpy as np

from navforge.town.sensors import Rig, Scenery
from navforge.town.sensors.cameras import prepare
from navforge.town.sensors.lidar import cast_points
from navforge.town.world import ActorKind, Snapshot
from tests.town.sensors import sensor_scene


def points_in_town(scenery: Scenery, snapshot: Snapshot, rig: Rig) -> np.ndarray:
    points = cast_points(scenery, prepare(scenery, snapshot), rig).astype(np.float64)
    x, y, heading = snapshot.ego_pose
    cos, sin = np.cos(heading), np.sin(heading)
    town = points.copy()
    town[:, 0], town[:, 1] = x + cos * points[:, 0] - sin * points[:, 1], y + sin * points[:, 0] + cos * points[:, 1]
    return town


def test_sweep_size_rings_and_values(scenery: Scenery) -> None:
    points = cast_points(scenery, prepare(scenery, sensor_scene.snapshot()), Rig())
    assert points.dtype == np.float32
    assert 20_000 < len(points) <= 40_000
    assert points[:, 4].min() == 0
    assert points[:, 4].max() == 39
    assert points[:, 3].min() >= 0
    assert points[:, 3].max() <= 255
    assert np.isfinite(points).all()


def test_points_inside_boxes_lie_on_bodies(scenery: Scenery) -> None:
    snapshot = sensor_scene.snapshot(pose=(-5.0, -1.75, 0.2))
    points = points_in_town(scenery, snapshot, Rig(lidar_noise=0.0))
    hit = 0
    for x, y, z, length, width, height, heading in snapshot.actors.box[[0, 1, 2, 7]]:
        away = points[:, :2] - [x, y]
        along = away @ [np.cos(heading), np.sin(heading)]
        across = away @ [-np.sin(heading), np.cos(heading)]
        inside = (np.abs(along) < length / 2 + 0.02) & (np.abs(across) < width / 2 + 0.02)
        inside &= (points[:, 2] > 0.3) & (points[:, 2] < height + 0.02)
        hit += int(inside.sum())
        lower = inside & (points[:, 2] < 0.5 * height)
        depth = np.minimum(length / 2 - np.abs(along[lower]), width / 2 - np.abs(across[lower]))
        assert depth.max() < 0.25, "no return from inside the body"
        assert abs(z - height / 2) < 1e-9
    assert hit > 200


def test_everything_else_is_ground_or_scenery(scenery: Scenery) -> None:
    snapshot = sensor_scene.snapshot()
    nothing = {f.name: getattr(snapshot.actors, f.name)[:0] for f in dataclasses.fields(snapshot.actors)}
    empty = dataclasses.replace(snapshot, actors=dataclasses.replace(snapshot.actors, **nothing))
    points = points_in_town(scenery, empty, Rig(lidar_noise=0.0))
    low = points[:, 2] < 0.05
    assert low.mean() > 0.4
    assert np.abs(points[low, 2]).mean() < 1e-3
    on_road = ~low & (np.abs(points[:, 1]) < 6.9) & (points[:, 0] > -119) & (points[:, 0] < 30)
    assert not on_road.any(), "with no actors nothing stands on the road"


def test_a_pedestrian_is_hit(scenery: Scenery) -> None:
    snapshot = sensor_scene.snapshot()
    row = int(np.flatnonzero(snapshot.actors.kind == ActorKind.PEDESTRIAN)[1])
    points = points_in_town(scenery, snapshot, Rig())
    away = np.hypot(*(points[:, :2] - snapshot.actors.box[row, :2]).T)
    assert ((away < 0.4) & (points[:, 2] > 0.2)).sum() > 15


def test_noise_is_small_and_repeats(scenery: Scenery) -> None:
    moment = prepare(scenery, sensor_scene.snapshot())
    first, again = cast_points(scenery, moment, Rig()), cast_points(scenery, moment, Rig())
    np.testing.assert_array_equal(first, again)
    exact = cast_points(scenery, moment, Rig(lidar_noise=0.0))
    if len(exact) == len(first):
        assert np.linalg.norm(first[:, :3] - exact[:, :3], axis=1).max() < 0.1

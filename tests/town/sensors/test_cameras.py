"""Images show what the snapshot holds, where the calibration says, as near as the geometry is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from navforge.data.sensors import project
from navforge.town.sensors import Rig, Scenery, look_of
from navforge.town.sensors.cameras import View, prepare, render_views
from navforge.town.sensors.kernels import GROUND_OWNER, SKY_OWNER
from navforge.town.sensors.rig import CAMERA_NAMES
from navforge.town.world import ActorKind, Light, Snapshot
from tests.town.sensors import sensor_scene
from tests.town.sensors.test_rig import calibrated

RIG = Rig()
LOOK = look_of(1)


def views_of(scenery: Scenery, snapshot: Snapshot, *names: str) -> dict[str, View]:
    return render_views(scenery, prepare(scenery, snapshot), RIG, LOOK, names or CAMERA_NAMES)


def to_ego(snapshot: Snapshot, points: np.ndarray) -> np.ndarray:
    x, y, heading = snapshot.ego_pose
    cos, sin = np.cos(heading), np.sin(heading)
    away = points - np.array([x, y, 0.0])
    return np.column_stack([cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0], away[:, 2]])


@pytest.mark.parametrize("pose", [(-5.0, -1.75, 0.0), (-60.0, -5.0, 0.3), (20.0, 2.0, 3.0)])
def test_actors_appear_where_their_boxes_project(scenery: Scenery, pose: tuple[float, float, float]) -> None:
    snapshot = sensor_scene.snapshot(pose=pose)
    boxes = snapshot.actors.box
    solid = np.isin(snapshot.actors.kind, [ActorKind.CAR, ActorKind.VAN, ActorKind.TRUCK, ActorKind.BUS])
    seen = 0
    for name, view in views_of(scenery, snapshot).items():
        pixels, depth, valid = project(to_ego(snapshot, boxes[:, :3]), calibrated(name, RIG.size))
        for row in np.flatnonzero(valid & solid):
            u, v = np.rint(pixels[row]).astype(int)
            if not (0 <= u < RIG.width and 0 <= v < RIG.height and depth[row] < 100):
                continue
            surface = depth[row] - float(np.hypot(*boxes[row, 3:5])) / 2 - 0.1
            in_front = view.depth[v, u] < surface
            if not in_front:  # otherwise something else hides the actor there
                seen += 1
                assert view.owner[v, u] == row, f"{name}: actor {row} not at its projected centre"
                assert view.depth[v, u] <= depth[row]
    assert seen >= 4


def test_owner_pixels_lie_inside_the_projected_box(scenery: Scenery) -> None:
    snapshot = sensor_scene.snapshot()
    view = views_of(scenery, snapshot, "CAM_F0")["CAM_F0"]
    camera = calibrated("CAM_F0", RIG.size)
    corner = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])
    for row in (0, 7):
        x, y, z, length, width, height, heading = snapshot.actors.box[row]
        assert heading == 0
        points = corner * [length, width, height] + [x, y, z]
        pixels, _, valid = project(to_ego(snapshot, points), camera)
        assert valid.all()
        v, u = np.nonzero(view.owner == row)
        assert len(u) > 300
        assert u.min() >= pixels[:, 0].min() - 1
        assert u.max() <= pixels[:, 0].max() + 1
        assert v.min() >= pixels[:, 1].min() - 1
        assert v.max() <= pixels[:, 1].max() + 1


def test_ground_depth_and_sky(scenery: Scenery) -> None:
    snapshot = sensor_scene.snapshot(pose=(-119.0, 60.0, np.pi))
    view = views_of(scenery, snapshot, "CAM_F0")["CAM_F0"]
    assert (view.owner[:130] == SKY_OWNER).all()
    assert np.isinf(view.depth[:130]).all()
    rows = np.arange(150, 270)
    assert (view.owner[rows] == GROUND_OWNER).all()
    np.testing.assert_allclose(view.depth[rows, 100], 1.6 * 386.25 / (rows - 140), rtol=1e-5)


@pytest.mark.parametrize("light", [Light.RED, Light.GREEN])
def test_light_state_is_visible(scenery: Scenery, light: Light) -> None:
    snapshot = sensor_scene.snapshot(light=light, pose=(5.0, -1.75, 0.0))
    view = views_of(scenery, snapshot, "CAM_F0")["CAM_F0"]
    head = sensor_scene.town().light_heads[1].position
    pixels, _, _ = project(to_ego(snapshot, head[None]), calibrated("CAM_F0", RIG.size))
    u, v = np.rint(pixels[0]).astype(int)
    patch = view.rgb[v - 10 : v + 11, u - 5 : u + 6].astype(int)
    channel, other = (0, 1) if light is Light.RED else (1, 0)
    bright = (patch[..., channel] > 200) & (patch[..., other] < 120)
    assert bright.sum() >= 6
    row = np.nonzero(bright)[0].mean()
    assert (row < 10) == (light is Light.RED), "red is the upper lamp, green the lower"


def test_lane_paint_shows_in_the_image(scenery: Scenery) -> None:
    snapshot = sensor_scene.snapshot(pose=(-100.0, -1.75, 0.0))
    view = views_of(scenery, snapshot, "CAM_F0")["CAM_F0"]
    camera = calibrated("CAM_F0", RIG.size)
    distances = np.array([8.0, 12.0, 20.0])
    for offset, test in (
        (0.14, lambda c: c[0] > 1.5 * c[2]),
        (1.5, lambda c: c.max() - c.min() < 25),
    ):
        points = np.column_stack([-100 + distances, np.full(3, offset), np.zeros(3)])
        pixels, _, _ = project(to_ego(snapshot, points), camera)
        for u, v in np.rint(pixels).astype(int):
            assert test(view.rgb[v, u].astype(int)), (offset, view.rgb[v, u])


def test_every_log_has_its_own_light_within_reason(scenery: Scenery) -> None:
    moment = prepare(scenery, sensor_scene.snapshot())
    images = [render_views(scenery, moment, RIG, look_of(seed), ["CAM_F0"])["CAM_F0"].rgb for seed in range(6)]
    means = [image.mean() for image in images]
    assert 80 < min(means) < max(means) < 190
    assert min(np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(images)) > 2

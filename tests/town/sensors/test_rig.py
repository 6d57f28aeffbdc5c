"""Camera models: official numbers, viewing directions, rays that project back to their pixels."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core import config
from navforge.core.errors import ConfigError
from navforge.data.sensors import CameraCalibration, project
from navforge.town.sensors.rig import CAMERA_NAMES, Rig, calibration, camera_rays, intrinsics, lidar_rays


def calibrated(name: str, size: tuple[int, int]) -> CameraCalibration:
    entry = calibration(size)[name]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = entry["sensor2lidar_rotation"], entry["sensor2lidar_translation"]
    return CameraCalibration(name, entry["cam_intrinsic"], entry["distortion"], pose)


def test_official_names_and_intrinsics() -> None:
    assert set(CAMERA_NAMES) == {"CAM_F0", "CAM_L0", "CAM_L1", "CAM_L2", "CAM_R0", "CAM_R1", "CAM_R2", "CAM_B0"}
    np.testing.assert_allclose(intrinsics((1920, 1080)), [[1545, 0, 960], [0, 1545, 560], [0, 0, 1]])
    np.testing.assert_allclose(intrinsics((480, 270)), [[386.25, 0, 240], [0, 386.25, 140], [0, 0, 1]])


def test_rotations_are_rotations_and_look_where_they_should() -> None:
    yaw = {}
    for name, entry in calibration((480, 270)).items():
        rotation = entry["sensor2lidar_rotation"]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        np.testing.assert_allclose(rotation @ [0, 1, 0], [0, 0, -1], atol=1e-12)  # image down is down
        forward = rotation @ [0, 0, 1]
        yaw[name] = np.degrees(np.arctan2(forward[1], forward[0]))
    assert yaw["CAM_F0"] == pytest.approx(0)
    assert abs(yaw["CAM_B0"]) == pytest.approx(180)
    for number in range(3):
        assert yaw[f"CAM_L{number}"] > 0
        assert yaw[f"CAM_L{number}"] == pytest.approx(-yaw[f"CAM_R{number}"])
    order = sorted(yaw[n] % 360 for n in CAMERA_NAMES)
    field_of_view = 2 * np.degrees(np.arctan(960 / 1545))
    assert max(np.diff([*order, order[0] + 360])) < field_of_view, "the ring of cameras has a gap"


@pytest.mark.parametrize("name", CAMERA_NAMES)
def test_rays_project_back_to_their_pixels(name: str) -> None:
    size = (64, 36)
    camera = calibrated(name, size)
    points = camera.camera2ego[:3, 3] + 7.0 * camera_rays(name, size).astype(np.float64)
    pixels, depth, valid = project(points, camera)
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    assert valid.all()
    np.testing.assert_allclose(depth, 7.0, rtol=1e-5)
    np.testing.assert_allclose(pixels, np.stack([u.ravel(), v.ravel()], axis=1), atol=1e-3)


def test_lidar_rays_are_unit_and_cover_the_circle() -> None:
    rays, rings = lidar_rays(Rig(lidar_beams=4, lidar_columns=90))
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1.0, rtol=1e-6)
    azimuth = np.sort(np.degrees(np.arctan2(rays[rings == 2, 1], rays[rings == 2, 0])))
    np.testing.assert_allclose(np.diff(azimuth), 4.0, atol=1e-3)


def test_lidar_rings_rise_and_crowd_at_the_horizon() -> None:
    rig = Rig(lidar_columns=8)
    rays, rings = lidar_rays(rig)
    elevation = np.arcsin([rays[rings == ring, 2].mean() for ring in range(rig.lidar_beams)])
    steps = np.diff(elevation)
    assert (steps > 0).all()
    assert elevation[[0, -1]] == pytest.approx([rig.lidar_low, rig.lidar_high], abs=1e-6)
    assert abs(elevation[:-1][steps.argmin()]) < 0.02


def test_rig_refuses_an_image_that_is_not_16_to_9() -> None:
    with pytest.raises(ConfigError, match="16:9"):
        config.merge(Rig, ["width=480", "height=300"])

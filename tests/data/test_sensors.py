"""Camera decoding, calibration and projection."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from navforge.core.errors import DataError
from navforge.data.lidar import encode_lidar
from navforge.data.logs import Frame
from navforge.data.scenes import Scene
from navforge.data.sensors import (
    CameraCalibration,
    camera_calibration,
    camera_path,
    inside_image,
    lidar_in_ego,
    lidar_path,
    load_camera,
    load_lidar,
    project,
    read_image,
)
from tests.data.tiny_log import config, raw_frame, token


def scene(**changes) -> Scene:
    frames = tuple(Frame({**raw_frame(i), **changes}, "log0.pkl", i) for i in range(5))
    return Scene(frames, 4, frames[3].token, "real")


def gradient(width: int = 64, height: int = 32) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width)[None]
    image[..., 2] = np.linspace(0, 255, height)[:, None]
    return image


def jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path):
    blobs = tmp_path / "sensor_blobs" / "real" / "log0"
    for folder in ("CAM_F0", "MergedPointCloud"):
        (blobs / folder).mkdir(parents=True)
    (blobs / "CAM_F0" / f"{token(3)}.jpg").write_bytes(jpeg(gradient()))
    points = np.array([[10, 2, -1, 5, 1, 0]], np.float32)
    (blobs / "MergedPointCloud" / f"{token(3)}.pcd").write_bytes(encode_lidar(points))
    return tmp_path


def test_camera_image(root):
    image = load_camera(scene(), "CAM_F0", config(root))
    assert image.shape == (32, 64, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - gradient()).mean() < 4


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_small_decode_looks_like_the_shrunk_image(root, scale):
    image = load_camera(scene(), "CAM_F0", config(root), scale=scale)
    assert image.shape == (32 // scale, 64 // scale, 3)
    shrunk = gradient().reshape(32 // scale, scale, 64 // scale, scale, 3).mean(axis=(1, 3))
    assert np.abs(image - shrunk).mean() < 4


def test_small_decode_of_other_formats(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", scale=4).shape == (8, 16, 3)
    Image.fromarray(gradient()[..., 0]).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").shape == (32, 64, 3)


def test_missing_and_damaged_images_are_named(root):
    with pytest.raises(DataError, match=rf"CAM_B0/{token(3)}\.jpg not found"):
        load_camera(scene(), "CAM_B0", config(root))
    path = camera_path(scene(), "CAM_F0", config(root))
    whole = path.read_bytes()
    for content in (b"", b"not an image", whole[:-200], whole[:20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{token(3)}\.jpg is (damaged|empty)"):
            load_camera(scene(), "CAM_F0", config(root))


def test_unknown_camera_lists_the_cameras(root):
    with pytest.raises(DataError, match=r"no camera 'CAM_X'; it has CAM_F0, CAM_L0"):
        load_camera(scene(), "CAM_X", config(root))


def test_lidar(root):
    points = load_lidar(scene(), config(root))
    np.testing.assert_array_equal(points, [[10, 2, -1, 5, 1, 0]])
    np.testing.assert_allclose(lidar_in_ego(points, scene().current), [[10.9, 2, 0.5]])
    with pytest.raises(DataError, match="names no LiDAR file"):
        load_lidar(scene(lidar_path=None), config(root))
    with pytest.raises(DataError, match="not found"):
        load_lidar(scene(), config(root), frame=0)


def test_sensor_files_below_the_root_itself(root):
    (root / "sensor_blobs" / "real" / "log0").rename(root / "sensor_blobs" / "log0")
    (root / "sensor_blobs" / "real").rmdir()
    assert load_lidar(scene(), config(root)).shape == (1, 6)
    assert lidar_path(scene(), config(root)).is_file()


def test_projection_by_hand():
    # Camera at ego (1.6, 0, 1.6) looking ahead, focal length 400 px, centre (240, 135).
    camera = camera_calibration(scene().current, "CAM_F0")
    np.testing.assert_allclose(camera.camera2ego[:3, 3], [1.6, 0, 1.6], atol=1e-12)
    points = np.array([[11.6, 0, 1.6], [11.6, 1, 1.6], [11.6, 0, 2.6], [-5, 0, 1.6]])
    pixels, depth, valid = project(points, camera)
    np.testing.assert_allclose(pixels[:3], [[240, 135], [200, 135], [240, 95]], atol=1e-9)
    np.testing.assert_allclose(depth, [10, 10, 10, -6.6], atol=1e-9)
    assert valid.tolist() == [True, True, True, False]
    assert inside_image(pixels, valid, 480, 270).tolist() == [True, True, True, False]
    assert inside_image(pixels, valid, 200, 270).tolist() == [False, False, False, False]


def test_distortion_by_hand():
    # At (x, y) = (0.5, 0): r2 = 0.25, radial = 1 - 0.2/4 + 0.08/16 = 0.955; x' = 0.4775 + p2 * 3/4, y' = p1 / 4.
    camera = CameraCalibration("c", np.diag([1.0, 1.0, 1.0]), np.array([-0.2, 0.08, 0.01, 0.002, 0.0]), np.eye(4))
    pixels, _, valid = project(np.array([[0.5, 0.0, 1.0]]), camera)
    assert valid.all()
    np.testing.assert_allclose(pixels, [[0.4775 + 0.0015, 0.0025]], atol=1e-12)
    plain, _, _ = project(np.array([[0.5, 0.0, 1.0]]), camera, distort=False)
    np.testing.assert_allclose(plain, [[0.5, 0.0]])


def test_points_beyond_the_lens_model_do_not_fold_back():
    # r (1 - 0.3 r2) grows up to r = 1.054 only.
    camera = CameraCalibration("c", np.eye(3), np.array([-0.3, 0, 0, 0, 0]), np.eye(4))
    points = np.array([[0.9, 0, 1], [1.04, 0, 1], [1.06, 0, 1], [1.8, 0, 1.0]])
    assert project(points, camera)[2].tolist() == [True, True, False, False]
    assert project(points, camera, distort=False)[2].all()


def test_more_coefficients_than_known():
    raw = raw_frame(3)
    raw["cams"]["CAM_F0"]["distortion"] = np.array([0.1, 0, 0, 0, 0, 0.2, 0, 0])
    with pytest.raises(DataError, match="only 5 distortion coefficients"):
        camera_calibration(Frame(raw, "log0.pkl", 3), "CAM_F0")
    raw["cams"]["CAM_F0"]["distortion"] = np.array([0.1, 0, 0, 0])
    assert camera_calibration(Frame(raw, "log0.pkl", 3), "CAM_F0").distortion.tolist() == [0.1, 0, 0, 0, 0]

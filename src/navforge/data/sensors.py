"""Camera images, LiDAR sweeps and camera geometry of scenes.

Points are projected with the log's own intrinsics, lens distortion and extrinsics. Chain of frames:
ego -> merged LiDAR (`lidar2ego`, inverted) -> camera (`sensor2lidar`, inverted; x right, y down, z forward) -> pixels,
the centre of the upper left pixel being (0, 0).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from navforge.core.errors import DataError
from navforge.core.outside.files import but_is, inside, read_bytes
from navforge.data.lidar import LidarColumn, read_lidar
from navforge.data.logs import CameraParameters, Frame
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene

IMAGE = "camera image"
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    MemoryError,
    Image.DecompressionBombError,
)
"""What Pillow raises of a damaged image."""
_MIN_DEPTH_M = 1e-3


@dataclass(frozen=True, slots=True)
class CameraCalibration:
    """Geometry of one camera of one frame."""

    name: str
    intrinsics: NDArray[np.float64]
    """(3, 3) pinhole matrix, pixels."""
    distortion: NDArray[np.float64]
    """(5,) OpenCV coefficients k1, k2, p1, p2, k3."""
    camera2ego: NDArray[np.float64]
    """(4, 4) pose of the camera in the ego frame."""


def camera_parameters(frame: Frame, name: str) -> CameraParameters:
    """A frame's camera by name; DataError lists the cameras it has."""
    try:
        return frame.cameras[name]
    except KeyError as error:
        raise DataError(
            f"{frame.source}, frame {frame.index}: no camera {name!r}; it has {', '.join(frame.cameras)}"
        ) from error


def camera_calibration(frame: Frame, name: str) -> CameraCalibration:
    """Geometry of a frame's camera; DataError if the frame has no such camera or values are malformed."""
    camera = camera_parameters(frame, name)
    sensor2lidar = np.eye(4)
    sensor2lidar[:3, :3] = camera.sensor2lidar_rotation
    sensor2lidar[:3, 3] = camera.sensor2lidar_translation
    distortion = np.zeros(5)
    if len(camera.distortion) > 5 and np.any(camera.distortion[5:]):
        raise DataError(f"{frame.source}, frame {frame.index}: camera {name}: only 5 distortion coefficients are known")
    distortion[: min(5, len(camera.distortion))] = camera.distortion[:5]
    return CameraCalibration(name, camera.intrinsics, distortion, frame.lidar2ego @ sensor2lidar)


def sensor_file(data: DataConfig, split_folder: str, relative: str) -> Path:
    """Where a log's relative sensor path lies: below the split's folder, or else below the sensor root itself."""
    root = data.sensor_root()
    folder = root / split_folder
    return inside(folder if folder.is_dir() else root, relative, f"a sensor file of a log of {split_folder}")


def camera_path(scene: Scene, name: str, data: DataConfig, frame: int = -1) -> Path:
    """Image file of a camera at a history frame (-1 the current one)."""
    return sensor_file(data, scene.split_folder, camera_parameters(scene.history[frame], name).path)


def lidar_path(scene: Scene, data: DataConfig, frame: int = -1) -> Path:
    """Merged LiDAR file at a history frame (-1 the current one); DataError if the log names none."""
    found = scene.history[frame]
    if found.lidar_path is None:
        raise DataError(f"{found.source}, frame {found.index}: the log names no LiDAR file")
    return sensor_file(data, scene.split_folder, found.lidar_path)


def load_camera(scene: Scene, name: str, data: DataConfig, frame: int = -1, *, scale: int = 1) -> NDArray[np.uint8]:
    """Camera image at a history frame.

    Args:
        scene: the scene.
        name: camera name, such as CAM_F0.
        data: where sensor files are.
        frame: index into the scene's history; -1 the current frame.
        scale: 1, 2, 4 or 8: decode a JPEG at this fraction of its size, which is faster than decoding and shrinking.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file is missing, truncated or no image; the message names it.
    """
    return read_image(camera_path(scene, name, data, frame), scale=scale)


def read_image(path: Path | str, *, scale: int = 1) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB; see `load_camera`."""
    if scale not in (1, 2, 4, 8):
        raise ValueError(f"scale must be 1, 2, 4 or 8, got {scale}")
    content = read_bytes(path, IMAGE)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if scale > 1:
                size = (-(-image.width // scale), -(-image.height // scale))
                image.draft("RGB", size)
                if image.size != size:
                    return np.asarray(image.convert("RGB").reduce(scale))
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise DataError(f"{IMAGE} {path} is damaged or not an image{but_is(content[:16])}") from error
    except DAMAGE as error:
        raise DataError(f"{IMAGE} {path} is damaged: {error}") from error


def load_lidar(scene: Scene, data: DataConfig, frame: int = -1) -> NDArray[np.float32]:
    """(P, 6) merged LiDAR sweep at a history frame, columns `LidarColumn`, LiDAR frame, m.

    Raises:
        DataError: the log names no file, or the file is missing or damaged.
    """
    return read_lidar(lidar_path(scene, data, frame))


def lidar_in_ego(points: NDArray[np.float32], frame: Frame) -> NDArray[np.float64]:
    """(P, 3) LiDAR points in the ego frame, m."""
    xyz = points[:, : LidarColumn.INTENSITY].astype(np.float64)
    pose = frame.lidar2ego
    return xyz @ pose[:3, :3].T + pose[:3, 3]


def project(
    points: NDArray[np.float64], camera: CameraCalibration, *, distort: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Project ego-frame points into an image.

    Args:
        points: (P, 3) ego frame, m.
        camera: the camera's geometry.
        distort: apply the lens distortion.

    Returns:
        pixels (P, 2): column and row; meaningless where not valid. depth (P,): m along the optical axis.
        valid (P,): in front of the camera and, with distortion, within the angle up to which the lens model is
        monotonic. The image's borders are not applied.
    """
    to_camera = np.linalg.inv(camera.camera2ego)
    xyz = points @ to_camera[:3, :3].T + to_camera[:3, 3]
    depth = xyz[:, 2]
    valid = depth > _MIN_DEPTH_M
    flat = xyz[:, :2] / np.where(valid, depth, 1.0)[:, None]
    if distort and np.any(camera.distortion):
        valid = valid & (np.sum(flat**2, axis=1) < _monotonic_radius2(camera.distortion))
        flat = np.where(valid[:, None], _distorted(flat, camera.distortion), flat)
    pixels = flat @ camera.intrinsics[:2, :2].T + camera.intrinsics[:2, 2]
    return pixels, depth, valid


def inside_image(pixels: NDArray[np.float64], valid: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """(P,) valid and within an image of this size."""
    x, y = pixels[:, 0], pixels[:, 1]
    return valid & (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)


def _distorted(flat: NDArray[np.float64], distortion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brown-Conrady model on normalised image coordinates (P, 2), as OpenCV's five-coefficient one."""
    k1, k2, p1, p2, k3 = distortion
    x, y = flat[:, 0], flat[:, 1]
    r2 = x**2 + y**2
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
            y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y,
        ],
        axis=1,
    )


def _monotonic_radius2(distortion: NDArray[np.float64]) -> float:
    """Square of the normalised radius up to which r (1 + k1 r^2 + k2 r^4 + k3 r^6) grows; beyond, points fold back."""
    k1, k2, _, _, k3 = distortion
    roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0])
    real = roots.real[(np.abs(roots.imag) < 1e-12) & (roots.real > 0)]
    return float(real.min()) if len(real) else np.inf

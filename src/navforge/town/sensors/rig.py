"""The sensor rig: eight pinhole cameras and one spinning LiDAR, mounted like nuPlan's.

Frames: the ego frame has its origin on the ground below the rear axle, x forward, y left, z up. The LiDAR frame is the
ego frame, as in OpenScene, whose merged sweeps are stored in it. A camera frame has x right, y down, z forward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.config import key
from navforge.core.errors import ConfigError

OFFICIAL_SIZE = (1920, 1080)
OFFICIAL_FOCAL_PX = 1545.0
OFFICIAL_CENTER_PX = (960.0, 560.0)
BEAM_FOCUS = 1.4
"""How much LiDAR rings crowd at the horizon; 1 spreads them evenly."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Where a camera sits and where it looks, ego frame."""

    x: float = key(help="ahead of the rear axle", unit="m")
    y: float = key(help="left of the rear axle", unit="m")
    z: float = key(help="above the ground", unit="m")
    yaw: float = key(help="viewing direction, counter-clockwise from forward", unit="rad")


CAMERA_MOUNTS: Mapping[str, Mount] = MappingProxyType(
    {
        "CAM_F0": Mount(x=1.65, y=0.0, z=1.60, yaw=0.0),
        "CAM_L0": Mount(x=1.60, y=0.50, z=1.60, yaw=math.radians(55.0)),
        "CAM_R0": Mount(x=1.60, y=-0.50, z=1.60, yaw=math.radians(-55.0)),
        "CAM_L1": Mount(x=1.10, y=0.65, z=1.72, yaw=math.radians(105.0)),
        "CAM_R1": Mount(x=1.10, y=-0.65, z=1.72, yaw=math.radians(-105.0)),
        "CAM_L2": Mount(x=0.30, y=0.60, z=1.76, yaw=math.radians(148.0)),
        "CAM_R2": Mount(x=0.30, y=-0.60, z=1.76, yaw=math.radians(-148.0)),
        "CAM_B0": Mount(x=-0.45, y=0.0, z=1.76, yaw=math.pi),
    }
)
CAMERA_NAMES = tuple(CAMERA_MOUNTS)


@dataclass(frozen=True, kw_only=True)
class Rig:
    """Image size and LiDAR pattern of the rig; mounts are fixed."""

    width: int = key(480, "image width; 1920 is the official one", unit="px", low=16)
    height: int = key(270, "image height; width * 9 / 16, as official images", unit="px", low=9)
    jpeg_quality: int = key(90, "JPEG quality of stored images", low=30, high=100)
    lidar_beams: int = key(40, "rings of the LiDAR", low=1, high=128)
    lidar_columns: int = key(1000, "firings of every ring per turn", low=8)
    lidar_low: float = key(-0.42, "lowest elevation", unit="rad")
    lidar_high: float = key(0.22, "highest elevation", unit="rad")
    lidar_x: float = key(1.0, "LiDAR position ahead of the rear axle", unit="m")
    lidar_z: float = key(1.95, "LiDAR position above the ground", unit="m")
    lidar_range: float = key(100.0, "longest return", unit="m", low=1.0)
    lidar_noise: float = key(0.015, "standard deviation of a range", unit="m", low=0.0)

    def __post_init__(self) -> None:
        if self.width * 9 != self.height * 16:
            raise ConfigError(
                f"width x height: the cameras have square pixels and a 16:9 image, got {self.width} x {self.height}; "
                f"give height = width * 9 / 16 (480 x 270, 1920 x 1080)"
            )
        if not self.lidar_low < 0.0 < self.lidar_high:
            raise ConfigError(
                f"lidar_low must lie below the horizon and lidar_high above, got {self.lidar_low}, {self.lidar_high}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Image (width, height)."""
        return self.width, self.height


def intrinsics(size: tuple[int, int]) -> NDArray[np.float64]:
    """Camera matrix (3, 3) for images of `size` (width, height) px; the upper left pixel's centre is (0, 0)."""
    scale = size[0] / OFFICIAL_SIZE[0]
    focal = OFFICIAL_FOCAL_PX * scale
    return np.array(
        [
            [focal, 0.0, OFFICIAL_CENTER_PX[0] * scale],
            [0.0, focal, OFFICIAL_CENTER_PX[1] * scale],
            [0.0, 0.0, 1.0],
        ]
    )


def camera_to_ego(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,) from the camera frame to the ego frame, which is the LiDAR frame too."""
    mount = CAMERA_MOUNTS[name]
    cos, sin = math.cos(mount.yaw), math.sin(mount.yaw)
    rotation = np.array([[sin, 0.0, cos], [-cos, 0.0, sin], [0.0, -1.0, 0.0]])
    return rotation, np.array([mount.x, mount.y, mount.z])


def calibration(size: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Per camera what OpenScene's `cams` holds beside `data_path`, for images of `size` (width, height).

    Keys: `sensor2lidar_rotation` (3, 3), `sensor2lidar_translation` (3,) m, `cam_intrinsic` (3, 3) px and
    `distortion` (5,), which is zero: the images are true pinhole images.
    """
    cameras = {}
    for name in CAMERA_NAMES:
        rotation, translation = camera_to_ego(name)
        cameras[name] = {
            "sensor2lidar_rotation": rotation,
            "sensor2lidar_translation": translation,
            "cam_intrinsic": intrinsics(size),
            "distortion": np.zeros(5),
        }
    return cameras


def lidar_to_ego() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """OpenScene's `lidar2ego_rotation` (quaternion w, x, y, z) and `lidar2ego_translation`: points are in ego frame."""
    return np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3)


@lru_cache(maxsize=64)
def camera_rays(name: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """Ray of every pixel, row by row, ego frame: (height * width, 3), of length 1 along the optical axis."""
    width, height = size
    matrix = intrinsics(size)
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    camera = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones_like(u)], axis=-1)
    rotation, _ = camera_to_ego(name)
    return np.ascontiguousarray(camera.reshape(-1, 3) @ rotation.T, dtype=np.float32)


def lidar_rays(rig: Rig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit rays of one turn, ego frame (beams * columns, 3), and the ring of each.

    Two thirds of the rings look below the horizon, and rings are closest together at it, where far vehicles are.
    """
    share = np.linspace(-1.0, 0.5, rig.lidar_beams)
    lift = (np.abs(share) / np.where(share < 0, 1.0, 0.5)) ** BEAM_FOCUS
    elevation = lift * np.where(share < 0, rig.lidar_low, rig.lidar_high)
    azimuth = (np.arange(rig.lidar_columns) + 0.5) * (2.0 * math.pi / rig.lidar_columns)
    rings, turns = np.meshgrid(np.arange(rig.lidar_beams), azimuth, indexing="ij")
    angles = elevation[rings]
    rays = np.stack([np.cos(angles) * np.cos(turns), np.cos(angles) * np.sin(turns), np.sin(angles)], axis=-1)
    return rays.reshape(-1, 3).astype(np.float32), rings.reshape(-1).astype(np.float32)

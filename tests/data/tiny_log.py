"""Raw frames of a made-up log and the folders around it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from navforge.data.logs import CAMERAS
from navforge.data.paths import DataConfig


def token(index: int, log: int = 0) -> str:
    return f"{log:08x}{index:08x}"


def raw_frame(index: int, log: int = 0, *, route: bool = True, speed: float = 4.0) -> dict[str, Any]:
    """A car driving north along x = 100 at `speed`, looking north."""
    log_name = f"log{log}"
    half = np.pi / 4
    return {
        "token": token(index, log),
        "frame_idx": index,
        "timestamp": 1_000_000 + 500_000 * index,
        "log_name": log_name,
        "scene_token": "0" * 16,
        "map_location": "us-pa-pittsburgh-hazelwood",
        "roadblock_ids": ["61", "21", "62"] if route else [],
        "lidar_path": f"{log_name}/MergedPointCloud/{token(index, log)}.pcd",
        "lidar2ego_translation": np.array([0.9, 0.0, 1.5]),
        "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
        "ego2global_translation": np.array([100.0, 0.5 * speed * index, 3.0]),
        "ego2global_rotation": np.array([np.cos(half), 0.0, 0.0, np.sin(half)]),
        "ego_dynamic_state": [speed, 0.0, 0.1, -0.2],
        "traffic_lights": [(11, True), (12, False)],
        "driving_command": np.array([0, 1, 0, 0]),
        "cams": {name: camera(f"{log_name}/{name}/{token(index, log)}.jpg") for name in CAMERAS},
        "anns": {
            "gt_boxes": np.array([[10.0, 1.0, 0.5, 4.5, 2.0, 1.6, 0.1]]),
            "gt_names": np.array(["vehicle"]),
            "gt_velocity_3d": np.array([[1.0, 0.0, 0.0]]),
            "instance_tokens": [f"i{index}"],
            "track_tokens": ["t0"],
        },
    }


def camera(path: str) -> dict[str, Any]:
    """A camera looking along the LiDAR's x axis from 0.7 m ahead of it and 0.1 m above."""
    return {
        "data_path": path,
        "sensor2lidar_rotation": np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
        "sensor2lidar_translation": np.array([0.7, 0.0, 0.1]),
        "cam_intrinsic": np.array([[400.0, 0.0, 240.0], [0.0, 400.0, 135.0], [0.0, 0.0, 1.0]]),
        "distortion": np.zeros(5),
    }


def write_log(root: Path, folder: str, frames: Sequence[Any], log: int = 0) -> Path:
    path = root / "navsim_logs" / folder / f"log{log}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(list(frames)))
    return path


def write_yaml(path: Path, text: str) -> str:
    path.write_text("_target_: navsim.common.dataclasses.SceneFilter\n_convert_: 'all'\n" + text)
    return str(path)


def config(root: Path) -> DataConfig:
    return DataConfig(logs=root / "navsim_logs", sensors=root / "sensor_blobs", maps=root / "maps")

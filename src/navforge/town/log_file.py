"""Writes logs as OpenScene does: one pickle per log, a list of frame dicts at 2 Hz."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.files import atomic_path
from navforge.geometry.columns import Command
from navforge.town.world import OPENSCENE_NAME, ActorBox, ActorKind, Light, Snapshot, TownMap

Float = NDArray[np.float64]

ANNOTATION_RANGE_M = 75.0
LIGHT_RANGE_M = 110.0
VEHICLE_NAME = "town"


@dataclass(frozen=True, slots=True)
class FrameContent:
    """What a log says about one frame."""

    snapshot: Snapshot
    yaw_rate: float
    route: tuple[int, ...]
    """Roadblocks and roadblock connectors from the current one on."""
    command: Command


def token_of(*parts: object) -> str:
    """16 hexadecimal digits that depend on nothing but the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]


def frame_tokens(log_name: str, count: int) -> list[str]:
    """Tokens of a log's frames."""
    return [token_of(log_name, "frame", n) for n in range(count)]


def log_frames(
    log_name: str, town: TownMap, frames: list[FrameContent], cameras: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The frame dicts of a log, in global coordinates.

    Args:
        log_name: its name; all tokens derive from it.
        town: where it takes place.
        frames: what happens, 0.5 s apart.
        cameras: calibration per camera name as OpenScene stores it, without `data_path`.
    """
    tokens = frame_tokens(log_name, len(frames))
    return [_frame(log_name, town, frames[n], cameras, tokens, n) for n in range(len(frames))]


def write_log(path: Path, frames: list[dict[str, Any]]) -> None:
    """Write a log's pickle. Equal logs give equal bytes, and numpy 1 and 2 both read them."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=3)
    pickler.fast = True  # no memo: the bytes do not depend on which equal objects are the same object
    pickler.dump(frames)
    # numpy 2 renamed the module of its unpickling functions; numpy 1 knows only the old name, both accept it.
    data = buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def _frame(
    log_name: str, town: TownMap, frame: FrameContent, cameras: Mapping[str, Any], tokens: list[str], n: int
) -> dict[str, Any]:
    snapshot = frame.snapshot
    x, y, heading = (float(value) for value in snapshot.ego_pose)
    position = np.array([x + town.origin[0], y + town.origin[1], 0.0])
    quaternion = np.array([np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2)])
    ego2global = np.eye(4)
    ego2global[:2, :2] = [[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]]
    ego2global[:3, 3] = position
    velocity, acceleration = snapshot.ego_velocity, snapshot.ego_acceleration
    command = np.zeros(len(Command), dtype=np.int64)
    command[frame.command] = 1
    can_bus = np.concatenate(
        [position, quaternion, acceleration, [0.0], velocity, [0.0], [0.0, 0.0, frame.yaw_rate], [0.0, 0.0]]
    )
    token = tokens[n]
    return {
        "token": token,
        "frame_idx": n,
        "timestamp": snapshot.time_us,
        "log_name": log_name,
        "log_token": token_of(log_name, "log"),
        "scene_name": f"{log_name}-scene-0001",
        "scene_token": token_of(log_name, "scene"),
        "map_location": town.location,
        "roadblock_ids": [str(fid) for fid in frame.route],
        "vehicle_name": VEHICLE_NAME,
        "can_bus": can_bus,
        "lidar_path": lidar_path(log_name, token),
        "lidar2ego_translation": np.zeros(3),
        "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
        "ego2global_translation": position,
        "ego2global_rotation": quaternion,
        "ego_dynamic_state": [*(float(v) for v in velocity), *(float(v) for v in acceleration)],
        "traffic_lights": _lights(town, snapshot),
        "driving_command": command,
        "cams": {
            name: {"data_path": camera_path(log_name, name, token), **calibration}
            for name, calibration in cameras.items()
        },
        "sample_prev": tokens[n - 1] if n else None,
        "sample_next": tokens[n + 1] if n + 1 < len(tokens) else None,
        "ego2global": ego2global,
        "lidar2ego": np.eye(4),
        "lidar2global": ego2global.copy(),
        "anns": _annotations(log_name, snapshot, n),
    }


def camera_path(log_name: str, camera: str, token: str) -> str:
    """Path of an image below the split's folder of sensor blobs."""
    return f"{log_name}/{camera}/{token}.jpg"


def lidar_path(log_name: str, token: str) -> str:
    """Path of a merged sweep below the split's folder of sensor blobs."""
    return f"{log_name}/MergedPointCloud/{token}.pcd"


def _lights(town: TownMap, snapshot: Snapshot) -> list[tuple[int, bool]]:
    near = {
        area.fid
        for area in town.intersections.values()
        if np.hypot(*(area.centre - snapshot.ego_pose[:2])) < LIGHT_RANGE_M
    }
    return [
        (fid, light == Light.RED)
        for fid, light in sorted(snapshot.lights.items())
        if town.connectors[fid].intersection in near
    ]


def _annotations(log_name: str, snapshot: Snapshot, n: int) -> dict[str, Any]:
    x, y, heading = snapshot.ego_pose
    actors = snapshot.actors
    away = np.hypot(actors.box[:, ActorBox.X] - x, actors.box[:, ActorBox.Y] - y)
    seen = np.flatnonzero(away < ANNOTATION_RANGE_M)
    box = actors.box[seen]
    c, s = np.cos(heading), np.sin(heading)
    to_ego = np.array([[c, s], [-s, c]])
    center = (box[:, : ActorBox.Z] - [x, y]) @ to_ego.T
    velocity = actors.velocity[seen] @ to_ego.T
    tracks = actors.track[seen]
    return {
        "gt_boxes": np.column_stack(
            [center, box[:, ActorBox.Z : ActorBox.HEADING], box[:, ActorBox.HEADING] - heading]
        ),
        "gt_names": np.array([OPENSCENE_NAME[ActorKind(int(kind))] for kind in actors.kind[seen]], dtype="<U14"),
        "gt_velocity_3d": np.column_stack([velocity, np.zeros(len(seen))]),
        "instance_tokens": [token_of(log_name, "instance", int(track), n) for track in tracks],
        "track_tokens": [token_of(log_name, "track", int(track)) for track in tracks],
    }

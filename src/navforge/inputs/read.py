"""The one way from logged scenes to a planner's inputs, in training, packing and evaluation alike.

Only the sensors a planner's config asks for are read. A scene is first reduced to a `Reference`, which names its sensor
files and holds the little that comes from the log itself, so that nobody needs to keep logs in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.lidar import read_lidar
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.data.sensors import camera_path, lidar_path
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.input_spec import (
    HUMAN_POSE_COUNT,
    HUMAN_POSES,
    LIDAR,
    PANORAMA,
    STATUS,
    STATUS_HISTORY,
    InputSpec,
)
from navforge.inputs.jpeg import read_camera
from navforge.inputs.stored import AGENT_LABELS, Arrays, from_stored, to_stored
from navforge.inputs.targets import Surroundings, agents, bev_semantics, surroundings
from navforge.maps.map import read_map
from navforge.models.contract import AGENTS, BEV_SEMANTICS, Inputs
from navforge.models.histogram import histogram
from navforge.models.panorama import views
from navforge.models.planner_config import PlannerConfig

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reference:
    """What is needed of a log to read a scene's inputs and targets."""

    token: str
    status: NDArray[np.float32]
    """(K, 8) see `read_status`: of the frames a planner reads, oldest first, the current one last."""
    human_poses: NDArray[np.float32] | None
    """(8, 3) the human's plan at 2 Hz, ego frame; None where no targets are wanted."""
    cameras: tuple[Path, ...]
    """Image file of each camera of the panorama, in its order, for each frame, oldest first."""
    lidar: Path | None
    """Sweep of the current frame, where LiDAR is wanted."""
    around: Surroundings | None
    """What perception targets are made of, where they are wanted."""


def read_status(scene: Scene, frame: int = -1) -> NDArray[np.float32]:
    """(8,) driving command one-hot, vx, vy m/s, ax, ay m/s2 of a history frame, in its own ego frame.

    Args:
        scene: the scene.
        frame: index into its history; -1 the current frame.
    """
    status = scene.ego_status(frame)
    return np.concatenate([status.command, status.velocity, status.acceleration]).astype(np.float32)


def refer(scene: Scene, spec: InputSpec, data: DataConfig) -> Reference:
    """The reference of a scene; opens no sensor file.

    Raises:
        DataError: the log is malformed, names no such sensor, or ends before the human's plan does; scenes of the
            split have less history than the planner reads.
    """
    poses = scene.human_poses(HUMAN_POSE_COUNT) if HUMAN_POSES in spec.targets else None
    names = spec.panorama.names if spec.panorama is not None else ()
    frames = range(-spec.panorama.frames, 0) if spec.panorama is not None else ()
    if len(frames) > 1 and len(frames) > scene.num_history_frames:
        raise DataError(
            f"scene {scene.token} has {scene.num_history_frames} frames up to the current one, the planner sees "
            f"{len(frames)}; planner.encoder.frames={scene.num_history_frames}"
        )
    if spec.status_frames > 1 and spec.status_frames > scene.num_history_frames:
        raise DataError(
            f"scene {scene.token}: the planner reads {spec.status_frames} frames of ego status "
            f"(planner.head.status_history), scenes of this split have {scene.num_history_frames} up to the current "
            "one; ask for fewer, or give a split with more num_history_frames"
        )
    return Reference(
        token=scene.token,
        status=np.stack([read_status(scene, frame) for frame in range(-spec.status_frames, 0)]),
        human_poses=None if poses is None else poses.astype(np.float32),
        cameras=tuple(camera_path(scene, name, data, frame) for frame in frames for name in names),
        lidar=None if spec.lidar is None else lidar_path(scene, data),
        around=surroundings(scene) if {AGENTS, BEV_SEMANTICS} & set(spec.targets) else None,
    )


def read_stored(reference: Reference, spec: InputSpec, data: DataConfig) -> dict[str, bytes]:
    """The stored form of a scene, from its sensor files.

    Raises:
        CorruptSample: a sensor file is missing or damaged.
        DataError: the map cannot be read.
    """
    arrays: Arrays = {STATUS: reference.status[-1]}
    if spec.status_frames > 1:
        arrays[STATUS_HISTORY] = reference.status
    if spec.panorama is not None:
        files = zip(spec.panorama.names * spec.panorama.frames, reference.cameras, strict=True)
        images = [(name, _whole(reference, file, read_camera)) for name, file in files]
        count = len(spec.panorama.names)
        frames = [dict(images[first : first + count]) for first in range(0, len(images), count)]
        arrays[PANORAMA] = views(frames, spec.panorama)
    if spec.lidar is not None:
        assert reference.lidar is not None, "the reference was made for less than is wanted"
        arrays[LIDAR] = histogram(_whole(reference, reference.lidar, read_lidar), spec.lidar)
    if reference.human_poses is not None:
        arrays[HUMAN_POSES] = reference.human_poses
    if reference.around is not None:
        if AGENTS in spec.targets:
            arrays[AGENTS], arrays[AGENT_LABELS] = agents(reference.around)
        if BEV_SEMANTICS in spec.targets:
            road_map = read_map(data.map_root(), reference.around.location)
            arrays[BEV_SEMANTICS] = bev_semantics(reference.around, road_map)
    return to_stored(arrays, spec)


def read_arrays(reference: Reference, spec: InputSpec, data: DataConfig) -> Arrays:
    """What a planner sees of a scene (`stored.from_stored`), from its sensor files; raises as `read_stored`."""
    return from_stored(read_stored(reference, spec, data), spec)


def read_inputs(scenes: Sequence[Scene], planner: PlannerConfig, data: DataConfig) -> Inputs:
    """A batch of inputs (see `models.contract`) for consecutive scenes of the list.

    Raises:
        DataError: a sensor file a planner needs is missing or damaged (`CorruptSample`), or a log is malformed.
    """
    spec = InputSpec.of(planner, targets=False)
    read = [read_arrays(refer(scene, spec, data), spec, data) for scene in scenes]
    return {name: torch.from_numpy(np.stack([arrays[name] for arrays in read])) for name in spec.parts}


def _whole(reference: Reference, file: Path, read: Callable[[Any], _T]) -> _T:
    try:
        return read(file)
    except DataError as error:
        raise CorruptSample(reference.token, file, str(error)) from error

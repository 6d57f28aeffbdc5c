"""Annotated objects of a scene in the global frame, as sightings per key frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.logs import Frame, LogBox
from navforge.geometry.columns import Pose
from navforge.metric_cache.scene import ObjectType
from navforge.metric_cache.tracks import ObjectFrames

Float = NDArray[np.float64]

AGENTS = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
"""Classes that have a velocity; the others are static."""

_TYPES = {kind.name.lower(): kind for kind in ObjectType}


@dataclass(frozen=True, slots=True)
class FrameObjects:
    """Objects of one frame in the global frame."""

    token: list[str]
    """(O,) track tokens."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType`."""
    extent: Float
    """(O, 2) length, width."""
    pose: Float
    """(O, 3) box centre x, y, heading in [-pi, pi]."""
    velocity: Float
    """(O, 2) vx, vy; 0 for static classes."""


def global_objects(frame: Frame, ego_pose: Float) -> FrameObjects:
    """Objects of one frame, sorted by class, then in log order (nuPlan's `TrackedObjects` sorts so).

    The box position relative to the ego is rotated by the ego heading alone, and the heading wrapped twice, as the
    devkit does (`gt_boxes_oriented_box`).

    Args:
        frame: with annotations.
        ego_pose: (3,) rear axle x, y, heading as `ego.rear_axle` returns it.

    Raises:
        DataError: an unknown class name.
    """
    annotations = frame.annotations
    unknown = sorted(set(annotations.names) - set(_TYPES))
    if unknown:
        raise DataError(f"frame {frame.token} of log {frame.log_name} has objects of unknown class: {unknown}")
    types = np.array([_TYPES[name] for name in annotations.names], np.uint8)
    order = np.argsort(types, kind="stable")
    types, boxes = types[order], annotations.boxes.astype(np.float64)[order]
    cos, sin = np.cos(ego_pose[Pose.HEADING]), np.sin(ego_pose[Pose.HEADING])
    pose = np.empty((len(types), 3))
    pose[:, Pose.X] = boxes[:, LogBox.X] * cos - boxes[:, LogBox.Y] * sin + ego_pose[Pose.X]
    pose[:, Pose.Y] = boxes[:, LogBox.X] * sin + boxes[:, LogBox.Y] * cos + ego_pose[Pose.Y]
    pose[:, Pose.HEADING] = _wrap(_wrap(boxes[:, LogBox.HEADING] + ego_pose[Pose.HEADING]))
    vx, vy = annotations.velocity[order, :2].astype(np.float64).T
    velocity = np.stack([vx * cos - vy * sin, vx * sin + vy * cos], axis=-1)
    velocity[~np.isin(types, AGENTS)] = 0.0
    return FrameObjects(
        token=[annotations.track_tokens[i] for i in order],
        type=types,
        extent=boxes[:, [LogBox.LENGTH, LogBox.WIDTH]],
        pose=pose,
        velocity=velocity,
    )


def sightings(frames: Sequence[Frame], ego_poses: Float) -> ObjectFrames:
    """Objects of the current and the future key frames, ordered by first sighting.

    Args:
        frames: current frame first.
        ego_poses: (frame, 3) as `ego.rear_axle` returns them.
    """
    index: dict[str, int] = {}
    types: list[int] = []
    extents: list[Float] = []
    rows: list[tuple[int, int]] = []
    poses: list[Float] = []
    velocities: list[Float] = []
    for number, (frame, ego_pose) in enumerate(zip(frames, ego_poses, strict=True)):
        seen = global_objects(frame, ego_pose)
        for i, token in enumerate(seen.token):
            if token not in index:
                index[token] = len(index)
                types.append(int(seen.type[i]))
                extents.append(seen.extent[i])
            rows.append((index[token], number))
        poses.append(seen.pose)
        velocities.append(seen.velocity)
    table = np.array(rows, np.int64).reshape(-1, 2)
    order = np.argsort(table[:, 0], kind="stable")
    return ObjectFrames(
        token=np.array(list(index), dtype=np.str_),
        type=np.array(types, np.uint8),
        extent=np.array(extents, np.float64).reshape(-1, 2),
        start=np.searchsorted(table[order, 0], np.arange(len(index) + 1)).astype(np.int64),
        frame=table[order, 1].astype(np.uint8),
        pose=np.concatenate(poses).reshape(-1, 3)[order],
        velocity=np.concatenate(velocities).reshape(-1, 2)[order],
        frames=len(frames),
    )


def _wrap(angle: Float) -> Float:
    return np.arctan2(np.sin(angle), np.cos(angle))

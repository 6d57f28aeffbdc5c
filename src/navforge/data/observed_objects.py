"""Annotated objects of a frame in the global frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.logs import Frame, LogBox
from navforge.geometry.columns import Pose
from navforge.metric_cache.objects import FrameObjects, ObjectType

Float = NDArray[np.float64]

AGENTS = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
"""Classes that have a velocity; the others are static."""

_USED = [LogBox.X, LogBox.Y, LogBox.LENGTH, LogBox.WIDTH, LogBox.HEADING]
_TYPES = {kind.name.lower(): kind for kind in ObjectType}


def global_objects(frame: Frame, ego_pose: Float) -> FrameObjects:
    """Objects of one frame, sorted by class, then in log order (nuPlan's `TrackedObjects` sorts so).

    The box position relative to the ego is rotated by the ego heading alone, and the heading wrapped twice, as the
    devkit does (`gt_boxes_oriented_box`).

    Args:
        frame: with annotations.
        ego_pose: (3,) rear axle x, y, heading as `ego.rear_axle` returns it.

    Raises:
        DataError: an unknown class name, or a box that is not finite.
    """
    annotations = frame.annotations
    unknown = sorted(set(annotations.names) - set(_TYPES))
    if unknown:
        raise DataError(f"frame {frame.token} of log {frame.log_name} has objects of unknown class: {unknown}")
    types = np.array([_TYPES[name] for name in annotations.names], np.uint8)
    order = np.argsort(types, kind="stable")
    types, boxes = types[order], annotations.boxes.astype(np.float64)[order]
    broken = np.flatnonzero(~np.isfinite(boxes[:, _USED]).all(axis=1))
    if len(broken):
        track = annotations.track_tokens[order[broken[0]]]
        raise DataError(f"frame {frame.token} of log {frame.log_name}: the box of track {track} is not finite")
    cos, sin = np.cos(ego_pose[Pose.HEADING]), np.sin(ego_pose[Pose.HEADING])
    pose = np.empty((len(types), 3))
    pose[:, Pose.X] = boxes[:, LogBox.X] * cos - boxes[:, LogBox.Y] * sin + ego_pose[Pose.X]
    pose[:, Pose.Y] = boxes[:, LogBox.X] * sin + boxes[:, LogBox.Y] * cos + ego_pose[Pose.Y]
    pose[:, Pose.HEADING] = _wrap(_wrap(boxes[:, LogBox.HEADING] + ego_pose[Pose.HEADING]))
    vx, vy = annotations.velocity[order, :2].astype(np.float64).T
    velocity = np.stack([vx * cos - vy * sin, vx * sin + vy * cos], axis=-1)
    velocity[~np.isin(types, AGENTS)] = 0.0
    return FrameObjects(
        token=np.array(annotations.track_tokens, dtype=np.str_)[order],
        type=types,
        extent=boxes[:, [LogBox.LENGTH, LogBox.WIDTH]],
        pose=pose,
        velocity=velocity,
    )


def _wrap(angle: Float) -> Float:
    return np.arctan2(np.sin(angle), np.cos(angle))

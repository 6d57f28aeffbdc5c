"""Rigid motions of the plane on arrays of poses and points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import Pose

Float = NDArray[np.float64]


def wrap_angle(angle: Float) -> Float:
    """Angles in [-pi, pi), shape kept; as nuPlan's `principal_value`."""
    return (np.asarray(angle, dtype=np.float64) + np.pi) % (2.0 * np.pi) - np.pi


def points_to_local(origin: Float, points: Float) -> Float:
    """Global points (..., 2) in the frame of `origin` (3,), m."""
    c, s = math.cos(origin[Pose.HEADING]), math.sin(origin[Pose.HEADING])
    dx = points[..., 0] - origin[Pose.X]
    dy = points[..., 1] - origin[Pose.Y]
    return np.stack([c * dx + s * dy, c * dy - s * dx], axis=-1)


def points_to_global(origin: Float, points: Float) -> Float:
    """Points (..., 2) of the frame of `origin` (3,) in the global frame, m."""
    c, s = math.cos(origin[Pose.HEADING]), math.sin(origin[Pose.HEADING])
    x, y = points[..., 0], points[..., 1]
    return np.stack([origin[Pose.X] + c * x - s * y, origin[Pose.Y] + s * x + c * y], axis=-1)


def poses_to_local(origin: Float, poses: Float) -> Float:
    """Global poses (..., 3) in the frame of `origin` (3,); headings in [-pi, pi)."""
    xy = points_to_local(origin, poses[..., :2])
    heading = wrap_angle(poses[..., Pose.HEADING] - origin[Pose.HEADING])
    return np.concatenate([xy, heading[..., None]], axis=-1)


def poses_to_global(origin: Float, poses: Float) -> Float:
    """Poses (..., 3) of the frame of `origin` (3,) in the global frame; headings in [-pi, pi)."""
    xy = points_to_global(origin, poses[..., :2])
    heading = wrap_angle(poses[..., Pose.HEADING] + origin[Pose.HEADING])
    return np.concatenate([xy, heading[..., None]], axis=-1)

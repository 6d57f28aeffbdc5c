"""The ego as the devkit sees it: states, footprint, comfort history, logged future."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.logs import Frame
from navforge.geometry.columns import STATE_SIZE, Pose, State
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M

Float = NDArray[np.float64]

_HISTORY_FRAMES = 4
_HISTORY_INTERVAL_US = 100_000
_CORNER_ALONG = np.array([1.0, -1.0, -1.0, 1.0])
_CORNER_ACROSS = np.array([1.0, 1.0, -1.0, -1.0])


def center(poses: Float) -> Float:
    """Poses (..., 3) of the box centre from poses of the rear axle."""
    return _along(poses, REAR_AXLE_TO_CENTER_M)


def rear_axle(poses: Float) -> Float:
    """Poses (..., 3) as nuPlan's `EgoState.rear_axle` returns them.

    It stores the centre and steps back from there, which costs the last bits of a large coordinate.
    """
    return _along(center(poses), -REAR_AXLE_TO_CENTER_M)


def boxes(poses: Float) -> Any:
    """Footprints (...,) as shapely polygons from poses (..., 3) of the rear axle; one polygon for one pose."""
    return box_polygons(center(poses), EGO_LENGTH_M, EGO_WIDTH_M)


def box_polygons(poses: Float, length_m: Float | float, width_m: Float | float) -> Any:
    """Oriented boxes (...,) as shapely polygons from poses (..., 3) of the centre."""
    return shapely.polygons(box_corners(poses, length_m, width_m))


def box_corners(poses: Float, length_m: Float | float, width_m: Float | float) -> Float:
    """Corners (..., 4, 2) of oriented boxes: front left, rear left, rear right, front right."""
    heading = poses[..., Pose.HEADING]
    half_length, half_width = np.asarray(length_m) / 2, np.asarray(width_m) / 2
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    aside = np.stack([np.cos(heading + np.pi / 2), np.sin(heading + np.pi / 2)], axis=-1)
    along = (_CORNER_ALONG * half_length[..., None])[..., None]
    across = (_CORNER_ACROSS * half_width[..., None])[..., None]
    return poses[..., None, :2] + (across * aside[..., None, :] + along * ahead[..., None, :])


def states(frames: Sequence[Frame]) -> Float:
    """(frame, 11) ego states of logged frames; what the log does not tell (steering, yaw rate) is 0, as in NAVSIM."""
    out = np.zeros((len(frames), STATE_SIZE))
    for row, frame in zip(out, frames, strict=True):
        row[State.X : State.HEADING + 1] = frame.pose
        row[State.VELOCITY_X : State.VELOCITY_Y + 1] = frame.velocity
        row[State.ACCELERATION_X : State.ACCELERATION_Y + 1] = frame.acceleration
    out[:, : State.HEADING + 1] = rear_axle(out[:, : State.HEADING + 1])
    return out


def comfort_history(past: Float, times_us: NDArray[np.int64]) -> Float:
    """States at 10 Hz before the current frame that history comfort pads with.

    The devkit takes every 0.1 s from the first of four logged states and drops the last one: 14 or 15 points,
    depending on the microseconds of the log.

    Args:
        past: (F, 11) logged states, the current one last.
        times_us: (F,) their times.

    Returns:
        (H, 11).

    Raises:
        DataError: fewer than four states, or times that do not ascend.
    """
    if len(past) < _HISTORY_FRAMES:
        raise DataError(f"history comfort needs {_HISTORY_FRAMES} frames up to the current one, there are {len(past)}")
    past, times_us = past[-_HISTORY_FRAMES:], times_us[-_HISTORY_FRAMES:]
    if (np.diff(times_us) <= 0).any():
        raise DataError(f"frame times do not ascend: {times_us.tolist()} us")
    at = np.arange(times_us[0], times_us[-1], _HISTORY_INTERVAL_US, dtype=np.int64)[:-1]
    resampled = resample(past, times_us, at)
    resampled[:, : State.HEADING + 1] = rear_axle(resampled[:, : State.HEADING + 1])
    return resampled


def resample(states: Float, times_us: NDArray[np.int64], at_us: NDArray[np.int64]) -> Float:
    """States or poses (T, 3 or more) at other times: linear, heading unwrapped first and in [-pi, pi) after.

    Source: nuPlan's `InterpolatedTrajectory`.
    """
    unwrapped = states.copy()
    unwrapped[:, Pose.HEADING] = np.unwrap(unwrapped[:, Pose.HEADING])
    high = np.clip(np.searchsorted(times_us, at_us), 1, len(times_us) - 1)
    low = high - 1
    slope = (unwrapped[high] - unwrapped[low]) / (times_us[high] - times_us[low])[:, None]
    out = slope * (at_us - times_us[low])[:, None] + unwrapped[low]
    out[:, Pose.HEADING] = (out[:, Pose.HEADING] + np.pi) % (2 * np.pi) - np.pi
    return out


def _along(poses: Float, distance_m: float) -> Float:
    moved = poses.copy()
    moved[..., Pose.X] += distance_m * np.cos(poses[..., Pose.HEADING])
    moved[..., Pose.Y] += distance_m * np.sin(poses[..., Pose.HEADING])
    return moved

"""Two-frame extended comfort: do the plans of consecutive scenes agree where they overlap in time?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import State
from navforge.scoring.filters import savgol_matrix
from navforge.simulation.tracker import STEP_S, STEPS

Float = NDArray[np.float64]

MAX_GAP_S = 0.55
"""Scenes farther apart are not consecutive."""
# Bounds of `ego_is_two_frame_extended_comfort` (NAVSIM v2.2), on root mean squares of differences.
MAX_RMS_ACCELERATION = 0.7
"""m/s2"""
MAX_RMS_JERK = 0.5
"""m/s3"""
MAX_RMS_YAW_RATE = 0.1
"""rad/s"""
MAX_RMS_YAW_ACCELERATION = 0.1
"""rad/s2"""
DECIMALS = 8
"""The devkit rounds every filtered series to so many decimals."""


def previous_scenes(log_names: Sequence[str], times_us: Sequence[int]) -> NDArray[np.int64]:
    """(S,) for each scene the index of the scene before it in the same log, within 0.55 s; -1 if there is none.

    Source: `infer_start_adjacent_mapping` of the one-stage script. Leave synthetic scenes out: it pairs original ones.
    """
    previous = np.full(len(times_us), -1, dtype=np.int64)
    order = sorted(range(len(times_us)), key=lambda i: (log_names[i], times_us[i]))
    for before, now in pairwise(order):
        if log_names[before] == log_names[now] and (times_us[now] - times_us[before]) * 1e-6 <= MAX_GAP_S:
            previous[now] = before
    return previous


def two_frame_extended_comfort(current: Float, previous: Float, gap_s: float) -> Float:
    """Extended comfort (N,), 1 or 0, of plans against those of the scene before.

    Both are cut to the time they share; the differences of filtered acceleration, jerk, yaw rate and yaw acceleration
    must have an RMS of at most 0.7 m/s2, 0.5 m/s3, 0.1 rad/s, 0.1 rad/s2. Accelerations are those of the rear axle.
    Source: `SceneAggregator._compute_two_frame_comfort`.

    Args:
        current: (N, 41, 11) simulated states of this scene's plans.
        previous: (N, 41, 11) those of the previous scene's.
        gap_s: time between the two scenes.

    Raises:
        DataError: the scenes are not consecutive, or the shapes differ.
    """
    if current.shape != previous.shape or current.shape[1:] != (STEPS, len(State)):
        raise DataError(f"states of two frames must both be (N, {STEPS}, 11), got {current.shape}, {previous.shape}")
    shift = round(gap_s / STEP_S)
    if not 0.0 < gap_s <= MAX_GAP_S or shift == 0:
        raise DataError(f"extended comfort needs scenes at most {MAX_GAP_S} s apart, got {gap_s} s")
    differences = [a - b for a, b in zip(_features(current[:, :-shift]), _features(previous[:, shift:]), strict=True)]
    limits = (MAX_RMS_ACCELERATION, MAX_RMS_JERK, MAX_RMS_YAW_RATE, MAX_RMS_YAW_ACCELERATION)
    passed = [np.sqrt((d * d).mean(axis=1)) <= limit for d, limit in zip(differences, limits, strict=True)]
    return np.logical_and.reduce(passed).astype(np.float64)


def _features(states: Float) -> tuple[Float, Float, Float, Float]:
    """Filtered acceleration, jerk, yaw rate and yaw acceleration, each (N, T)."""
    count = states.shape[1]
    magnitude = np.hypot(states[..., State.ACCELERATION_X], states[..., State.ACCELERATION_Y])
    acceleration = _filter(savgol_matrix(count, 8, 2), magnitude)
    jerk = _filter(savgol_matrix(count, 15, 2, 1, STEP_S), acceleration)
    heading = states[..., State.HEADING]
    turns = np.zeros_like(heading)
    turns[:, 1:] = np.cumsum(np.round(np.diff(heading, axis=1) / (2.0 * np.pi)), axis=1)
    heading = heading - 2.0 * np.pi * turns
    yaw_rate = _filter(savgol_matrix(count, 5, 2, 1, STEP_S), heading)
    yaw_acceleration = _filter(savgol_matrix(count, 5, 2, 2, STEP_S), heading)
    return acceleration, jerk, yaw_rate, yaw_acceleration


def _filter(matrix: Float, series: Float) -> Float:
    return np.round(series @ matrix.T, DECIMALS)

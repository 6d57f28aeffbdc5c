"""History and filters of the comfort sub-score of a cached scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import State
from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M
from navforge.geometry.writable import writable
from navforge.scoring.arrays import ComfortArrays
from navforge.scoring.filters import savgol_matrix, savgol_rows
from navforge.scoring.kernels.comfort import MAX_LATERAL_ACCELERATION
from navforge.simulation.tracker import STEP_S, STEPS

Float = NDArray[np.float64]


def prepare_comfort_v2(ego_state: Float, history: Float) -> ComfortArrays:
    """History comfort: windows 8 (acceleration), 15 (jerk), 5 (yaw), accelerations at the box centre."""
    history = writable(history).reshape(-1, len(State))
    count = len(history) + STEPS
    acceleration = _rows(count, 8, 2)
    lateral = np.zeros(count)
    lateral[: len(history)] = history[:, State.ACCELERATION_Y]
    lateral[len(history)] = ego_state[State.ACCELERATION_Y]
    return ComfortArrays(
        len(history) > 0,
        history,
        REAR_AXLE_TO_CENTER_M,
        _lateral_ok(lateral, savgol_matrix(count, 8, 2)),
        *acceleration,
        *acceleration,
        *_rows(count, 15, 2, 1, STEP_S),
        *_rows(count, 5, 2, 1, STEP_S),
        *_rows(count, 5, 3, 2, STEP_S),
    )


def prepare_comfort_v1(ego_state: Float) -> ComfortArrays:
    """Comfort of v1.1: no history; bounds on acceleration and jerk use one window over the whole plan."""
    lateral = np.zeros(STEPS)
    lateral[0] = ego_state[State.ACCELERATION_Y]
    return ComfortArrays(
        True,
        np.empty((0, len(State))),
        0.0,
        _lateral_ok(lateral, savgol_matrix(STEPS, STEPS, 2)),
        *_rows(STEPS, STEPS, 2),
        *_rows(STEPS, 8, 2),
        *_rows(STEPS, STEPS, 2, 1, STEP_S),
        *_rows(STEPS, 5, 2, 1, STEP_S),
        *_rows(STEPS, 5, 3, 2, STEP_S),
    )


def _rows(*filter_: Any) -> tuple[NDArray[np.int32], Float]:
    """`savgol_rows`, copied: kernels would be recompiled for read-only arrays."""
    start, weights = savgol_rows(*filter_)
    return start.copy(), weights.copy()


def _lateral_ok(lateral: Float, smoothing: Float) -> bool:
    """Simulated lateral acceleration is 0, so the filtered series and its bounds do not depend on the proposal."""
    return bool((np.abs(np.round(smoothing @ lateral, 8)) < MAX_LATERAL_ACCELERATION).all())

"""How smoothly plans are driven: accelerations, jerks and turns of simulated states, and how near they come to comfort.

Series are filtered by the Savitzky-Golay windows of history comfort (NAVSIM v2.2): 8 samples for accelerations, 15 for
jerks, 5 for turning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import STATE_SIZE, State
from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M, WHEEL_BASE_M
from navforge.scoring.filters import savgol_matrix
from navforge.scoring.kernels import comfort
from navforge.simulation.tracker import STEP_S

Float = NDArray[np.float64]

DECIMALS = 8
"""The devkit rounds every filtered series to so many decimals."""


def motion(states: Float) -> dict[str, Float]:
    """Magnitudes over time of what a passenger at the rear axle feels.

    The simulator's own lateral acceleration is 0; here it is the speed times the yaw rate.

    Args:
        states: (N, T, 11) simulated states, 0.1 s apart.

    Returns:
        `acceleration` m/s2 and `jerk` m/s3 (lengths of the vectors in the ground plane), `yaw_rate` rad/s,
        `yaw_acceleration` rad/s2, each (N, T); `curvature_rate` 1/(m s), (N, T - 1): the change of the curvature of the
        path of the rear axle, tan(steering angle) / wheel base. The simulation starts with straight wheels, as the
        devkit's does, so that a curve begins with a turn of the wheels.
    """
    count = states.shape[1]
    smooth, change = savgol_matrix(count, 8, 2).T, savgol_matrix(count, 15, 2, 1, STEP_S).T
    yaw_rate, yaw_acceleration = _turning(states[..., State.HEADING])
    along = states[..., State.ACCELERATION_X] @ smooth
    across = (states[..., State.VELOCITY_X] * yaw_rate) @ smooth
    curvature = np.tan(states[..., State.STEERING_ANGLE]) / WHEEL_BASE_M
    return {
        "acceleration": np.hypot(along, across),
        # The axes turn with the ego: the derivative of a vector a is its components' plus yaw rate x a.
        "jerk": np.hypot(along @ change - yaw_rate * across, across @ change + yaw_rate * along),
        "yaw_rate": np.abs(yaw_rate),
        "yaw_acceleration": np.abs(yaw_acceleration),
        "curvature_rate": np.abs(np.diff(curvature, axis=1)) / STEP_S,
    }


def comfort_share(states: Float, history: Float) -> Float:
    """(N,) largest ratio of a value to its bound, over all times and bounds of history comfort.

    The sub-score `history_comfort` is 1 where this is below 1, and 0 from 1 on (before the human filter). It looks at
    the logged history too, so a plan is not the only cause of a large share.

    Args:
        states: (N, 41, 11) simulated states of plans of one scene.
        history: (H, 11) `CachedScene.history_states`; the shares are NaN where there are none.
    """
    if not len(history):
        return np.full(len(states), np.nan)
    whole = np.concatenate([np.broadcast_to(history, (len(states), *history.shape)), states], axis=1)
    assert whole.shape[2] == STATE_SIZE
    count = whole.shape[1]
    smooth, change = savgol_matrix(count, 8, 2).T, savgol_matrix(count, 15, 2, 1, STEP_S).T
    ax, ay = whole[..., State.ACCELERATION_X], whole[..., State.ACCELERATION_Y]
    turn, turn_change = whole[..., State.YAW_RATE], whole[..., State.YAW_ACCELERATION]
    longitudinal = _rounded((ax + REAR_AXLE_TO_CENTER_M * (turn**2 + turn_change)) @ smooth)
    yaw_rate, yaw_acceleration = _turning(whole[..., State.HEADING])
    ratios = [
        longitudinal / comfort.MAX_LONGITUDINAL_ACCELERATION,
        longitudinal / comfort.MIN_LONGITUDINAL_ACCELERATION,
        np.abs(_rounded(ay @ smooth)) / comfort.MAX_LATERAL_ACCELERATION,
        np.abs(_rounded(longitudinal @ change)) / comfort.MAX_LONGITUDINAL_JERK,
        np.abs(_rounded(_rounded(np.hypot(ax, ay) @ smooth) @ change)) / comfort.MAX_JERK,
        np.abs(_rounded(yaw_rate)) / comfort.MAX_YAW_RATE,
        np.abs(_rounded(yaw_acceleration)) / comfort.MAX_YAW_ACCELERATION,
    ]
    return np.max([ratio.max(axis=1) for ratio in ratios], axis=0)


def _turning(heading: Float) -> tuple[Float, Float]:
    """Yaw rate and yaw acceleration (N, T) of headings (N, T)."""
    count, unwrapped = heading.shape[1], np.unwrap(heading, axis=1)
    rate, acceleration = savgol_matrix(count, 5, 2, 1, STEP_S), savgol_matrix(count, 5, 3, 2, STEP_S)
    return unwrapped @ rate.T, unwrapped @ acceleration.T


def _rounded(series: Float) -> Float:
    return np.round(series, DECIMALS)

"""Trajectories a reader can check by hand: 40 poses at 10 Hz."""

from __future__ import annotations

import numpy as np

TIMES_S = 0.1 * np.arange(1, 41)


def straight(speed: float, aside: float = 0.0) -> np.ndarray:
    """Constant speed along x (negative: backwards), at a lateral offset from the first pose on."""
    return np.stack([speed * TIMES_S, np.full(40, aside), np.zeros(40)], axis=-1).astype(np.float32)


def arc(speed: float, yaw_rate: float) -> np.ndarray:
    """Constant speed and yaw rate, left positive."""
    heading = yaw_rate * TIMES_S
    radius = speed / yaw_rate
    return np.stack([radius * np.sin(heading), radius * (1 - np.cos(heading)), heading], axis=-1).astype(np.float32)


def starting(by: float) -> np.ndarray:
    """From standstill at `by` m/s2."""
    return np.stack([by * TIMES_S**2 / 2, np.zeros(40), np.zeros(40)], axis=-1).astype(np.float32)


def braking(speed: float, by: float) -> np.ndarray:
    """From `speed` to a stop at `by` m/s2."""
    until = np.minimum(TIMES_S, speed / by)
    return np.stack([speed * until - by * until**2 / 2, np.zeros(40), np.zeros(40)], axis=-1).astype(np.float32)

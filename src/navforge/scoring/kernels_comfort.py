"""Compiled comfort sub-score: bounds on filtered accelerations, jerks and yaw motion."""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.trigonometry import TWO_PI
from navforge.simulation.kernels import AX, AY, HEADING, YAW_ACCELERATION, YAW_RATE

MIN_LONGITUDINAL_ACCELERATION = -4.05
MAX_LONGITUDINAL_ACCELERATION = 2.40
MAX_LATERAL_ACCELERATION = 4.89
MAX_JERK = 8.37
MAX_LONGITUDINAL_JERK = 4.13
MAX_YAW_RATE = 0.95
MAX_YAW_ACCELERATION = 1.93
DECIMALS_SCALE = 1e8


@kernel
def rounded(value):
    """Rounded to 8 decimals, half to even, as `numpy.round`."""
    return np.rint(value * DECIMALS_SCALE) / DECIMALS_SCALE


@kernel
def smooth(start, weights, samples, count, out):
    """Filter a series and round it. All rows but the first and last half window share their weights."""
    window = weights.shape[1]
    half = window // 2
    end = count - half
    for i in range(half, end):
        out[i] = 0.0
    if half < end:
        offset = start[half] - half
        for j in range(window):
            weight = weights[half, j]
            for i in range(half, end):
                out[i] += weight * samples[i + offset + j]
    for edge in range(2 * half):
        i = edge if edge < half else end + edge - half
        total = 0.0
        for j in range(window):
            total += weights[i, j] * samples[start[i] + j]
        out[i] = total
    for i in range(count):
        out[i] = rounded(out[i])


@kernel
def within(start, weights, samples, count, low, high, out):
    """Whether the filtered series stays strictly between two bounds; `out` (count,) receives it."""
    smooth(start, weights, samples, count, out)
    outside = 0
    for i in range(count):
        outside += out[i] <= low or out[i] >= high
    return outside == 0


@kernel
def comfortable(comfort, states, n, steps, longitudinal, magnitude, heading, work, out):
    """Comfort of proposal n of states (11, T, N); the last five arguments are work space of (H + steps,)."""
    if not comfort.enabled:
        return True
    if not comfort.lateral_ok:
        return False
    history = comfort.history.shape[0]
    count = history + steps
    turns = 0.0
    before = 0.0
    for i in range(count):
        if i < history:
            ax = comfort.history[i, AX]
            ay = comfort.history[i, AY]
            yaw_rate = comfort.history[i, YAW_RATE]
            yaw_acceleration = comfort.history[i, YAW_ACCELERATION]
            angle = comfort.history[i, HEADING]
        else:
            t = i - history
            ax = states[AX, t, n]
            ay = states[AY, t, n]
            yaw_rate = states[YAW_RATE, t, n]
            yaw_acceleration = states[YAW_ACCELERATION, t, n]
            angle = states[HEADING, t, n]
        longitudinal[i] = ax + comfort.lever_m * (yaw_rate * yaw_rate) + comfort.lever_m * yaw_acceleration
        magnitude[i] = math.hypot(ax, ay)
        if i > 0:
            turns += np.rint((angle - before) / TWO_PI)
        before = angle
        heading[i] = angle - TWO_PI * turns
    if not within(comfort.yaw_rate_start, comfort.yaw_rate, heading, count, -MAX_YAW_RATE, MAX_YAW_RATE, out):
        return False
    if not within(
        comfort.yaw_acceleration_start,
        comfort.yaw_acceleration,
        heading,
        count,
        -MAX_YAW_ACCELERATION,
        MAX_YAW_ACCELERATION,
        out,
    ):
        return False
    if not within(
        comfort.longitudinal_start,
        comfort.longitudinal,
        longitudinal,
        count,
        MIN_LONGITUDINAL_ACCELERATION,
        MAX_LONGITUDINAL_ACCELERATION,
        out,
    ):
        return False
    smooth(comfort.acceleration_start, comfort.acceleration, magnitude, count, work)
    if not within(comfort.jerk_start, comfort.jerk, work, count, -MAX_JERK, MAX_JERK, out):
        return False
    smooth(comfort.acceleration_start, comfort.acceleration, longitudinal, count, work)
    return within(comfort.jerk_start, comfort.jerk, work, count, -MAX_LONGITUDINAL_JERK, MAX_LONGITUDINAL_JERK, out)

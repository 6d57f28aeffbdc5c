"""Compiled comfort sub-score: bounds on filtered accelerations, jerks and yaw motion."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from navforge.simulation.kernels import AX, AY, HEADING, TWO_PI, YAW_ACCELERATION, YAW_RATE

MIN_LONGITUDINAL_ACCELERATION = -4.05
MAX_LONGITUDINAL_ACCELERATION = 2.40
MAX_LATERAL_ACCELERATION = 4.89
MAX_JERK = 8.37
MAX_LONGITUDINAL_JERK = 4.13
MAX_YAW_RATE = 0.95
MAX_YAW_ACCELERATION = 1.93
DECIMALS_SCALE = 1e8


@njit(cache=True)
def rounded(value):
    """Rounded to 8 decimals, half to even, as `numpy.round`."""
    return np.rint(value * DECIMALS_SCALE) / DECIMALS_SCALE


@njit(cache=True)
def filtered(start, weights, samples, i):
    """Sample i of a filtered series, rounded."""
    total = 0.0
    first = start[i]
    for j in range(weights.shape[1]):
        total += weights[i, j] * samples[first + j]
    return rounded(total)


@njit(cache=True)
def within(start, weights, samples, count, low, high):
    """Whether the filtered series stays strictly between two bounds."""
    for i in range(count):
        value = filtered(start, weights, samples, i)
        if not low < value < high:
            return False
    return True


@njit(cache=True)
def comfortable(comfort, states, n, steps, longitudinal, magnitude, heading, smooth):
    """Comfort of proposal n of states (11, T, N); the last four arguments are work space of (H + steps,)."""
    if not comfort.enabled:
        return True
    if not comfort.lateral_ok:
        return False
    history = comfort.history.shape[0]
    count = history + steps
    turns = 0.0
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
        smooth[i] = angle
        if i > 0:
            turns += np.rint((angle - smooth[i - 1]) / TWO_PI)
        heading[i] = angle - TWO_PI * turns
    if not within(comfort.yaw_rate_start, comfort.yaw_rate, heading, count, -MAX_YAW_RATE, MAX_YAW_RATE):
        return False
    if not within(
        comfort.yaw_acceleration_start,
        comfort.yaw_acceleration,
        heading,
        count,
        -MAX_YAW_ACCELERATION,
        MAX_YAW_ACCELERATION,
    ):
        return False
    if not within(
        comfort.longitudinal_start,
        comfort.longitudinal,
        longitudinal,
        count,
        MIN_LONGITUDINAL_ACCELERATION,
        MAX_LONGITUDINAL_ACCELERATION,
    ):
        return False
    for i in range(count):
        smooth[i] = filtered(comfort.acceleration_start, comfort.acceleration, magnitude, i)
    if not within(comfort.jerk_start, comfort.jerk, smooth, count, -MAX_JERK, MAX_JERK):
        return False
    for i in range(count):
        smooth[i] = filtered(comfort.acceleration_start, comfort.acceleration, longitudinal, i)
    return within(comfort.jerk_start, comfort.jerk, smooth, count, -MAX_LONGITUDINAL_JERK, MAX_LONGITUDINAL_JERK)

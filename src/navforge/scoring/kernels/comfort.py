"""Compiled comfort sub-score: bounds on filtered accelerations, jerks and yaw motion."""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import any_lane, larger, smaller
from navforge.geometry.trigonometry import INVERSE_TWO_PI, TWO_PI, nearest
from navforge.scoring.kernels.motion import magnitude
from navforge.simulation.rows import AX, AY, HEADING, YAW_ACCELERATION, YAW_RATE

# Bounds of `pdm_comfort_metrics.py` (NAVSIM v1.1 and v2.2), which are nuPlan's.
MIN_LONGITUDINAL_ACCELERATION = -4.05
"""m/s2; `min_lon_accel`."""
MAX_LONGITUDINAL_ACCELERATION = 2.40
"""m/s2; `max_lon_accel`."""
MAX_LATERAL_ACCELERATION = 4.89
"""m/s2; `max_abs_lat_accel`."""
MAX_JERK = 8.37
"""m/s3; `max_abs_mag_jerk`."""
MAX_LONGITUDINAL_JERK = 4.13
"""m/s3; `max_abs_lon_jerk`."""
MAX_YAW_RATE = 0.95
"""rad/s; `max_abs_yaw_rate`."""
MAX_YAW_ACCELERATION = 1.93
"""rad/s2; `max_abs_yaw_accel`."""
DECIMALS_SCALE = 1e8
"""The devkit rounds every filtered series to 8 decimals."""


def least_reaching(bound: float, scale: float) -> float:
    """Least x for which x * `scale`, rounded to a whole number (half to even) and divided by 1e8, is at least `bound`.

    Rounding is monotone, so comparing with this number is comparing the rounded one with `bound`.
    """
    guess = bound * DECIMALS_SCALE / scale
    low, high = guess - 1.0 / scale, guess + 1.0 / scale
    while np.nextafter(low, high) < high:
        middle = low + 0.5 * (high - low)
        if np.rint(middle * scale) / DECIMALS_SCALE >= bound:
            high = middle
        else:
            low = middle
    return float(high)


# Bounds on unrounded series. What smoothing gives is kept in whole units of 1e-8, and so is the jerk made of it.
REACHES_LONGITUDINAL = least_reaching(MAX_LONGITUDINAL_ACCELERATION, DECIMALS_SCALE)
REACHES_BRAKING = least_reaching(-MIN_LONGITUDINAL_ACCELERATION, DECIMALS_SCALE)
REACHES_JERK = least_reaching(MAX_JERK, 1.0)
REACHES_LONGITUDINAL_JERK = least_reaching(MAX_LONGITUDINAL_JERK, 1.0)
REACHES_YAW_RATE = least_reaching(MAX_YAW_RATE, DECIMALS_SCALE)
REACHES_YAW_ACCELERATION = least_reaching(MAX_YAW_ACCELERATION, DECIMALS_SCALE)

# Rows of `series` (rows, H + T, N): history and plan, and what smoothing makes of one of them.
LONGITUDINAL, MAGNITUDE, ANGLE, SMOOTHED = range(4)
SERIES_ROWS = 4


@kernel
def filtered_one(start, weights, series, row, i, n):
    """Filtered sample i, by its own row of weights."""
    total = 0.0 * series[row, 0, n]
    for j in range(weights.shape[1]):
        total += weights[i, j] * series[row, start[i] + j, n]
    return total


@kernel
def filtered_four(start, weights, series, row, i, n):
    """Filtered samples i .. i + 3, none of them within half a window of the ends: those share their weights."""
    half = weights.shape[1] // 2
    at = i + start[half] - half
    zero = 0.0 * series[row, 0, n]
    first, second, third, fourth = zero, zero, zero, zero
    for j in range(weights.shape[1]):
        weight = weights[half, j]
        first += weight * series[row, at + j, n]
        second += weight * series[row, at + j + 1, n]
        third += weight * series[row, at + j + 2, n]
        fourth += weight * series[row, at + j + 3, n]
    return first, second, third, fourth


@kernel
def edge_four(start, weights, series, row, i, n):
    """Filtered samples i .. i + 3 within the first or last half window: of one window, by weights of their own."""
    at = start[i]
    zero = 0.0 * series[row, 0, n]
    first, second, third, fourth = zero, zero, zero, zero
    for j in range(weights.shape[1]):
        value = series[row, at + j, n]
        first += weights[i, j] * value
        second += weights[i + 1, j] * value
        third += weights[i + 2, j] * value
        fourth += weights[i + 3, j] * value
    return first, second, third, fourth


@kernel
def smooth(start, weights, series, row, count, n, keep):
    """(least, greatest) sample of a filtered series; `keep` writes it to row SMOOTHED, rounded, in units of 1e-8."""
    half = weights.shape[1] // 2
    least = math.inf + 0.0 * series[row, 0, n]
    greatest = -least
    i = 0
    while i < count:
        inner = half <= i and i + 4 <= count - half
        if inner or i + 4 <= half or count - half <= i <= count - 4:
            if inner:
                first, second, third, fourth = filtered_four(start, weights, series, row, i, n)
            else:
                first, second, third, fourth = edge_four(start, weights, series, row, i, n)
            least = smaller(smaller(least, smaller(first, second)), smaller(third, fourth))
            greatest = larger(larger(greatest, larger(first, second)), larger(third, fourth))
            if keep:
                series[SMOOTHED, i, n] = nearest(first * DECIMALS_SCALE)
                series[SMOOTHED, i + 1, n] = nearest(second * DECIMALS_SCALE)
                series[SMOOTHED, i + 2, n] = nearest(third * DECIMALS_SCALE)
                series[SMOOTHED, i + 3, n] = nearest(fourth * DECIMALS_SCALE)
            i += 4
        else:
            value = filtered_one(start, weights, series, row, i, n)
            least = smaller(least, value)
            greatest = larger(greatest, value)
            if keep:
                series[SMOOTHED, i, n] = nearest(value * DECIMALS_SCALE)
            i += 1
    return least, greatest


@kernel
def gather_series(comfort, states, steps, n, series):
    """Fill the rows LONGITUDINAL, MAGNITUDE and ANGLE of `series`; angles are unwrapped."""
    history = comfort.history.shape[0]
    lever = comfort.lever_m
    turns = 0.0 * states[HEADING, 0, n]
    before = turns
    for i in range(history):
        past = comfort.history
        yaw_rate = past[i, YAW_RATE]
        series[LONGITUDINAL, i, n] = past[i, AX] + lever * (yaw_rate * yaw_rate) + lever * past[i, YAW_ACCELERATION]
        series[MAGNITUDE, i, n] = magnitude(past[i, AX], past[i, AY])
        angle = past[i, HEADING]
        if i > 0:
            turns += nearest((angle - before) * INVERSE_TWO_PI)
        before = angle + 0.0 * turns
        series[ANGLE, i, n] = angle - TWO_PI * turns
    for t in range(steps):
        i = history + t
        yaw_rate = states[YAW_RATE, t, n]
        acceleration = states[AX, t, n]
        series[LONGITUDINAL, i, n] = (
            acceleration + lever * (yaw_rate * yaw_rate) + lever * states[YAW_ACCELERATION, t, n]
        )
        series[MAGNITUDE, i, n] = magnitude(acceleration, states[AY, t, n])
        angle = states[HEADING, t, n]
        if i > 0:
            turns += nearest((angle - before) * INVERSE_TWO_PI)
        before = angle
        series[ANGLE, i, n] = angle - TWO_PI * turns


@kernel
def comfortable(comfort, states, steps, n, series):
    """Whether proposal n of `states`, or each of the eight at `lanes_at(first)`, is comfortable.

    Args:
        comfort: `scoring.arrays.ComfortArrays`.
        states: (13, T, N).
        steps: T.
        n: a proposal or `lanes_at(first)`.
        series: (4, H + T, N), work space.
    """
    zero = 0.0 * states[HEADING, 0, n]
    if not comfort.enabled:
        return zero == 0.0
    if not comfort.lateral_ok:
        return zero != 0.0
    gather_series(comfort, states, steps, n, series)
    count = comfort.history.shape[0] + steps
    least, greatest = smooth(comfort.yaw_rate_start, comfort.yaw_rate, series, ANGLE, count, n, False)
    fine = (least > -REACHES_YAW_RATE) & (greatest < REACHES_YAW_RATE)
    least, greatest = smooth(comfort.yaw_acceleration_start, comfort.yaw_acceleration, series, ANGLE, count, n, False)
    fine = fine & (least > -REACHES_YAW_ACCELERATION) & (greatest < REACHES_YAW_ACCELERATION)
    if not any_lane(fine):
        return fine
    least, greatest = smooth(comfort.acceleration_start, comfort.acceleration, series, LONGITUDINAL, count, n, True)
    if comfort.longitudinal.shape[1] != comfort.acceleration.shape[1]:
        least, greatest = smooth(
            comfort.longitudinal_start, comfort.longitudinal, series, LONGITUDINAL, count, n, False
        )
    fine = fine & (least > -REACHES_BRAKING) & (greatest < REACHES_LONGITUDINAL)
    if not any_lane(fine):
        return fine
    least, greatest = smooth(comfort.jerk_start, comfort.jerk, series, SMOOTHED, count, n, False)
    fine = fine & (least > -REACHES_LONGITUDINAL_JERK) & (greatest < REACHES_LONGITUDINAL_JERK)
    if not any_lane(fine):
        return fine
    smooth(comfort.acceleration_start, comfort.acceleration, series, MAGNITUDE, count, n, True)
    least, greatest = smooth(comfort.jerk_start, comfort.jerk, series, SMOOTHED, count, n, False)
    return fine & (least > -REACHES_JERK) & (greatest < REACHES_JERK)

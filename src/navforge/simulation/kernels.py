"""Compiled tracker and bicycle model: scalar functions, and one driver over proposals.

The scalar functions use only what numba compiles for CPU and CUDA alike. Trajectories lie in memory as
`(channel, time, proposal)`, so that neighbouring proposals are neighbours in memory.
"""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.vehicle import WHEEL_BASE_M
from navforge.simulation.tracker import (
    ACCELERATION_TIME_CONSTANT_S,
    CURVATURE_RATE_PENALTY,
    HEADING_ERROR_WEIGHT,
    INITIAL_CURVATURE_PENALTY,
    INPUT_WEIGHT,
    INTERVALS,
    LATERAL_ERROR_WEIGHT,
    LONGITUDINAL_WEIGHT,
    MAX_STEERING_ANGLE,
    STEERING_TIME_CONSTANT_S,
    STEP_S,
    STOPPING_GAIN,
    STOPPING_SPEED_MPS,
    TRACKING_STEPS,
)

TWO_PI = 2.0 * math.pi
# geometry.columns.State as plain integers, which CUDA kernels need.
X, Y, HEADING, VX, VY, AX, AY, STEERING, STEERING_RATE, YAW_RATE, YAW_ACCELERATION = range(11)
CHANNELS = 11


@kernel
def wrap(angle):
    """Angle in [-pi, pi)."""
    if -math.pi <= angle < math.pi:
        return angle
    return angle - TWO_PI * math.floor((angle + math.pi) / TWO_PI)


@kernel
def fit_speeds(reference, n, matrix, displacement, speed):
    """Speeds (40,) along reference n of (N, 41, 3): `matrix` times the displacements along the heading."""
    for k in range(INTERVALS):
        c = math.cos(reference[n, k, 2])
        s = math.sin(reference[n, k, 2])
        displacement[k] = c * (reference[n, k + 1, 0] - reference[n, k, 0]) + s * (
            reference[n, k + 1, 1] - reference[n, k, 1]
        )
        speed[k] = 0.0
    for j in range(INTERVALS):
        for k in range(INTERVALS):
            speed[k] += matrix[j, k] * displacement[j]


@kernel
def fit_curvatures(reference, n, speed, stiffness, load, curvature):
    """Curvatures (40,) 1/m along reference n: tridiagonal least squares, eliminated without cancellation.

    Minimises sum (dpsi_k - v_k dt kappa_k)^2 + 1e-10 kappa_0^2 + 1e-2 sum ((kappa_k - kappa_(k-1)) / dt)^2.
    """
    coupling = CURVATURE_RATE_PENALTY / (STEP_S * STEP_S)
    for k in range(INTERVALS):
        step = speed[k] * STEP_S
        turn = wrap(reference[n, k + 1, 2] - reference[n, k, 2])
        own_stiffness = step * step
        own_load = step * turn
        if k == 0:
            stiffness[0] = own_stiffness + INITIAL_CURVATURE_PENALTY
            load[0] = own_load
        else:
            share = coupling / (stiffness[k - 1] + coupling)
            stiffness[k] = own_stiffness + stiffness[k - 1] * share
            load[k] = own_load + load[k - 1] * share
    last = INTERVALS - 1
    curvature[last] = load[last] / stiffness[last]
    for k in range(last - 1, -1, -1):
        curvature[k] = (load[k] + coupling * curvature[k + 1]) / (stiffness[k] + coupling)


@kernel
def steering_rate_command(lateral_error, heading_error, steering, v, acceleration, curvature, k):
    """Steering rate (rad/s) of the one-step LQR over the ten-step linearised lateral dynamics."""
    e = lateral_error
    psi = heading_error
    input_e = 0.0
    input_psi = 0.0
    input_steering = 0.0
    for i in range(TRACKING_STEPS):
        step = (v + acceleration * STEP_S * i) * STEP_S
        kappa = curvature[min(k + i, INTERVALS - 1)]
        e += step * psi
        input_e += step * input_psi
        psi += step * (steering / WHEEL_BASE_M - kappa)
        input_psi += step * input_steering / WHEEL_BASE_M
        input_steering += STEP_S
    psi = wrap(psi)
    gain_e = LATERAL_ERROR_WEIGHT * input_e
    gain_psi = HEADING_ERROR_WEIGHT * input_psi
    return -(gain_e * e + gain_psi * psi) / (gain_e * input_e + gain_psi * input_psi + INPUT_WEIGHT)


@kernel
def commands(x, y, heading, v, steering, ref_x, ref_y, ref_heading, ref_v, curvature, k):
    """Acceleration (m/s2) and steering rate (rad/s) that the tracker asks for at step k."""
    if ref_v <= STOPPING_SPEED_MPS and v <= STOPPING_SPEED_MPS:
        return -STOPPING_GAIN * (v - ref_v), 0.0
    horizon = TRACKING_STEPS * STEP_S
    gain = LONGITUDINAL_WEIGHT * horizon
    acceleration = -gain * (v - ref_v) / (gain * horizon + INPUT_WEIGHT)
    s = math.sin(ref_heading)
    c = math.cos(ref_heading)
    lateral_error = -(x - ref_x) * s + (y - ref_y) * c
    heading_error = wrap(heading - ref_heading)
    rate = steering_rate_command(lateral_error, heading_error, steering, v, acceleration, curvature, k)
    return acceleration, rate


@kernel
def rollout(reference, n, speed, curvature, states):
    """Fill states[:, 1:, n] from states[:, 0, n]: 40 steps of tracker and kinematic bicycle (Euler, 0.1 s)."""
    acceleration_share = STEP_S / (STEP_S + ACCELERATION_TIME_CONSTANT_S)
    steering_share = STEP_S / (STEP_S + STEERING_TIME_CONSTANT_S)
    x = states[X, 0, n]
    y = states[Y, 0, n]
    heading = states[HEADING, 0, n]
    v = states[VX, 0, n]
    a = states[AX, 0, n]
    steering = states[STEERING, 0, n]
    yaw_rate = states[YAW_RATE, 0, n]
    for k in range(INTERVALS):
        ref_v = speed[min(k + TRACKING_STEPS, INTERVALS - 1)]
        ask_a, ask_rate = commands(
            x, y, heading, v, steering, reference[n, k, 0], reference[n, k, 1], reference[n, k, 2], ref_v, curvature, k
        )
        a = acceleration_share * (ask_a - a) + a
        rate = steering_share * (STEP_S * ask_rate) / STEP_S
        x += v * math.cos(heading) * STEP_S
        y += v * math.sin(heading) * STEP_S
        heading = wrap(heading + v * math.tan(steering) / WHEEL_BASE_M * STEP_S)
        v += a * STEP_S
        steering = min(max(steering + rate * STEP_S, -MAX_STEERING_ANGLE), MAX_STEERING_ANGLE)
        new_yaw_rate = v * math.tan(steering) / WHEEL_BASE_M
        t = k + 1
        states[X, t, n] = x
        states[Y, t, n] = y
        states[HEADING, t, n] = heading
        states[VX, t, n] = v
        states[VY, t, n] = 0.0
        states[AX, t, n] = a
        states[AY, t, n] = 0.0
        states[STEERING, t, n] = steering
        states[STEERING_RATE, t, n] = rate
        states[YAW_RATE, t, n] = new_yaw_rate
        states[YAW_ACCELERATION, t, n] = (new_yaw_rate - yaw_rate) / STEP_S
        yaw_rate = new_yaw_rate


@kernel(nogil=True)
def simulate_batch(ego_state, reference, matrix, states):
    """Simulate every proposal; reference (N, 41, 3), states (11, 41, N) written, one common frame."""
    displacement = np.empty(INTERVALS)
    speed = np.empty(INTERVALS)
    stiffness = np.empty(INTERVALS)
    load = np.empty(INTERVALS)
    curvature = np.empty(INTERVALS)
    for n in range(reference.shape[0]):
        for channel in range(CHANNELS):
            states[channel, 0, n] = ego_state[channel]
        fit_speeds(reference, n, matrix, displacement, speed)
        fit_curvatures(reference, n, speed, stiffness, load, curvature)
        rollout(reference, n, speed, curvature, states)

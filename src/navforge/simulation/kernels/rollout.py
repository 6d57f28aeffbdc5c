"""Compiled tracker and bicycle model: generic functions over `n`, one proposal or eight (`geometry.lanes`).

Arrays lie as `(row, time, proposal)`. On a CPU, blocks of eight proposals go through all steps before the next block,
in work space of the same layout that stays in the cache; a CUDA thread calls the same functions with its own `n`.
"""

from __future__ import annotations

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, lane_space, lanes_at, larger, select, smaller
from navforge.geometry.trigonometry import sincos, tan_small, wrap
from navforge.geometry.vehicle import WHEEL_BASE_M
from navforge.simulation.interpolation import fill_start, interpolate
from navforge.simulation.rows import (
    AX,
    AY,
    CHANNELS,
    COS,
    CURVATURE,
    HEADING,
    REF_COS,
    REF_HEADING,
    REF_SIN,
    REF_X,
    REF_Y,
    SHARE,
    SIN,
    SPEED,
    START_SIZE,
    START_TAN,
    STATE_ROWS,
    STEERING,
    STEERING_RATE,
    VX,
    VY,
    WORK_ROWS,
    WORK_STEPS,
    YAW_ACCELERATION,
    YAW_RATE,
    X,
    Y,
)
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
    STEPS,
    STOPPING_GAIN,
    STOPPING_SPEED_MPS,
    TRACKING_STEPS,
)

# Rows of `tracker.speed_factors`.
BEFORE, TWO_BEFORE, SCALE = range(3)

PER_WHEEL_BASE = 1.0 / WHEEL_BASE_M
PER_STEP = 1.0 / STEP_S
COUPLING = CURVATURE_RATE_PENALTY / (STEP_S * STEP_S)
TURN_PER_RATE = STEP_S / WHEEL_BASE_M
HORIZON_S = TRACKING_STEPS * STEP_S
SPEED_GAIN = LONGITUDINAL_WEIGHT * HORIZON_S / (LONGITUDINAL_WEIGHT * HORIZON_S * HORIZON_S + INPUT_WEIGHT)
ACCELERATION_SHARE = STEP_S / (STEP_S + ACCELERATION_TIME_CONSTANT_S)
STEERING_SHARE = STEP_S / (STEP_S + STEERING_TIME_CONSTANT_S)

# Sums over the steps i of the window, and over its pairs i > j, that `steering_rate_command` needs.
_PAIRS = [(i, j) for i in range(TRACKING_STEPS) for j in range(i)]
WINDOW = float(TRACKING_STEPS)
SUM_I = float(sum(range(TRACKING_STEPS)))
SUM_II = float(sum(i * i for i in range(TRACKING_STEPS)))
PAIRS = float(len(_PAIRS))
PAIRS_I_J = float(sum(i + j for i, j in _PAIRS))
PAIRS_IJ = float(sum(i * j for i, j in _PAIRS))
PAIRS_J = float(sum(j for _, j in _PAIRS))
PAIRS_IJ_JJ = float(sum(i * j + j * j for i, j in _PAIRS))
PAIRS_IJJ = float(sum(i * j * j for i, j in _PAIRS))


@kernel
def fit_speeds(factors, work, n):
    """Write SPEED (and REF_COS, REF_SIN) of a reference: the fit of `tracker.speed_factors`, eliminated and solved."""
    x = work[REF_X, 0, n]
    y = work[REF_Y, 0, n]
    before = 0.0
    two_before = 0.0
    for k in range(INTERVALS):
        s, c = sincos(work[REF_HEADING, k, n])
        next_x = work[REF_X, k + 1, n]
        next_y = work[REF_Y, k + 1, n]
        displacement = c * (next_x - x) + s * (next_y - y)
        eliminated = displacement - factors[BEFORE, k] * before
        if k == INTERVALS - 1:
            eliminated = eliminated - factors[TWO_BEFORE, k] * two_before
        work[REF_COS, k, n] = c
        work[REF_SIN, k, n] = s
        work[SPEED, k, n] = eliminated * factors[SCALE, k]
        two_before = before
        before = eliminated
        x = next_x
        y = next_y
    last = INTERVALS - 1
    after = work[SPEED, last, n]
    work[SPEED, last - 2, n] = work[SPEED, last - 2, n] - factors[TWO_BEFORE, last] * after
    for k in range(last - 1, -1, -1):
        after = work[SPEED, k, n] - factors[BEFORE, k + 1] * after
        work[SPEED, k, n] = after


@kernel
def fit_curvatures(work, n):
    """Write CURVATURE (1/m) of a reference: tridiagonal least squares, eliminated without cancellation.

    Minimises sum (dpsi_k - v_k dt kappa_k)^2 + 1e-10 kappa_0^2 + 1e-2 sum ((kappa_k - kappa_(k-1)) / dt)^2, from the
    last unknown to the first.
    """
    stiffness = 0.0
    load = 0.0
    heading = work[REF_HEADING, INTERVALS, n]
    for k in range(INTERVALS - 1, 0, -1):
        heading_before = work[REF_HEADING, k, n]
        step = work[SPEED, k, n] * STEP_S
        stiffness = step * step + stiffness
        load = step * wrap(heading - heading_before) + load
        heading = heading_before
        inverse = 1.0 / (stiffness + COUPLING)
        share = COUPLING * inverse
        work[SHARE, k, n] = share
        work[CURVATURE, k, n] = load * inverse
        stiffness = stiffness * share
        load = load * share
    step = work[SPEED, 0, n] * STEP_S
    stiffness = step * step + stiffness + INITIAL_CURVATURE_PENALTY
    load = step * wrap(heading - work[REF_HEADING, 0, n]) + load
    curvature = load / stiffness
    work[CURVATURE, 0, n] = curvature
    for k in range(1, INTERVALS):
        curvature = work[CURVATURE, k, n] + work[SHARE, k, n] * curvature
        work[CURVATURE, k, n] = curvature
    for k in range(INTERVALS, WORK_STEPS):
        work[CURVATURE, k, n] = curvature


@kernel
def steering_rate_command(lateral_error, heading_error, slope, v, acceleration, work, k, n):
    """Steering rate (rad/s) of the one-step LQR over the linearised lateral dynamics, in closed form.

    The dynamics are those of step sizes s_i = p + q i (i = 0, 1, ...): heading error psi += s_i (slope - kappa_i),
    lateral error e += s_i psi, `slope` being the steering angle over the wheel base. What kappa contributes is a sum
    over the window with weights that are polynomials in i, made of the repeated partial sums `sum_0 .. sum_3` (sum of
    kappa_i, of (i + 1) kappa_i, of (i + 1)(i + 2) / 2 kappa_i, ...); what the steering angle and the input contribute
    are polynomials in p and q.
    """
    p = v * STEP_S
    q = acceleration * (STEP_S * STEP_S)
    sum_0 = work[CURVATURE, k + TRACKING_STEPS - 1, n]
    sum_1 = sum_0
    sum_2 = sum_0
    sum_3 = sum_0
    for i in range(TRACKING_STEPS - 2, -1, -1):
        sum_0 = sum_0 + work[CURVATURE, k + i, n]
        sum_1 = sum_1 + sum_0
        sum_2 = sum_2 + sum_1
        sum_3 = sum_3 + sum_2
    pp = p * p
    pq = p * q
    qq = q * q
    travelled = WINDOW * p + SUM_I * q
    turn = slope * travelled - (p * sum_0 + q * (sum_1 - sum_0))
    shift = slope * (PAIRS * pp + PAIRS_I_J * pq + PAIRS_IJ * qq) - (
        pp * (WINDOW * sum_0 - sum_1)
        + pq * ((PAIRS - WINDOW) * sum_0 + (WINDOW + 3.0) * sum_1 - 3.0 * sum_2)
        + qq * ((PAIRS - 2.0) * sum_1 - PAIRS * sum_0 + 5.0 * sum_2 - 3.0 * sum_3)
    )
    psi = wrap(heading_error + turn)
    e = lateral_error + heading_error * travelled + shift
    input_psi = TURN_PER_RATE * (SUM_I * p + SUM_II * q)
    input_e = TURN_PER_RATE * (PAIRS_J * pp + PAIRS_IJ_JJ * pq + PAIRS_IJJ * qq)
    gain_e = LATERAL_ERROR_WEIGHT * input_e
    gain_psi = HEADING_ERROR_WEIGHT * input_psi
    return -(gain_e * e + gain_psi * psi) / (gain_e * input_e + gain_psi * input_psi + INPUT_WEIGHT)


@kernel
def rollout(start, work, states, n):
    """Write states (STATE_ROWS, 41, n): 40 steps of tracker and kinematic bicycle (Euler, 0.1 s) from `start`."""
    for channel in range(STATE_ROWS):
        states[channel, 0, n] = start[channel]
    x = start[X]
    y = start[Y]
    heading = start[HEADING]
    c = start[COS]
    s = start[SIN]
    v = start[VX]
    a = start[AX]
    steering = start[STEERING]
    turn_rate = v * start[START_TAN] * PER_WHEEL_BASE
    yaw_rate = start[YAW_RATE]
    for k in range(INTERVALS):
        ref_v = work[SPEED, min(k + TRACKING_STEPS, INTERVALS - 1), n]
        ref_c = work[REF_COS, k, n]
        ref_s = work[REF_SIN, k, n]
        error = v - ref_v
        ask_a = -SPEED_GAIN * error
        lateral_error = (y - work[REF_Y, k, n]) * ref_c - (x - work[REF_X, k, n]) * ref_s
        heading_error = wrap(heading - work[REF_HEADING, k, n])
        ask_rate = steering_rate_command(lateral_error, heading_error, steering * PER_WHEEL_BASE, v, ask_a, work, k, n)
        stopping = (ref_v <= STOPPING_SPEED_MPS) & (v <= STOPPING_SPEED_MPS)
        ask_a = select(stopping, -STOPPING_GAIN * error, ask_a)
        rate = select(stopping, 0.0, STEERING_SHARE * ask_rate)
        a = ACCELERATION_SHARE * (ask_a - a) + a
        x = x + v * c * STEP_S
        y = y + v * s * STEP_S
        heading = wrap(heading + turn_rate * STEP_S)
        v = v + a * STEP_S
        steering = smaller(larger(steering + rate * STEP_S, -MAX_STEERING_ANGLE), MAX_STEERING_ANGLE)
        turn_rate = v * tan_small(steering) * PER_WHEEL_BASE
        s, c = sincos(heading)
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
        states[YAW_RATE, t, n] = turn_rate
        states[YAW_ACCELERATION, t, n] = (turn_rate - yaw_rate) * PER_STEP
        states[COS, t, n] = c
        states[SIN, t, n] = s
        yaw_rate = turn_rate


@kernel
def track(start, factors, work, n, states):
    """Write states (STATE_ROWS, 41, proposal) at `n` of the reference in `work`."""
    fit_speeds(factors, work, n)
    fit_curvatures(work, n)
    rollout(start, work, states, n)


@kernel
def simulate_block(knots, m, sampling, start, factors, work, n, states):
    """Write states (STATE_ROWS, 41, proposal) at `n` of plan `m` of `knots`; see `interpolate`.

    Args:
        knots: (3, T, plan): a block of `plans.Plans.knots`, or whole arrays.
        m: which plan of `knots`, or lanes of plans (`lanes_at(0)` in a block).
        sampling: `Sampling` of the scene and the plans' interval.
        start: (START_SIZE,) by `fill_start`.
        factors: (3, 40) `tracker.speed_factors`.
        work: (WORK_ROWS, WORK_STEPS, proposal).
        n: where in `work` and `states`: `lanes_at(0)` in a block, the proposal's number in whole arrays.
        states: (STATE_ROWS, 41, proposal).
    """
    interpolate(knots, m, sampling, start, work, n)
    track(start, factors, work, n, states)


@kernel
def copy_states(block, first, states):
    """Copy states of a block to proposals first, first + 1, ... of (CHANNELS, 41, N), as many as there are."""
    count = states.shape[2] - first
    for channel in range(CHANNELS):
        for t in range(STEPS):
            if count >= WIDTH:
                states[channel, t, lanes_at(first)] = block[channel, t, lanes_at(0)]
            else:
                for i in range(count):
                    states[channel, t, first + i] = block[channel, t, i]


@kernel(allocates=True, nogil=True)
def simulate_plans(ego_state, knots, sampling, factors, states):
    """Simulate plans: states (CHANNELS, 41, N) written, global frame."""
    start = np.empty(START_SIZE)
    fill_start(ego_state, start)
    work = lane_space(WORK_ROWS, WORK_STEPS)
    block = lane_space(STATE_ROWS, STEPS)
    for first in range(0, states.shape[2], WIDTH):
        simulate_block(knots[first // WIDTH], lanes_at(0), sampling, start, factors, work, lanes_at(0), block)
        copy_states(block, first, states)


@kernel(allocates=True, nogil=True)
def simulate_references(ego_state, references, factors, states):
    """Simulate reference poses (N, 41, 3): states (CHANNELS, 41, N) written, in their frame."""
    start = np.empty(START_SIZE)
    fill_start(ego_state, start)
    work = lane_space(WORK_ROWS, WORK_STEPS)
    block = lane_space(STATE_ROWS, STEPS)
    last = references.shape[0] - 1
    for first in range(0, references.shape[0], WIDTH):
        for i in range(WIDTH):
            for k in range(STEPS):
                for channel in range(3):
                    work[channel, k, i] = references[min(first + i, last), k, channel]
        track(start, factors, work, lanes_at(0), block)
        copy_states(block, first, states)


@kernel(allocates=True, nogil=True)
def interpolate_plans(origin, knots, sampling, references):
    """Write the reference poses (N, 41, 3) of plans that begin at `origin` (3,); headings in [-pi, pi)."""
    ego_state = np.zeros(CHANNELS)
    for channel in range(3):
        ego_state[channel] = origin[channel]
    start = np.empty(START_SIZE)
    fill_start(ego_state, start)
    work = lane_space(WORK_ROWS, WORK_STEPS)
    for first in range(0, references.shape[0], WIDTH):
        interpolate(knots[first // WIDTH], lanes_at(0), sampling, start, work, lanes_at(0))
        for i in range(min(WIDTH, references.shape[0] - first)):
            for k in range(STEPS):
                references[first + i, k, 0] = work[REF_X, k, i]
                references[first + i, k, 1] = work[REF_Y, k, i]
                references[first + i, k, 2] = wrap(work[REF_HEADING, k, i])

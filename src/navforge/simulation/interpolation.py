"""Compiled interpolation of plans at the sample times of a scene, over proposals as in `kernels.rollout`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH
from navforge.geometry.trigonometry import TWO_PI, sincos, wrap
from navforge.simulation.rows import CHANNELS, COS, HEADING, REF_HEADING, REF_X, REF_Y, SIN, START_TAN, STEERING, X, Y
from navforge.simulation.tracker import STEP_S, STEPS


class Sampling(NamedTuple):
    """Where the 41 sample times of a scene lie among the poses of plans with one interval."""

    upper: NDArray[np.int64]
    """(41,) number of the pose at or after each sample, counted from 1 (0 is the current pose)."""
    span_us: NDArray[np.float64]
    """(41,) time between the pose before the sample and that pose."""
    offset_us: NDArray[np.float64]
    """(41,) time between the pose before and the sample."""


@kernel
def fill_start(ego_state, start):
    """Write the start state (START_SIZE,) of an ego state (CHANNELS,)."""
    for channel in range(CHANNELS):
        start[channel] = ego_state[channel]
    s, c = sincos(wrap(ego_state[HEADING]))
    start[COS] = c
    start[SIN] = s
    s, c = sincos(ego_state[STEERING])
    start[START_TAN] = s / c


@kernel
def interpolate(knots, m, sampling, start, work, n):
    """Write the references REF_X, REF_Y, REF_HEADING of plan m: its poses in the global frame at the 41 sample times.

    The devkit's order of operations, for positions: see `simulation.plans`. Headings are not wrapped.

    Args:
        knots: (3, T, plan): a block of `plans.Plans.knots`, or whole arrays.
        m: which plan of `knots`, or lanes of plans.
        sampling: `Sampling`.
        start: (START_SIZE,) where plans begin.
        work: (WORK_ROWS, WORK_STEPS, proposal).
        n: where in `work` to write.
    """
    c = start[COS]
    s = start[SIN]
    reached = 0
    x = start[X]
    y = start[Y]
    heading = start[HEADING]
    x_before = x
    y_before = y
    heading_before = heading
    slope_x = 0.0
    slope_y = 0.0
    slope_heading = 0.0
    for k in range(STEPS):
        if reached < sampling.upper[k]:
            while reached < sampling.upper[k]:
                x_before = x
                y_before = y
                heading_before = heading
                plan_x = knots[X, reached, m]
                plan_y = knots[Y, reached, m]
                x = (c * plan_x - s * plan_y) + start[X]
                y = (s * plan_x + c * plan_y) + start[Y]
                heading = start[HEADING] + knots[HEADING, reached, m]
                reached += 1
            slope_x = (x - x_before) / sampling.span_us[k]
            slope_y = (y - y_before) / sampling.span_us[k]
            slope_heading = (heading - heading_before) * (1.0 / sampling.span_us[k])
        work[REF_X, k, n] = slope_x * sampling.offset_us[k] + x_before
        work[REF_Y, k, n] = slope_y * sampling.offset_us[k] + y_before
        work[REF_HEADING, k, n] = slope_heading * sampling.offset_us[k] + heading_before


@kernel
def truncated_us(seconds, time_us):
    """Microseconds of a time given in seconds after `time_us`, truncated as the devkit does."""
    return int((seconds + time_us * 1e-6) * 1e6)


@kernel
def fill_sampling(count, interval_s, time_us, upper, span_us, offset_us):
    """Write the arrays of a `Sampling` of plans of `count` poses, from the time of the current pose."""
    before = time_us
    reached = 1
    after = truncated_us(interval_s, time_us)
    last = truncated_us((count - 1) * interval_s + interval_s, time_us)
    for k in range(STEPS):
        at = min(max(truncated_us(k * STEP_S, time_us), time_us), last)
        while after < at:
            before = after
            after = truncated_us(reached * interval_s + interval_s, time_us)
            reached += 1
        upper[k] = reached
        span_us[k] = after - before
        offset_us[k] = at - before


@kernel
def fill_knots(poses, knots):
    """Write knots (block, 3, T, 8) of plans (N, T, 3): headings unwrapped from 0 on, the last plan repeated."""
    last = poses.shape[0] - 1
    for block in range(knots.shape[0]):
        for i in range(WIDTH):
            fill_plan(poses, min(block * WIDTH + i, last), knots, block, i)


@kernel
def fill_plan(poses, plan, knots, block, i):
    """Write one plan of `fill_knots` as number i of a block."""
    before = 0.0
    turns = 0.0
    for t in range(poses.shape[1]):
        heading = poses[plan, t, 2]
        if abs(heading) > math.pi:
            heading = (heading + math.pi) % TWO_PI - math.pi
        if heading - before > math.pi:
            turns -= TWO_PI
        elif heading - before < -math.pi:
            turns += TWO_PI
        knots[block, X, t, i] = poses[plan, t, 0]
        knots[block, Y, t, i] = poses[plan, t, 1]
        knots[block, HEADING, t, i] = heading + turns
        before = heading

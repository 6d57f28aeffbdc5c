"""Compiled way from plans to sub-scores: eight plans are simulated and scored before the next eight are looked at."""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, aligned, lanes_at
from navforge.scoring.kernels.block import score_block, work_space
from navforge.simulation.interpolation import fill_start
from navforge.simulation.kernels.rollout import copy_states, simulate_block
from navforge.simulation.rows import (
    AX,
    HEADING,
    START_SIZE,
    STEERING,
    VX,
    WORK_ROWS,
    WORK_STEPS,
    X,
    Y,
)
from navforge.simulation.tracker import STEPS

ALL_FINITE = -1


@kernel(allocates=True, nogil=True)
def score_plans(ego_state, knots, sampling, factors, scene, is_v2, ttc_last_step, result, events, states):
    """Simulate and score plans in order; stop at the first whose states are not finite.

    Args:
        ego_state: (11,) current state, global frame.
        knots: (blocks, 3, T, 8) `simulation.plans.Plans.knots`.
        sampling: `simulation.plans.sampling` of the plans in the scene.
        factors: `simulation.tracker.speed_factors`.
        scene: as `kernels.score_states`.
        is_v2: likewise.
        ttc_last_step: likewise.
        result: (N, 8) `kernels.Column`, written.
        events: (N, 2), written; see `kernels.score_states`.
        states: (11, 41, N) simulated states, global frame, written; (11, 41, 0) to skip.

    Returns:
        `ALL_FINITE`, or the number of the plan it stopped at.
    """
    start = np.empty(START_SIZE)
    fill_start(ego_state, start)
    tracking = aligned(WORK_ROWS * WORK_STEPS * WIDTH).reshape(WORK_ROWS, WORK_STEPS, WIDTH)
    work = work_space(STEPS, scene[5].history.shape[0])
    no_areas = np.empty((0, STEPS, 3), dtype=np.bool_)
    for first in range(0, result.shape[0], WIDTH):
        count = min(WIDTH, result.shape[0] - first)
        simulate_block(knots[first // WIDTH], lanes_at(0), sampling, start, factors, tracking, lanes_at(0), work.states)
        bad = first_infinite(work.states, count)
        if bad < count:
            return first + bad
        score_block(scene, is_v2, ttc_last_step, work, first, count, result, events, no_areas)
        if states.shape[2] > 0:
            copy_states(work.states, first, states)
    return ALL_FINITE


@kernel
def first_infinite(states, count):
    """First of `count` proposals whose states (13, T, 8) are not finite, or `count`.

    What the simulation carries from step to step never becomes finite again, so the last step tells.
    """
    last = states.shape[1] - 1
    for n in range(count):
        total = 0.0
        for row in (X, Y, HEADING, VX, AX, STEERING):
            total += 0.0 * states[row, last, n]
        if math.isnan(total):
            return n
    return count

"""Compiled scoring of proposals: eight at a time through every sub-score, all work space in the cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.bits import MASK_STEPS
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, aligned, all_lanes, bits, lane, lane_space, lanes_at
from navforge.geometry.trigonometry import sincos
from navforge.scoring.kernels.comfort import SERIES_ROWS, comfortable
from navforge.scoring.kernels.guard import OVERFLOWED, halt, overflows
from navforge.scoring.kernels.lights import lights_block
from navforge.scoring.kernels.lookup import CODE_ROWS, SEEN_ROWS, look_lanes
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, HEADING_COS, HEADING_SIN, MOTION_ROWS, place
from navforge.scoring.kernels.path import locate, progress
from navforge.scoring.kernels.reach import ReachWork, fill_reach, reach_work
from navforge.scoring.kernels.table import judge
from navforge.scoring.kernels.traffic import (
    AHEAD_STEP,
    COLLISION_SCORE,
    COLLISION_STEP,
    NEVER,
    OUTCOME_ROWS,
    traffic_block,
)
from navforge.scoring.metrics import Column
from navforge.simulation.rows import CHANNELS, HEADING, STATE_ROWS


class Work(NamedTuple):
    """Work space of one block of eight proposals."""

    states: NDArray[np.float64]
    """(13, T, 8) `kernels_motion.STATE_ROWS`."""
    motion: NDArray[np.float64]
    """(7, T, 8)"""
    series: NDArray[np.float64]
    """(4, H + T, 8)"""
    indices: NDArray[np.int64]
    """(6, 8)"""
    codes: NDArray[np.uint8]
    """(6, 8, 64)"""
    seen: NDArray[np.int64]
    """(9, 8)"""
    way: NDArray[np.float64]
    """(T, 8)"""
    start: NDArray[np.float64]
    """(3,) box centre at step 0 and its arc length along the centreline, found for the last block that had to."""
    reach: ReachWork
    outcome: NDArray[np.float64]
    """(3, 8) `kernels_traffic.OUTCOME_ROWS`."""


@kernel(allocates=True)
def work_space(steps, history):
    """Fresh `Work`."""
    return Work(
        lane_space(STATE_ROWS, steps),
        lane_space(MOTION_ROWS, steps),
        lane_space(SERIES_ROWS, history + steps),
        np.empty((CODE_ROWS, WIDTH), dtype=np.int64),
        np.zeros((CODE_ROWS, WIDTH, MASK_STEPS), dtype=np.uint8),
        np.empty((SEEN_ROWS, WIDTH), dtype=np.int64),
        np.empty((steps, WIDTH)),
        np.full(3, np.nan),
        reach_work(),
        aligned(OUTCOME_ROWS * WIDTH).reshape(OUTCOME_ROWS, WIDTH),
    )


@kernel
def start_along(path, motion, n, start):
    """Arc length of the box centre at step 0, which proposals of one scene share; `start` (3,) remembers it."""
    x = motion[CENTER_X, 0, n]
    y = motion[CENTER_Y, 0, n]
    if not all_lanes((x == start[0]) & (y == start[1])):
        along = locate(path, x, y)
        start[0] = lane(x, 0)
        start[1] = lane(y, 0)
        start[2] = lane(along, 0)
        return along
    return start[2] + 0.0 * x


@kernel
def score_block(scene, is_v2, ttc_last_step, work, first, count, result, events):
    """Score the `count` first of the eight proposals whose states are in `work`, as rows `first` and on.

    Args:
        scene: `scoring.batch.arrays.SceneArrays`.
        is_v2: rules of v2 (intersections forgive driving direction; lights and lane keeping count) or v1.1.
        ttc_last_step: last step from which collisions are looked for ahead.
        work: `Work`.
        first: row.
        count: 8 at most.
        result: (R, `Column`), rows written.
        events: (R, 2) first step of an at-fault collision and of a TTC violation, or NEVER; rows written.
    """
    states = work.states
    motion = work.motion
    seen = work.seen
    steps = states.shape[1]
    every = lanes_at(0)
    place(states, scene.frame, steps, every, motion)
    look_lanes(scene.areas, scene.path, motion, steps, is_v2, work.indices, work.codes, seen)
    is_comfortable = bits(comfortable(scene.comfort, states, steps, every, work.series))
    fill_reach(motion, steps, work.reach)
    outcome = work.outcome
    traffic_block(scene.traffic, scene.areas, motion, seen, ttc_last_step, count, work.reach, outcome)
    red = lights_block(scene.lights, motion, work.reach) if is_v2 else 0
    advance = progress(scene.path, motion, steps, every, start_along(scene.path, motion, every, work.start))
    for n in range(count):
        to = first + n
        result[to, Column.COLLISION] = outcome[COLLISION_SCORE, n]
        events[to, 0] = outcome[COLLISION_STEP, n]
        result[to, Column.TTC] = 1.0 if outcome[AHEAD_STEP, n] == NEVER else 0.0
        events[to, 1] = outcome[AHEAD_STEP, n]
        result[to, Column.LIGHTS] = 0.0 if (red >> n) & 1 else 1.0
        result[to, Column.COMFORT] = 1.0 if (is_comfortable >> n) & 1 else 0.0
        result[to, Column.PROGRESS] = lane(advance, n)
        judge(scene, is_v2, motion, steps, n, seen, work.way, result[to])


@kernel
def take_states(states, first, block):
    """Fill a block (13, T, 8) with proposals `first .. first + 7` of states (11, T, N); the last one fills the rest."""
    last = states.shape[2] - 1
    for t in range(states.shape[1]):
        for row in range(CHANNELS):
            for n in range(WIDTH):
                block[row, t, n] = states[row, t, min(first + n, last)]
        c, s = sincos_of(block[HEADING, t, lanes_at(0)])
        block[HEADING_COS, t, lanes_at(0)] = c
        block[HEADING_SIN, t, lanes_at(0)] = s


@kernel
def sincos_of(heading):
    """(cosine, sine)."""
    s, c = sincos(heading)
    return c, s


@kernel
def score_simulated(scene, is_v2, ttc_last_step, work, first, count, result, events):
    """As `score_block`, for states that may have overflowed: progress of such a proposal is `guard.OVERFLOWED`."""
    off = bits(overflows(work.states, lanes_at(0)))
    for n in range(WIDTH if off else 0):
        if (off >> n) & 1:
            halt(work.states, n)
    score_block(scene, is_v2, ttc_last_step, work, first, count, result, events)
    for n in range(count if off else 0):
        if (off >> n) & 1:
            result[first + n, Column.PROGRESS] = OVERFLOWED


@kernel(allocates=True, nogil=True)
def score_states(states, scene, is_v2, ttc_last_step, result, events):
    """Score simulated proposals (11, T, N), global frame, in order; see `score_simulated`."""
    steps = states.shape[1]
    count = states.shape[2]
    work = work_space(steps, scene.comfort.history.shape[0])
    for first in range(0, count, WIDTH):
        take_states(states, first, work.states)
        score_simulated(scene, is_v2, ttc_last_step, work, first, min(WIDTH, count - first), result, events)

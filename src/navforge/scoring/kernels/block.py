"""Compiled scoring of proposals: eight at a time through every sub-score, all work space in the cache."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.bits import MASK_STEPS
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, aligned, all_lanes, bits, lane, lane_space, lanes_at
from navforge.geometry.trigonometry import sincos
from navforge.scoring.kernels.area import ON_ROUTE, box_leaves_drivable, in_area, in_multiple_lanes
from navforge.scoring.kernels.comfort import SERIES_ROWS, comfortable
from navforge.scoring.kernels.lights import lights_block
from navforge.scoring.kernels.lookup import CODE_ROWS, SEEN_ROWS, ever_leaves_road, look_lanes
from navforge.scoring.kernels.motion import (
    CENTER_X,
    CENTER_Y,
    COS,
    HALF_LENGTH,
    HALF_WIDTH,
    HEADING_COS,
    HEADING_SIN,
    MOTION_ROWS,
    SIN,
    place,
)
from navforge.scoring.kernels.path import driving_direction, lane_keeping, locate, progress
from navforge.scoring.kernels.reach import ReachWork, fill_reach, reach_work
from navforge.scoring.kernels.traffic import (
    AHEAD_STEP,
    COLLISION_SCORE,
    COLLISION_STEP,
    NEVER,
    OUTCOME_ROWS,
    traffic_block,
)
from navforge.simulation.rows import CHANNELS, HEADING, STATE_ROWS


class Column(IntEnum):
    """Columns of a kernel's result (N, 8)."""

    COLLISION = 0
    DRIVABLE = 1
    DIRECTION = 2
    LIGHTS = 3
    TTC = 4
    LANE = 5
    COMFORT = 6
    PROGRESS = 7
    """Raw progress, m."""


COLUMNS = len(Column)
COLLISION, DAC, DDC, TLC, TTC, LANE_KEEPING, COMFORT, PROGRESS = range(COLUMNS)


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
        found = locate(path, x, y)
        start[0] = lane(x, 0)
        start[1] = lane(y, 0)
        start[2] = lane(found, 0)
        return found
    return start[2] + 0.0 * x


@kernel
def record_areas(areas, motion, n, to, ego_areas):
    """Write (steps, 3) areas of proposal n to row `to`: several lanes, not drivable, oncoming."""
    for t in range(ego_areas.shape[1]):
        x = motion[CENTER_X, t, n]
        y = motion[CENTER_Y, t, n]
        c = motion[COS, t, n]
        s = motion[SIN, t, n]
        ego_areas[to, t, 0] = in_multiple_lanes(areas, x, y, c, s, HALF_LENGTH, HALF_WIDTH)
        ego_areas[to, t, 1] = box_leaves_drivable(areas, x, y, c, s)
        ego_areas[to, t, 2] = not in_area(areas, ON_ROUTE, x, y)


@kernel
def score_block(scene, is_v2, ttc_last_step, work, first, count, result, events, ego_areas):
    """Score the `count` first of the eight proposals whose states are in `work`, as proposals `first` and on."""
    frame, areas, path, traffic, lights, comfort = scene
    states = work.states
    motion = work.motion
    seen = work.seen
    steps = states.shape[1]
    every = lanes_at(0)
    place(states, frame, steps, every, motion)
    look_lanes(areas, path, motion, steps, is_v2, work.indices, work.codes, seen)
    is_comfortable = bits(comfortable(comfort, states, steps, every, work.series))
    fill_reach(motion, steps, work.reach)
    outcome = work.outcome
    traffic_block(traffic, areas, motion, seen, ttc_last_step, count, work.reach, outcome)
    red = lights_block(lights, motion, work.reach) if is_v2 else 0
    advance = progress(path, motion, steps, every, start_along(path, motion, every, work.start))
    for n in range(count):
        to = first + n
        left_road = ever_leaves_road(areas, motion, n, seen)
        result[to, COLLISION] = outcome[COLLISION_SCORE, n]
        events[to, 0] = outcome[COLLISION_STEP, n]
        result[to, TTC] = 1.0 if outcome[AHEAD_STEP, n] == NEVER else 0.0
        events[to, 1] = outcome[AHEAD_STEP, n]
        result[to, DAC] = 0.0 if left_road else 1.0
        result[to, DDC] = driving_direction(areas, motion, steps, is_v2, n, seen, work.way)
        result[to, TLC] = 0.0 if (red >> n) & 1 else 1.0
        result[to, LANE_KEEPING] = lane_keeping(path, areas, motion, steps, n, seen) if is_v2 else 1.0
        result[to, COMFORT] = 1.0 if (is_comfortable >> n) & 1 else 0.0
        result[to, PROGRESS] = lane(advance, n)
        if ego_areas.shape[0] > 0:
            record_areas(areas, motion, n, to, ego_areas)


@kernel
def copy_states(states, first, block):
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


@kernel(allocates=True, nogil=True)
def score_states(states, scene, is_v2, ttc_last_step, result, events, ego_areas):
    """Score simulated proposals in order.

    Args:
        states: (11, T, N), global frame.
        scene: (frame, areas, path, traffic, lights, comfort): `kernels_motion.FRAME_SIZE` numbers of the pose whose
            frame the scene's arrays are in, and those arrays (`scoring.arrays`).
        is_v2: rules of v2 (intersections forgive driving direction; lights and lane keeping count) or v1.1.
        ttc_last_step: last step from which collisions are looked for ahead.
        result: (N, 8) `Column`, written.
        events: (N, 2) first step of an at-fault collision and of a TTC violation, or NEVER; written.
        ego_areas: (N, T, 3) `EgoArea`, written; (0, T, 3) to skip.
    """
    steps = states.shape[1]
    count = states.shape[2]
    work = work_space(steps, scene[5].history.shape[0])
    for first in range(0, count, WIDTH):
        copy_states(states, first, work.states)
        score_block(scene, is_v2, ttc_last_step, work, first, min(WIDTH, count - first), result, events, ego_areas)

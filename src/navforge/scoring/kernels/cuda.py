"""What CUDA threads do: one thread per scene, per plan, or per proposal (a plan in a scene), by the CPU's functions.

Plain Python functions, compiled by `geometry.cuda.CudaKernel`. Arrays lie `(row, step, proposal)`, so that neighbouring
threads read neighbouring numbers. Proposals are numbered scene by scene, `per_scene` in each; a launch handles a
`Chunk` of them, and work space is counted from the chunk's first. Truth values are integers, as `geometry.cuda.pack`
requires.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda as numba_cuda

from navforge.geometry.lanes import WIDTH
from navforge.scoring.batch.arrays import scene_of
from navforge.scoring.kernels.comfort import comfortable
from navforge.scoring.kernels.guard import OVERFLOWED, halt, overflows
from navforge.scoring.kernels.lights import meets_red_light
from navforge.scoring.kernels.lookup import look_one
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, place
from navforge.scoring.kernels.path import locate, progress
from navforge.scoring.kernels.reach import fill_whole
from navforge.scoring.kernels.table import judge
from navforge.scoring.kernels.traffic import (
    AHEAD_STEP,
    COLLISION_SCORE,
    COLLISION_STEP,
    NEVER,
    traffic_one,
)
from navforge.scoring.metrics import Column
from navforge.simulation.interpolation import Sampling, fill_plan, fill_sampling, fill_start
from navforge.simulation.kernels.rollout import simulate_block
from navforge.simulation.tracker import STEPS

cuda: Any = numba_cuda


class Chunk(NamedTuple):
    """Which proposals a launch handles, and under what rules."""

    first: int
    size: int
    per_scene: int
    shared: int
    """Whether all scenes have the same plans."""
    is_v2: int
    ttc_last_step: int
    """Last step from which collisions are looked for ahead."""


class Starts(NamedTuple):
    """Where the plans of each scene begin."""

    state: Any
    """(S, START_SIZE) by `simulation.interpolation.fill_start`."""
    sampling: Sampling
    """Arrays (S, 41)."""
    along: Any
    """(S,) arc length of the box centre along the centreline."""


class Raw(NamedTuple):
    """Raw results of all proposals."""

    results: Any
    """(`Column`, S * N)"""
    events: Any
    """(2, S * N) first step of an at-fault collision and of a TTC violation, or NEVER."""
    overflowed: Any
    """(S * N,) whether the simulation did."""


def begin(batch, poses, interval_s, starts):
    """Each scene: where plans of `poses` poses begin, but for `along`."""
    s = cuda.grid(1)
    if s < starts.along.shape[0]:
        scene = scene_of(batch, s)
        fill_start(scene.ego_state, starts.state[s])
        upper, span_us, offset_us = starts.sampling
        fill_sampling(poses, interval_s, scene.time_us, upper[s], span_us[s], offset_us[s])


def take_knots(poses, knots):
    """Each plan: from poses (P, T, 3) to knots (block, 3, T, 8), see `simulation.interpolation.fill_knots`."""
    plan = cuda.grid(1)
    if plan < poses.shape[0]:
        fill_plan(poses, plan, knots, plan // WIDTH, plan % WIDTH)


def simulate(chunk, starts, knots, factors, work, states, raw):
    """Each proposal: states (STATE_ROWS, 41, size) of its plan, global frame; an overflowed one stands still."""
    n = cuda.grid(1)
    if n < chunk.size:
        proposal = chunk.first + n
        s = proposal // chunk.per_scene
        plan = proposal - s * chunk.per_scene if chunk.shared != 0 else proposal
        upper, span_us, offset_us = starts.sampling
        sampling = Sampling(upper[s], span_us[s], offset_us[s])
        simulate_block(knots[plan // WIDTH], plan % WIDTH, sampling, starts.state[s], factors, work, n, states)
        raw.overflowed[proposal] = overflows(states, n)
        if raw.overflowed[proposal]:
            halt(states, n)


def judge_comfort(batch, chunk, states, series, raw):
    """Each proposal: its comfort; `series` (SERIES_ROWS, H + 41, size) is work space."""
    n = cuda.grid(1)
    if n < chunk.size:
        to = chunk.first + n
        comfort = scene_of(batch, to // chunk.per_scene).comfort
        raw.results[Column.COMFORT, to] = 1.0 if comfortable(comfort, states, STEPS, n, series) else 0.0


def look(batch, chunk, states, motion, seen):
    """Each proposal: its motion (MOTION_ROWS, 41, size) and what the raster tells (SEEN_ROWS, size)."""
    n = cuda.grid(1)
    if n < chunk.size:
        scene = scene_of(batch, (chunk.first + n) // chunk.per_scene)
        place(states, scene.frame, STEPS, n, motion)
        look_one(scene.areas, scene.path, motion, STEPS, chunk.is_v2 != 0, n, seen)


def start_along(batch, chunk, motion, starts):
    """Each scene: arc length of the box centre at step 0; that of any proposal of the scene."""
    s = cuda.grid(1)
    if s < starts.along.shape[0]:
        n = max(s * chunk.per_scene, chunk.first) - chunk.first
        if n < chunk.size and n < (s + 1) * chunk.per_scene - chunk.first:
            starts.along[s] = locate(scene_of(batch, s).path, motion[CENTER_X, 0, n], motion[CENTER_Y, 0, n])


def judge_path(batch, chunk, starts, motion, seen, way, raw):
    """Each proposal: drivable area, driving direction, lane keeping, progress; `way` (41, size) is work space."""
    n = cuda.grid(1)
    if n < chunk.size:
        to = chunk.first + n
        s = to // chunk.per_scene
        scene = scene_of(batch, s)
        judge(scene, chunk.is_v2 != 0, motion, STEPS, n, seen, way, raw.results[:, to])
        advance = OVERFLOWED if raw.overflowed[to] else progress(scene.path, motion, STEPS, n, starts.along[s])
        raw.results[Column.PROGRESS, to] = advance


def judge_traffic(batch, chunk, motion, seen, whole, outcome, raw):
    """Each proposal: collisions, time to collision; `whole` (4, size) and `outcome` (3, size) are work space."""
    n = cuda.grid(1)
    if n < chunk.size:
        to = chunk.first + n
        scene = scene_of(batch, to // chunk.per_scene)
        fill_whole(motion, STEPS, n, whole)
        traffic_one(scene.traffic, scene.areas, motion, seen, chunk.ttc_last_step, whole, n, outcome)
        raw.results[Column.COLLISION, to] = outcome[COLLISION_SCORE, n]
        raw.results[Column.TTC, to] = 1.0 if outcome[AHEAD_STEP, n] == NEVER else 0.0
        raw.events[0, to] = int(outcome[COLLISION_STEP, n])
        raw.events[1, to] = int(outcome[AHEAD_STEP, n])


def judge_lights(batch, chunk, motion, raw):
    """Each proposal: red lights."""
    n = cuda.grid(1)
    if n < chunk.size:
        to = chunk.first + n
        met = False
        if chunk.is_v2 != 0:
            met = meets_red_light(scene_of(batch, to // chunk.per_scene).lights, motion, STEPS, n)
        raw.results[Column.LIGHTS, to] = 0.0 if met else 1.0

"""What CUDA threads do: one thread per scene, per plan, or per proposal (a plan in a scene), by the CPU's functions.

Plain Python functions, compiled by `geometry.cuda.CudaKernel`. Arrays lie `(row, step, proposal)`, so that neighbouring
threads read neighbouring numbers. A launch handles proposals first .. first + chunk - 1 of all scenes' proposals one
scene after the other, `per_scene` in each; work space is counted from the chunk's first proposal. Truth values are
integers, as `geometry.cuda.pack` wants them.
"""

from __future__ import annotations

from typing import Any

from numba import cuda as numba_cuda

from navforge.geometry.lanes import WIDTH
from navforge.scoring.batch.arrays import scene_of
from navforge.scoring.kernels.comfort import comfortable
from navforge.scoring.kernels.guard import OVERFLOWED, halt, overflows
from navforge.scoring.kernels.lights import meets_red_light
from navforge.scoring.kernels.lookup import look_one
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, place
from navforge.scoring.kernels.path import locate, progress
from navforge.scoring.kernels.reach import whole_of
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


def begin(batch, scenes, count, interval_s, start, upper, span_us, offset_us):
    """Each scene: where plans begin, (S, START_SIZE), and the members of `Sampling`, each (S, 41)."""
    s = cuda.grid(1)
    if s < scenes:
        scene = scene_of(batch, s)
        fill_start(scene.ego_state, start[s])
        fill_sampling(count, interval_s, scene.time_us, upper[s], span_us[s], offset_us[s])


def take_knots(poses, knots):
    """Each plan: from poses (P, T, 3) to knots (block, 3, T, 8), see `simulation.interpolation.fill_knots`."""
    plan = cuda.grid(1)
    if plan < poses.shape[0]:
        fill_plan(poses, plan, knots, plan // WIDTH, plan % WIDTH)


def simulate(start, upper, span_us, offset_us, knots, per_scene, shared, factors, first, chunk, work, states, off):
    """Each proposal: states (STATE_ROWS, 41, chunk) of its plan, global frame; plans are shared by scenes or not.

    `off` (S * N,) says which simulations overflowed; their proposals stand still.
    """
    n = cuda.grid(1)
    if n < chunk:
        proposal = first + n
        s = proposal // per_scene
        plan = proposal - s * per_scene if shared else proposal
        sampling = Sampling(upper[s], span_us[s], offset_us[s])
        simulate_block(knots[plan // WIDTH], plan % WIDTH, sampling, start[s], factors, work, n, states)
        off[proposal] = overflows(states, n)
        if off[proposal]:
            halt(states, n)


def judge_comfort(batch, per_scene, first, chunk, states, series, results):
    """Each proposal: its comfort; `series` (SERIES_ROWS, H + 41, chunk) is work space."""
    n = cuda.grid(1)
    if n < chunk:
        scene = scene_of(batch, (first + n) // per_scene)
        results[Column.COMFORT, first + n] = 1.0 if comfortable(scene.comfort, states, STEPS, n, series) else 0.0


def look(batch, per_scene, is_v2, first, chunk, states, motion, seen):
    """Each proposal: its motion (MOTION_ROWS, 41, chunk) and what the raster tells (SEEN_ROWS, chunk)."""
    n = cuda.grid(1)
    if n < chunk:
        scene = scene_of(batch, (first + n) // per_scene)
        place(states, scene.frame, STEPS, n, motion)
        look_one(scene.areas, scene.path, motion, STEPS, is_v2 != 0, n, seen)


def start_along(batch, scenes, per_scene, first, chunk, motion, along):
    """Each scene: arc length of the box centre at step 0, (S,); that of any proposal of the scene."""
    s = cuda.grid(1)
    if s < scenes:
        n = max(s * per_scene, first) - first
        if n < chunk and n < (s + 1) * per_scene - first:
            along[s] = locate(scene_of(batch, s).path, motion[CENTER_X, 0, n], motion[CENTER_Y, 0, n])


def judge_path(batch, per_scene, is_v2, first, chunk, motion, seen, way, along, off, results):
    """Each proposal: drivable area, driving direction, lane keeping, progress; `way` (41, chunk) is work space."""
    n = cuda.grid(1)
    if n < chunk:
        to = first + n
        s = to // per_scene
        scene = scene_of(batch, s)
        judge(scene, is_v2 != 0, motion, STEPS, n, seen, way, results[:, to])
        results[Column.PROGRESS, to] = OVERFLOWED if off[to] else progress(scene.path, motion, STEPS, n, along[s])


def judge_traffic(batch, per_scene, ttc_last_step, first, chunk, motion, seen, whole, outcome, results, events):
    """Each proposal: collisions, time to collision; `whole` (4, chunk) and `outcome` (3, chunk) are work space."""
    n = cuda.grid(1)
    if n < chunk:
        to = first + n
        scene = scene_of(batch, to // per_scene)
        whole_of(motion, STEPS, n, whole)
        traffic_one(scene.traffic, scene.areas, motion, seen, ttc_last_step, whole, n, outcome)
        results[Column.COLLISION, to] = outcome[COLLISION_SCORE, n]
        results[Column.TTC, to] = 1.0 if outcome[AHEAD_STEP, n] == NEVER else 0.0
        events[0, to] = int(outcome[COLLISION_STEP, n])
        events[1, to] = int(outcome[AHEAD_STEP, n])


def judge_lights(batch, per_scene, is_v2, first, chunk, motion, results):
    """Each proposal: red lights."""
    n = cuda.grid(1)
    if n < chunk:
        met = False
        if is_v2 != 0:
            met = meets_red_light(scene_of(batch, (first + n) // per_scene).lights, motion, STEPS, n)
        results[Column.LIGHTS, first + n] = 0.0 if met else 1.0

"""Compiled scoring of many scenes on a CPU: one call scores a list of items, each some proposals of one scene."""

from __future__ import annotations

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, aligned, lanes_at
from navforge.scoring.batch.arrays import scene_of
from navforge.scoring.kernels.block import score_simulated, work_space
from navforge.simulation.interpolation import Sampling, fill_knots, fill_sampling, fill_start
from navforge.simulation.kernels.rollout import simulate_block
from navforge.simulation.rows import START_SIZE, WORK_ROWS, WORK_STEPS
from navforge.simulation.tracker import STEPS

# Columns of items (K, 4).
SCENE, FIRST_PLAN, FIRST_RESULT, COUNT = range(4)
ITEM_COLUMNS = 4


@kernel(nogil=True, allocates=True)
def score_items(batch, items, first, last, poses, interval_s, factors, is_v2, ttc_last_step, results, events):
    """Score the plans of items first .. last - 1; progress of a plan whose simulation overflows is NaN.

    Args:
        batch: `scoring.batch.arrays.BatchArrays`.
        items: (K, 4) scene, first plan, first result, number of plans.
        first: item.
        last: one past the last item.
        poses: (P, T, 3) plans, ego frame.
        interval_s: time between poses.
        factors: `simulation.tracker.speed_factors`.
        is_v2: rules of v2 or v1.1.
        ttc_last_step: last step from which collisions are looked for ahead.
        results: (R, `Column`), rows of these items written.
        events: (R, 2), likewise.
    """
    sampling = Sampling(np.empty(STEPS, np.int64), np.empty(STEPS), np.empty(STEPS))
    start = np.empty(START_SIZE)
    tracking = aligned(WORK_ROWS * WORK_STEPS * WIDTH).reshape(WORK_ROWS, WORK_STEPS, WIDTH)
    knots = aligned(3 * poses.shape[1] * WIDTH).reshape(1, 3, poses.shape[1], WIDTH)
    for k in range(first, last):
        scene = scene_of(batch, items[k, SCENE])
        work = work_space(STEPS, scene.comfort.history.shape[0])
        fill_start(scene.ego_state, start)
        fill_sampling(poses.shape[1], interval_s, scene.time_us, sampling.upper, sampling.span_us, sampling.offset_us)
        for done in range(0, items[k, COUNT], WIDTH):
            plan, to = items[k, FIRST_PLAN] + done, items[k, FIRST_RESULT] + done
            count = min(WIDTH, items[k, COUNT] - done)
            fill_knots(poses[plan : plan + count], knots)
            simulate_block(knots[0], lanes_at(0), sampling, start, factors, tracking, lanes_at(0), work.states)
            score_simulated(scene, is_v2, ttc_last_step, work, to, count, results, events)

"""Compiled sub-scores along the route: progress, driving direction, lane keeping."""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import locate_along, segment_distance_squared
from navforge.scoring.arrays import PATH_BLOCK
from navforge.scoring.kernels_area import INTERSECTION, in_area
from navforge.scoring.kernels_traffic import CENTER_X, CENTER_Y, ONCOMING

DIRECTION_HORIZON_STEPS = 10
DIRECTION_COMPLIANT_M = 2.0
DIRECTION_VIOLATED_M = 6.0
LANE_DEVIATION_M = 0.5
LANE_DEVIATION_STEPS = 20


@kernel
def progress(path, motion, steps):
    """Advance of the box centre along the centreline from the first to the last step, m, at least 0."""
    start = locate_along(path.xy, path.length_before, motion[CENTER_X, 0], motion[CENTER_Y, 0])
    end = locate_along(path.xy, path.length_before, motion[CENTER_X, steps - 1], motion[CENTER_Y, steps - 1])
    return max(end - start, 0.0)


@kernel
def beyond(path, x, y, limit):
    """Whether a point is farther than `limit` from the centreline."""
    limit_squared = limit * limit
    segments = path.xy.shape[0] - 1
    for block in range(path.block.shape[0]):
        dx = path.block[block, 0] - x
        dy = path.block[block, 1] - y
        reach = path.block[block, 2] + limit
        if dx * dx + dy * dy > reach * reach:
            continue
        for i in range(block * PATH_BLOCK, min((block + 1) * PATH_BLOCK, segments)):
            if (
                segment_distance_squared(path.xy[i, 0], path.xy[i, 1], path.xy[i + 1, 0], path.xy[i + 1, 1], x, y)
                <= limit_squared
            ):
                return False
    return True


@kernel
def lane_keeping(path, areas, motion, steps):
    """0 if the centre is over 0.5 m off the centreline for 20 steps in a row, else 1; steps in intersections skipped.

    20 of 41 steps in a row include step 19 or 21, so a plan that keeps its lane at both passes at once.
    """
    if steps <= 2 * LANE_DEVIATION_STEPS + 1 and (
        on_lane(path, areas, motion, LANE_DEVIATION_STEPS - 1)
        and on_lane(path, areas, motion, steps - LANE_DEVIATION_STEPS)
    ):
        return 1.0
    run = 0
    for t in range(steps):
        x = motion[CENTER_X, t]
        y = motion[CENTER_Y, t]
        off = beyond(path, x, y, LANE_DEVIATION_M)
        if not off and run == 0:
            continue
        if in_area(areas, INTERSECTION, x, y):
            continue
        run = run + 1 if off else 0
        if run >= LANE_DEVIATION_STEPS:
            return 0.0
    return 1.0


@kernel
def on_lane(path, areas, motion, t):
    """Whether the centre is near the centreline at step t, outside intersections: such a step ends a run."""
    x = motion[CENTER_X, t]
    y = motion[CENTER_Y, t]
    return not beyond(path, x, y, LANE_DEVIATION_M) and not in_area(areas, INTERSECTION, x, y)


@kernel
def driving_direction(areas, motion, flags, steps, forgive_intersections, way):
    """1, 0.5 or 0 by the longest way within 1 s (11 steps) driven off the route's lanes: < 2 m, < 6 m, or more.

    `way` (T,) is work space: the way of each step that counts.
    """
    total = 0.0
    way[0] = 0.0
    for t in range(1, steps):
        way[t] = 0.0
        if flags[t] & ONCOMING:
            way[t] = math.hypot(
                motion[CENTER_X, t] - motion[CENTER_X, t - 1], motion[CENTER_Y, t] - motion[CENTER_Y, t - 1]
            )
            total += way[t]
    if total < DIRECTION_COMPLIANT_M:
        return 1.0
    worst = 0.0
    for t in range(steps):
        if (
            forgive_intersections
            and way[t] > 0.0
            and in_area(areas, INTERSECTION, motion[CENTER_X, t], motion[CENTER_Y, t])
        ):
            way[t] = 0.0
        window = 0.0
        for k in range(max(0, t - DIRECTION_HORIZON_STEPS), t + 1):
            window += way[k]
        worst = max(worst, window)
    if worst < DIRECTION_COMPLIANT_M:
        return 1.0
    return 0.5 if worst < DIRECTION_VIOLATED_M else 0.0

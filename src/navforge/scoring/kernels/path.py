"""Compiled sub-scores along the route: progress, driving direction, lane keeping."""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.bits import lowest
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import any_lane, larger, select, smaller
from navforge.scoring.arrays import PATH_BLOCK
from navforge.scoring.kernels.area import cell_of
from navforge.scoring.kernels.lookup import (
    CROSSING_SURE,
    NEAR_OPEN,
    ON_ROUTE_SURE,
    in_crossing,
    on_route,
)
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y

DIRECTION_HORIZON_STEPS = 10
"""Steps of 0.1 s; `PDMScorerConfig.driving_direction_horizon` (1 s)."""
DIRECTION_COMPLIANT_M = 2.0
"""m; `PDMScorerConfig.driving_direction_compliance_threshold`."""
DIRECTION_VIOLATED_M = 6.0
"""m; `PDMScorerConfig.driving_direction_violation_threshold`."""
LANE_DEVIATION_M = 0.5
"""m; `PDMScorerConfig.lane_keeping_deviation_limit` (Hydra-MDP++)."""
LANE_DEVIATION_STEPS = 20
"""Steps of 0.1 s; `PDMScorerConfig.lane_keeping_horizon_window` (2 s)."""
# Columns of `PathArrays.segment`.
START_X, START_Y, ALONG_X, ALONG_Y, INVERSE_SQUARE, LENGTH, BEFORE = range(7)
SEGMENT_COLUMNS = 7
MAX_RUNS = 254
"""Runs of segments that the byte of a cell can tell apart."""


@kernel
def segment_gap(segment, i, x, y):
    """(squared distance of a point to segment i, share of the segment at the nearest point)."""
    px = x - segment[i, START_X]
    py = y - segment[i, START_Y]
    ux = segment[i, ALONG_X]
    uy = segment[i, ALONG_Y]
    share = (px * ux + py * uy) * segment[i, INVERSE_SQUARE]
    share = smaller(larger(share, 0.0), 1.0)
    dx = px - share * ux
    dy = py - share * uy
    return dx * dx + dy * dy, share


@kernel
def locate(path, x, y):
    """Arc length (m) of the point of the centreline nearest to (x, y); the first one if several are.

    A block of segments is passed over where its circle is farther than the nearest of the blocks' first vertices. As
    GEOS' `LengthIndexOfPoint`, which is shapely's `project`.
    """
    segment = path.segment
    block = path.block
    nearest = math.inf + 0.0 * x
    for b in range(block.shape[0]):
        dx = x - segment[b * PATH_BLOCK, START_X]
        dy = y - segment[b * PATH_BLOCK, START_Y]
        nearest = smaller(nearest, dx * dx + dy * dy)
    bound = math.sqrt(nearest)
    best = math.inf + 0.0 * x
    measure = 0.0 * x
    for b in range(block.shape[0]):
        dx = x - block[b, 0]
        dy = y - block[b, 1]
        reach = bound + block[b, 2]
        if any_lane(dx * dx + dy * dy <= reach * reach):
            for i in range(b * PATH_BLOCK, min((b + 1) * PATH_BLOCK, segment.shape[0])):
                gap, share = segment_gap(segment, i, x, y)
                nearer = gap < best
                best = select(nearer, gap, best)
                measure = select(nearer, segment[i, BEFORE] + share * segment[i, LENGTH], measure)
    return measure


@kernel
def progress(path, motion, steps, n, start):
    """Advance of the box centre along the centreline from arc length `start` to the last step, m, at least 0."""
    return larger(locate(path, motion[CENTER_X, steps - 1, n], motion[CENTER_Y, steps - 1, n]) - start, 0.0)


@kernel
def near_path(path, areas, x, y):
    """Whether a point is at most 0.5 m from the centreline; only segments that reach the point's cell are asked."""
    cell = int(cell_of(areas, x, y))
    first = path.near_first[cell]
    if first == 0:
        return False
    i = (np.int64(first) - 1) * path.near_unit
    end = min(path.near_last[cell] * path.near_unit, path.segment.shape[0])
    while i < end:
        b = i // PATH_BLOCK
        block_end = min((b + 1) * PATH_BLOCK, end)
        dx = x - path.block[b, 0]
        dy = y - path.block[b, 1]
        reach = path.block[b, 2] + LANE_DEVIATION_M
        if dx * dx + dy * dy <= reach * reach:
            while i < block_end:
                gap, _ = segment_gap(path.segment, i, x, y)
                if gap <= LANE_DEVIATION_M * LANE_DEVIATION_M:
                    return True
                i += 1
        i = block_end
    return False


@kernel
def on_lane(path, areas, motion, t, n, seen):
    """Whether the centre is near the centreline at step t; tested once."""
    at = 1 << t
    if not seen[NEAR_OPEN, n] & at:
        return False
    if near_path(path, areas, motion[CENTER_X, t, n], motion[CENTER_Y, t, n]):
        return True
    seen[NEAR_OPEN, n] &= ~at
    return False


@kernel
def lane_keeping(path, areas, motion, steps, n, seen):
    """0 if the centre is over 0.5 m off the centreline for 20 steps in a row, else 1; steps in intersections skipped.

    20 of 41 steps in a row include step 19 or 21, so a plan that keeps its lane at both, outside intersections, passes
    at once.
    """
    ended = 0
    if steps <= 2 * LANE_DEVIATION_STEPS + 1:
        for t in (LANE_DEVIATION_STEPS - 1, steps - LANE_DEVIATION_STEPS):
            if on_lane(path, areas, motion, t, n, seen) and not in_crossing(areas, motion, t, n, seen):
                ended += 1
        if ended == 2:
            return 1.0
    run = 0
    for t in range(steps):
        if steps - t + run < LANE_DEVIATION_STEPS:
            return 1.0
        at = 1 << t
        if seen[CROSSING_SURE, n] & at:
            continue
        off = not on_lane(path, areas, motion, t, n, seen)
        if not off and run == 0:
            continue
        if in_crossing(areas, motion, t, n, seen):
            continue
        run = run + 1 if off else 0
        if run >= LANE_DEVIATION_STEPS:
            return 0.0
    return 1.0


@kernel
def step_length(motion, t, n):
    """Way of the box centre from step t - 1 to step t, m."""
    dx = motion[CENTER_X, t, n] - motion[CENTER_X, t - 1, n]
    dy = motion[CENTER_Y, t, n] - motion[CENTER_Y, t - 1, n]
    return math.sqrt(dx * dx + dy * dy)


@kernel
def driving_direction(areas, motion, steps, forgive_intersections, n, seen, way):
    """1, 0.5 or 0 by the longest way within 1 s (11 steps) driven off the route's lanes: < 2 m, < 6 m, or more.

    Nothing is tested exactly where all that the raster leaves open could not add up to 2 m. `way` (T, N) is work
    space: the way of each step that counts.
    """
    perhaps = ((1 << steps) - 2) & ~seen[ON_ROUTE_SURE, n]
    if forgive_intersections:
        perhaps &= ~seen[CROSSING_SURE, n]
    total = 0.0
    rest = perhaps
    while rest != 0:
        t = lowest(rest)
        rest &= rest - 1
        total += step_length(motion, t, n)
    if total < DIRECTION_COMPLIANT_M:
        return 1.0
    for t in range(steps):
        way[t, n] = 0.0
    rest = perhaps
    while rest != 0:
        t = lowest(rest)
        rest &= rest - 1
        if on_route(areas, motion, t, n, seen):
            continue
        if forgive_intersections and in_crossing(areas, motion, t, n, seen):
            continue
        way[t, n] = step_length(motion, t, n)
    worst = 0.0
    for t in range(1, steps):
        window = 0.0
        for k in range(max(0, t - DIRECTION_HORIZON_STEPS), t + 1):
            window += way[k, n]
        worst = max(worst, window)
    if worst < DIRECTION_COMPLIANT_M:
        return 1.0
    return 0.5 if worst < DIRECTION_VIOLATED_M else 0.0


@kernel
def fill_segments(xy, margin, segment, block):
    """Fill `PathArrays.segment` and `PathArrays.block` from vertices (M, 2); circles get `margin` m of slack."""
    before = 0.0
    for i in range(segment.shape[0]):
        ux = xy[i + 1, 0] - xy[i, 0]
        uy = xy[i + 1, 1] - xy[i, 1]
        square = ux * ux + uy * uy
        length = math.sqrt(square)
        inverse = 1.0 / square if square > 0.0 else 0.0
        if not math.isfinite(inverse):
            ux, uy, length, inverse = 0.0, 0.0, 0.0, 0.0
        segment[i, START_X] = xy[i, 0]
        segment[i, START_Y] = xy[i, 1]
        segment[i, ALONG_X] = ux
        segment[i, ALONG_Y] = uy
        segment[i, INVERSE_SQUARE] = inverse
        segment[i, LENGTH] = length
        segment[i, BEFORE] = before
        before += length
    for b in range(block.shape[0]):
        first = b * PATH_BLOCK
        last = min(first + PATH_BLOCK, segment.shape[0])
        low_x, low_y, high_x, high_y = xy[first, 0], xy[first, 1], xy[first, 0], xy[first, 1]
        for i in range(first + 1, last + 1):
            low_x = min(low_x, xy[i, 0])
            low_y = min(low_y, xy[i, 1])
            high_x = max(high_x, xy[i, 0])
            high_y = max(high_y, xy[i, 1])
        x = 0.5 * (low_x + high_x)
        y = 0.5 * (low_y + high_y)
        reach = 0.0
        for i in range(first, last + 1):
            reach = max(reach, math.hypot(xy[i, 0] - x, xy[i, 1] - y))
        block[b, 0] = x
        block[b, 1] = y
        block[b, 2] = reach + margin


@kernel
def fill_near(segment, grid, rows, columns, unit, margin, first, last):
    """Runs of `unit` segments that come within 0.5 m of some point of a raster cell: first and last, counted from 1.

    Args:
        segment: `PathArrays.segment`.
        grid: (3,) x, y of the raster's lower corner and side of its cells, m.
        rows: of the raster.
        columns: of the raster.
        unit: segments per run.
        margin: m of slack against rounding.
        first: (rows * columns,) uint8, written; 0 where no segment is near. Cells of the border get all runs, since
            points outside the raster look there.
        last: (rows * columns,) uint8, written.
    """
    side = grid[2]
    reach = LANE_DEVIATION_M + side * math.sqrt(0.5) + margin
    first[:] = 0
    last[:] = 0
    runs = (segment.shape[0] - 1) // unit + 1
    for i in range(segment.shape[0]):
        ax = segment[i, START_X]
        ay = segment[i, START_Y]
        bx = ax + segment[i, ALONG_X]
        by = ay + segment[i, ALONG_Y]
        left = max(math.floor((min(ax, bx) - reach - grid[0]) / side), 0)
        right = min(math.floor((max(ax, bx) + reach - grid[0]) / side), columns - 1)
        low = max(math.floor((min(ay, by) - reach - grid[1]) / side), 0)
        high = min(math.floor((max(ay, by) + reach - grid[1]) / side), rows - 1)
        for row in range(low, high + 1):
            y = grid[1] + (row + 0.5) * side
            for column in range(left, right + 1):
                gap, _ = segment_gap(segment, i, grid[0] + (column + 0.5) * side, y)
                if gap <= reach * reach:
                    cell = row * columns + column
                    last[cell] = i // unit + 1
                    if first[cell] == 0:
                        first[cell] = i // unit + 1
    for row in range(rows):
        for column in range(columns):
            if row in (0, rows - 1) or column in (0, columns - 1):
                first[row * columns + column] = 1
                last[row * columns + column] = runs

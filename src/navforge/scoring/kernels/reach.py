"""Where eight proposals may be, as bounds by windows of steps: what decides that an object need not be looked at.

Window w holds the steps from `WINDOW_STEPS` * w on. A box looked ahead by k look-aheads from a step of window w belongs
to window w + k, because a look-ahead takes as many steps as a window has.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.bits import lowest
from navforge.geometry.compiled import kernel
from navforge.geometry.lane_reductions import row_maxima, row_minima
from navforge.geometry.lanes import WIDTH, aligned, bits, lane, lane_space, lanes_at, larger, smaller
from navforge.scoring.arrays import MAX_TRAFFIC_STEPS, WINDOW_STEPS
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, COS, HALF_LENGTH, HALF_WIDTH, SIN, SPEED
from navforge.simulation.tracker import STEP_S, STEPS

Float = NDArray[np.float64]

LOOK_AHEADS = 4
"""0, 0.3, 0.6 and 0.9 s ahead: every third step within `PDMScorerConfig.future_collision_horizon_window` (1 s)."""
LOOK_AHEAD_STEPS = WINDOW_STEPS
LOOK_AHEAD_S = LOOK_AHEAD_STEPS * STEP_S

# Rows of bounds; the last four are bounds of the way of one look-ahead.
LOW_X, LOW_Y, HIGH_X, HIGH_Y, WAY_LOW_X, WAY_LOW_Y, WAY_HIGH_X, WAY_HIGH_Y = range(8)
EGO_WINDOWS = 16
REACH_WINDOWS = 24
BEFORE = WIDTH
"""Windows of nothing in front of a block's own: at least LOOK_AHEADS - 1."""
WINDOW_MASK = (1 << WINDOW_STEPS) - 1


class ReachWork(NamedTuple):
    """Work space of `fill_reach`; made by `reach_work`."""

    spread: Float
    """(8, 16, 8) bounds of each proposal's box by window, and of its way."""
    own: Float
    """(8, 8 + 24) the same over the eight proposals, after eight windows of nothing."""
    reach: Float
    """(4, 24) bounds of all boxes by window, those looked ahead included."""
    whole: Float
    """(4,) bounds of all boxes."""


@kernel(allocates=True)
def reach_work():
    """Work space for `fill_reach`."""
    rows = 2 * WAY_LOW_X
    spread = lane_space(rows, EGO_WINDOWS)
    own = aligned(rows * (BEFORE + REACH_WINDOWS)).reshape(rows, BEFORE + REACH_WINDOWS)
    for row in range(rows):
        nothing = 0.0
        if row < HIGH_X:
            nothing = math.inf
        elif row < WAY_LOW_X:
            nothing = -math.inf
        spread[row] = nothing
        own[row] = nothing
    reach = aligned(WAY_LOW_X * REACH_WINDOWS).reshape(WAY_LOW_X, REACH_WINDOWS)
    return ReachWork(spread, own, reach, np.zeros(WAY_LOW_X))


@kernel
def spread_of(motion, steps, n, spread):
    """Bounds of proposal n (or of eight) by window: `spread` (8, windows, N); steps beyond the last are left alone."""
    for w in range((steps + WINDOW_STEPS - 1) // WINDOW_STEPS):
        low_x = math.inf
        low_y = math.inf
        high_x = -math.inf
        high_y = -math.inf
        way_low_x = math.inf
        way_low_y = math.inf
        way_high_x = -math.inf
        way_high_y = -math.inf
        for t in range(w * WINDOW_STEPS, min((w + 1) * WINDOW_STEPS, steps)):
            x = motion[CENTER_X, t, n]
            y = motion[CENTER_Y, t, n]
            c = motion[COS, t, n]
            s = motion[SIN, t, n]
            reach_x = abs(c) * HALF_LENGTH + abs(s) * HALF_WIDTH
            reach_y = abs(s) * HALF_LENGTH + abs(c) * HALF_WIDTH
            way = motion[SPEED, t, n] * LOOK_AHEAD_S
            way_x = c * way
            way_y = s * way
            low_x = smaller(x - reach_x, low_x)
            low_y = smaller(y - reach_y, low_y)
            high_x = larger(x + reach_x, high_x)
            high_y = larger(y + reach_y, high_y)
            way_low_x = smaller(way_x, way_low_x)
            way_low_y = smaller(way_y, way_low_y)
            way_high_x = larger(way_x, way_high_x)
            way_high_y = larger(way_y, way_high_y)
        spread[LOW_X, w, n] = low_x
        spread[LOW_Y, w, n] = low_y
        spread[HIGH_X, w, n] = high_x
        spread[HIGH_Y, w, n] = high_y
        spread[WAY_LOW_X, w, n] = way_low_x
        spread[WAY_LOW_Y, w, n] = way_low_y
        spread[WAY_HIGH_X, w, n] = way_high_x
        spread[WAY_HIGH_Y, w, n] = way_high_y


@kernel
def fill_reach(motion, steps, work):
    """Bounds of the eight proposals of a block; `motion` (7, T, 8), T at most 48."""
    spread = work.spread
    own = work.own
    reach = work.reach
    spread_of(motion, steps, lanes_at(0), spread)
    for first in range(0, EGO_WINDOWS, WIDTH):
        at = lanes_at(BEFORE + first)
        own[LOW_X, at] = row_minima(spread, LOW_X, first)
        own[LOW_Y, at] = row_minima(spread, LOW_Y, first)
        own[HIGH_X, at] = row_maxima(spread, HIGH_X, first)
        own[HIGH_Y, at] = row_maxima(spread, HIGH_Y, first)
        own[WAY_LOW_X, at] = row_minima(spread, WAY_LOW_X, first)
        own[WAY_LOW_Y, at] = row_minima(spread, WAY_LOW_Y, first)
        own[WAY_HIGH_X, at] = row_maxima(spread, WAY_HIGH_X, first)
        own[WAY_HIGH_Y, at] = row_maxima(spread, WAY_HIGH_Y, first)
    all_low_x = math.inf
    all_low_y = math.inf
    all_high_x = -math.inf
    all_high_y = -math.inf
    for first in range(0, REACH_WINDOWS, WIDTH):
        low_x = math.inf
        low_y = math.inf
        high_x = -math.inf
        high_y = -math.inf
        for look in range(LOOK_AHEADS):
            at = lanes_at(BEFORE + first - look)
            low_x = smaller(own[LOW_X, at] + own[WAY_LOW_X, at] * look, low_x)
            low_y = smaller(own[LOW_Y, at] + own[WAY_LOW_Y, at] * look, low_y)
            high_x = larger(own[HIGH_X, at] + own[WAY_HIGH_X, at] * look, high_x)
            high_y = larger(own[HIGH_Y, at] + own[WAY_HIGH_Y, at] * look, high_y)
        reach[LOW_X, lanes_at(first)] = low_x
        reach[LOW_Y, lanes_at(first)] = low_y
        reach[HIGH_X, lanes_at(first)] = high_x
        reach[HIGH_Y, lanes_at(first)] = high_y
        all_low_x = smaller(low_x, all_low_x)
        all_low_y = smaller(low_y, all_low_y)
        all_high_x = larger(high_x, all_high_x)
        all_high_y = larger(high_y, all_high_y)
    whole = work.whole
    whole[LOW_X] = lane(all_low_x, 0)
    whole[LOW_Y] = lane(all_low_y, 0)
    whole[HIGH_X] = lane(all_high_x, 0)
    whole[HIGH_Y] = lane(all_high_y, 0)
    for n in range(1, WIDTH):
        whole[LOW_X] = min(whole[LOW_X], lane(all_low_x, n))
        whole[LOW_Y] = min(whole[LOW_Y], lane(all_low_y, n))
        whole[HIGH_X] = max(whole[HIGH_X], lane(all_high_x, n))
        whole[HIGH_Y] = max(whole[HIGH_Y], lane(all_high_y, n))


@kernel
def fill_whole(motion, steps, n, whole):
    """Bounds of all boxes of proposal n, those looked ahead included: `whole` (4, N)."""
    low_x = math.inf
    low_y = math.inf
    high_x = -math.inf
    high_y = -math.inf
    for t in range(steps):
        x = motion[CENTER_X, t, n]
        y = motion[CENTER_Y, t, n]
        c = motion[COS, t, n]
        s = motion[SIN, t, n]
        reach_x = abs(c) * HALF_LENGTH + abs(s) * HALF_WIDTH
        reach_y = abs(s) * HALF_LENGTH + abs(c) * HALF_WIDTH
        way = motion[SPEED, t, n] * ((LOOK_AHEADS - 1) * LOOK_AHEAD_S)
        low_x = smaller(smaller(x, x + c * way) - reach_x, low_x)
        low_y = smaller(smaller(y, y + s * way) - reach_y, low_y)
        high_x = larger(larger(x, x + c * way) + reach_x, high_x)
        high_y = larger(larger(y, y + s * way) + reach_y, high_y)
    whole[LOW_X, n] = low_x
    whole[LOW_Y, n] = low_y
    whole[HIGH_X, n] = high_x
    whole[HIGH_Y, n] = high_y


@kernel
def near_objects(traffic, group, work):
    """Bit k says that object 8 * group + k may come near at some step."""
    bounds = traffic.bounds
    whole = work.whole
    at = lanes_at(0)
    return bits(
        (bounds[group, LOW_X, at] <= whole[HIGH_X])
        & (bounds[group, LOW_Y, at] <= whole[HIGH_Y])
        & (bounds[group, HIGH_X, at] >= whole[LOW_X])
        & (bounds[group, HIGH_Y, at] >= whole[LOW_Y])
    )


@kernel
def near_steps(traffic, o, work):
    """Time mask of the steps of object o at which it may meet a box of the block, looked ahead or not."""
    windows = traffic.windows
    reach = work.reach
    near = 0
    for first in range(0, windows.shape[2], WIDTH):
        at = lanes_at(first)
        near |= (
            bits(
                (windows[o, LOW_X, at] <= reach[HIGH_X, at])
                & (windows[o, LOW_Y, at] <= reach[HIGH_Y, at])
                & (windows[o, HIGH_X, at] >= reach[LOW_X, at])
                & (windows[o, HIGH_Y, at] >= reach[LOW_Y, at])
            )
            << first
        )
    return steps_of(near) & traffic.present[o]


@kernel
def near_steps_here(bounds, p, work):
    """Time mask of the steps at which a box of the block, not looked ahead, may meet something that stands still.

    Its bounds are `bounds[p]` (low x, low y, high x, high y).
    """
    own = work.own
    near = 0
    for first in range(0, EGO_WINDOWS, WIDTH):
        at = lanes_at(BEFORE + first)
        near |= (
            bits(
                (own[LOW_X, at] <= bounds[p, HIGH_X])
                & (own[LOW_Y, at] <= bounds[p, HIGH_Y])
                & (own[HIGH_X, at] >= bounds[p, LOW_X])
                & (own[HIGH_Y, at] >= bounds[p, LOW_Y])
            )
            << first
        )
    return steps_of(near)


@kernel
def steps_of(windows):
    """Time mask of all steps of the windows in a mask of windows."""
    steps = 0
    while windows != 0:
        w = lowest(windows)
        windows &= windows - 1
        steps |= WINDOW_MASK << (w * WINDOW_STEPS)
    return steps


assert REACH_WINDOWS * WINDOW_STEPS >= MAX_TRAFFIC_STEPS
assert EGO_WINDOWS * WINDOW_STEPS >= STEPS

"""Compiled sub-scores against other road users: collisions at fault and time to collision.

What decides about an object is the first step at which the ego meets it: at fault or not, ahead or not; a meeting
that is forgiven is forgiven for good. So objects are looked at one after the other, in any order, the steps of each in
order; results are the least step over objects. Collisions and time to collision forgive separately.

`meet_object` is written once, for eight proposals (`geometry.lanes`) and for one (a CUDA thread).
"""

from __future__ import annotations

import math

from navforge.geometry.bits import lowest
from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import boxes_overlap
from navforge.geometry.lanes import any_lane, bits, inverted, lanes_at, select, smaller
from navforge.scoring.kernels.area import INTERSECTION, in_area
from navforge.scoring.kernels.lookup import leaves_lane
from navforge.scoring.kernels.motion import (
    CENTER_X,
    CENTER_Y,
    COS,
    HALF_LENGTH,
    HALF_WIDTH,
    REAR_X,
    REAR_Y,
    SIN,
    SPEED,
)
from navforge.scoring.kernels.reach import (
    HIGH_X,
    HIGH_Y,
    LOOK_AHEAD_STEPS,
    LOOK_AHEADS,
    LOW_X,
    LOW_Y,
    near_objects,
    near_steps,
)
from navforge.simulation.tracker import STEP_S

EGO_RADIUS_M = math.hypot(HALF_LENGTH, HALF_WIDTH)
"""m; half the diagonal of the ego's box."""
STOPPED_EGO_SPEED_MPS = 0.05
"""m/s; `stopped_speed_threshold` (5e-02) of `get_collision_type`: an ego no faster is never at fault."""
TTC_STOPPED_SPEED_MPS = 0.005
"""m/s; `PDMScorerConfig.stopped_speed_threshold` (5e-03): a slower ego has no time to collision."""
AHEAD_RAD = math.radians(30.0)
"""rad; `angle_tolerance` of nuPlan's `is_agent_ahead`."""
BEHIND_RAD = math.radians(150.0)
"""rad; `angle_tolerance` of nuPlan's `is_agent_behind`."""
AHEAD_COS = math.cos(AHEAD_RAD)
BEHIND_COS = math.cos(BEHIND_RAD)
NEVER = -1
STATIC_COLLISION_SCORE = 0.5
"""Score of a collision at fault with an object that is not an agent; `PDMScorer._calculate_no_at_fault_collision`."""

# Rows of `outcome` (rows, N): collision score, first step of a collision at fault, first step that violates time to
# collision; steps are NEVER at the end, infinite while objects are looked at.
COLLISION_SCORE, COLLISION_STEP, AHEAD_STEP = range(3)
OUTCOME_ROWS = 3


@kernel
def meets(traffic, o, u, x, y, c, s):
    """Whether the box of object o at step u and the ego's box at (x, y) share a point."""
    track = traffic.track
    dx = track[o, u, 0] - x
    dy = track[o, u, 1] - y
    near = dx * dx + dy * dy <= traffic.reach_squared[o]
    if not any_lane(near):
        return near
    return boxes_overlap(
        dx,
        dy,
        c,
        s,
        HALF_LENGTH,
        HALF_WIDTH,
        track[o, u, 2],
        track[o, u, 3],
        traffic.half_length[o],
        traffic.half_width[o],
    )


@kernel
def front_meets(traffic, o, u, motion, t, n):
    """Whether the box of object o at step u shares a point with the ego's front bumper at step t."""
    track = traffic.track
    c = motion[COS, t, n]
    s = motion[SIN, t, n]
    return boxes_overlap(
        track[o, u, 0] - (motion[CENTER_X, t, n] + HALF_LENGTH * c),
        track[o, u, 1] - (motion[CENTER_Y, t, n] + HALF_LENGTH * s),
        c,
        s,
        0.0,
        HALF_WIDTH,
        track[o, u, 2],
        track[o, u, 3],
        traffic.half_length[o],
        traffic.half_width[o],
    )


@kernel
def bearing(traffic, o, u, motion, t, n):
    """Whether the centre of object o's box at step u is (ahead, behind) the ego's rear axle: under 30, over 150 deg."""
    dx = traffic.track[o, u, 0] - motion[REAR_X, t, n]
    dy = traffic.track[o, u, 1] - motion[REAR_Y, t, n]
    distance = math.sqrt(dx * dx + dy * dy)
    along = dx * motion[COS, t, n] + dy * motion[SIN, t, n]
    return along > AHEAD_COS * distance, along < BEHIND_COS * distance


@kernel
def collide(traffic, o, areas, motion, seen, t, first, n, active, new, outcome):
    """Note which of the proposals that meet object o for the first time at step t (`new`) are at fault."""
    severity = 0.0 if traffic.is_agent[o] else STATIC_COLLISION_SCORE
    fault = new & (motion[SPEED, t, n] > STOPPED_EGO_SPEED_MPS)
    open_lanes = 0
    if not traffic.is_stopped[o] and any_lane(fault):
        _, behind = bearing(traffic, o, t, motion, t, n)
        fault = fault & inverted(behind)
        front = front_meets(traffic, o, t, motion, t, n)
        open_lanes = bits(fault & inverted(front)) & active
        fault = fault & front
    outcome[COLLISION_STEP, n] = select(
        fault, smaller(outcome[COLLISION_STEP, n], float(t)), outcome[COLLISION_STEP, n]
    )
    outcome[COLLISION_SCORE, n] = select(
        fault, smaller(outcome[COLLISION_SCORE, n], severity), outcome[COLLISION_SCORE, n]
    )
    while open_lanes != 0:
        k = first + lowest(open_lanes)
        open_lanes &= open_lanes - 1
        if leaves_lane(areas, motion, t, k, seen):
            outcome[COLLISION_STEP, k] = min(outcome[COLLISION_STEP, k], float(t))
            outcome[COLLISION_SCORE, k] = min(outcome[COLLISION_SCORE, k], severity)


@kernel
def collide_ahead(traffic, o, u, areas, motion, seen, t, first, n, active, new, outcome):
    """Note which of the proposals that would meet object o, at step u, from step t on (`new`) violate the time."""
    ahead, behind = bearing(traffic, o, u, motion, t, n)
    outcome[AHEAD_STEP, n] = select(new & ahead, smaller(outcome[AHEAD_STEP, n], float(t)), outcome[AHEAD_STEP, n])
    open_lanes = bits(new & inverted(ahead | behind)) & active
    while open_lanes != 0:
        k = first + lowest(open_lanes)
        open_lanes &= open_lanes - 1
        if in_area(areas, INTERSECTION, motion[REAR_X, t, k], motion[REAR_Y, t, k]) or leaves_lane(
            areas, motion, t, k, seen
        ):
            outcome[AHEAD_STEP, k] = min(outcome[AHEAD_STEP, k], float(t))


@kernel
def meet_object(traffic, o, near, areas, motion, seen, last_step, first, n, active, outcome):
    """Note what meeting object o does to proposals.

    Args:
        traffic: `scoring.arrays.TrafficArrays`.
        o: the object.
        near: time mask of the steps at which it may be met.
        areas: `AreaArrays`.
        motion: (7, T, N).
        seen: (rows, N) what is known of the areas under the ego (`kernels_lookup`); time masks are added to.
        last_step: last step from which is looked ahead.
        first: number of the first proposal.
        n: index of the proposals: `first`, or `lanes_at(first)` for eight.
        active: bit k says that proposal first + k counts.
        outcome: (3, N), updated.
    """
    steps = motion.shape[1]
    severity = 0.0 if traffic.is_agent[o] else STATIC_COLLISION_SCORE
    ahead_steps = (1 << (last_step + 1)) - 1
    wanted = near & ((1 << steps) - 1)
    for look in range(1, LOOK_AHEADS):
        wanted |= (near >> (look * LOOK_AHEAD_STEPS)) & ahead_steps
    open_hit = outcome[COLLISION_SCORE, n] >= 0.0
    open_ahead = open_hit
    while wanted != 0:
        t = lowest(wanted)
        wanted &= wanted - 1
        # Later meetings change nothing where an earlier one has settled the matter.
        open_hit = open_hit & ((outcome[COLLISION_SCORE, n] > severity) | (outcome[COLLISION_STEP, n] > t))
        open_ahead = open_ahead & (outcome[AHEAD_STEP, n] > t) & (t <= last_step)
        if not any_lane(open_hit | open_ahead):
            return
        c = motion[COS, t, n]
        s = motion[SIN, t, n]
        speed = motion[SPEED, t, n]
        moving = speed >= TTC_STOPPED_SPEED_MPS
        for look in range(LOOK_AHEADS):
            ahead = look * LOOK_AHEAD_STEPS
            if (near >> (t + ahead)) & 1 == 0:
                continue
            if look > 0 and not any_lane(open_ahead & moving):
                break
            way = ahead * STEP_S
            x = motion[CENTER_X, t, n] + c * speed * way
            y = motion[CENTER_Y, t, n] + s * speed * way
            met = meets(traffic, o, t + ahead, x, y, c, s)
            if not any_lane(met):
                continue
            if look == 0:
                new = met & open_hit
                open_hit = open_hit & inverted(met)
                if any_lane(new):
                    collide(traffic, o, areas, motion, seen, t, first, n, active, new, outcome)
            new = met & open_ahead & moving
            if any_lane(new):
                open_ahead = open_ahead & inverted(new)
                collide_ahead(traffic, o, t + ahead, areas, motion, seen, t, first, n, active, new, outcome)


@kernel
def begin(n, outcome):
    """Set `outcome` of proposals n to no collision."""
    outcome[COLLISION_SCORE, n] = 1.0
    outcome[COLLISION_STEP, n] = math.inf
    outcome[AHEAD_STEP, n] = math.inf


@kernel
def finish(n, outcome):
    """Write NEVER for steps that did not come."""
    for row in (COLLISION_STEP, AHEAD_STEP):
        outcome[row, n] = select(outcome[row, n] == math.inf, NEVER * 1.0, outcome[row, n])


@kernel
def traffic_block(traffic, areas, motion, seen, last_step, count, work, outcome):
    """Collisions and time to collision of a block of eight proposals, of which the first `count` count.

    `motion` (7, T, 8); `work` is `kernels_reach.ReachWork` filled by `fill_reach`; `outcome` (3, 8) is written.
    """
    at = lanes_at(0)
    begin(at, outcome)
    active = (1 << count) - 1
    for group in range(traffic.bounds.shape[0]):
        objects = near_objects(traffic, group, work)
        while objects != 0:
            o = 8 * group + lowest(objects)
            objects &= objects - 1
            near = near_steps(traffic, o, work)
            if near != 0:
                meet_object(traffic, o, near, areas, motion, seen, last_step, 0, at, active, outcome)
    finish(at, outcome)


@kernel
def traffic_one(traffic, areas, motion, seen, last_step, whole, n, outcome):
    """As `traffic_block`, for proposal n alone; `whole` (4, N) as filled by `kernels_reach.fill_whole`."""
    begin(n, outcome)
    for o in range(traffic.present.shape[0]):
        group = o // 8
        k = o - 8 * group
        if (
            traffic.bounds[group, LOW_X, k] <= whole[HIGH_X, n]
            and traffic.bounds[group, LOW_Y, k] <= whole[HIGH_Y, n]
            and traffic.bounds[group, HIGH_X, k] >= whole[LOW_X, n]
            and traffic.bounds[group, HIGH_Y, k] >= whole[LOW_Y, n]
        ):
            meet_object(traffic, o, traffic.present[o], areas, motion, seen, last_step, n, n, 1, outcome)
    finish(n, outcome)

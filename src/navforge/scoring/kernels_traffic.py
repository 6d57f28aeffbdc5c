"""Compiled sub-scores against other road users: collisions at fault, time to collision, red lights."""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import box_meets_polygon, boxes_overlap
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.scoring.kernels_area import INTERSECTION, box_leaves_drivable, in_area, in_multiple_lanes

HALF_LENGTH = 0.5 * EGO_LENGTH_M
HALF_WIDTH = 0.5 * EGO_WIDTH_M
EGO_RADIUS_M = math.hypot(HALF_LENGTH, HALF_WIDTH)
STOPPED_EGO_SPEED_MPS = 0.05
TTC_STOPPED_SPEED_MPS = 0.005
AHEAD_RAD = math.radians(30.0)
BEHIND_RAD = math.radians(150.0)
TTC_LOOK_AHEADS = 4
TTC_LOOK_AHEAD_STEPS = 3
STEP_S = 0.1
NEVER = -1
STATIC_COLLISION_SCORE = 0.5

# Rows of a plan's work array (rows, T): rear axle, box centre, direction, speed in the ego frame of the scene.
REAR_X, REAR_Y, CENTER_X, CENTER_Y, COS, SIN, SPEED = range(7)
MOTION_ROWS = 7
# Flags of a plan's work array (T,), one bit each.
NON_DRIVABLE, ONCOMING, LANES_KNOWN, MULTIPLE_LANES, DRIVABLE_UNKNOWN = 1, 2, 4, 8, 16


@kernel
def strip_of(low, scale, strips, x):
    """Strip along x of a point; the outer strips reach to infinity."""
    return int(min(max((x - low) * scale, 0.0), strips - 1.0))


@kernel
def meets(traffic, j, x, y, c, s):
    """Whether traffic box j and the ego's box at (x, y) share a point."""
    dx = traffic.x[j] - x
    dy = traffic.y[j] - y
    if dx * dx + dy * dy > traffic.reach_squared[j]:
        return False
    return boxes_overlap(
        dx,
        dy,
        c,
        s,
        HALF_LENGTH,
        HALF_WIDTH,
        traffic.cos[j],
        traffic.sin[j],
        traffic.half_length[j],
        traffic.half_width[j],
    )


@kernel
def bearing(traffic, j, motion, t):
    """Angle in [0, pi] between the ego's heading and the way from its rear axle to the centre of box j."""
    dx = traffic.x[j] - motion[REAR_X, t]
    dy = traffic.y[j] - motion[REAR_Y, t]
    distance = math.hypot(dx, dy)
    if distance == 0.0:
        return 0.5 * math.pi
    cosine = (dx * motion[COS, t] + dy * motion[SIN, t]) / distance
    return math.acos(min(max(cosine, -1.0), 1.0))


@kernel
def leaves_lane(areas, motion, flags, t):
    """Whether the ego covers several lanes or leaves the drivable area at step t; what is unknown is looked up once."""
    if flags[t] & NON_DRIVABLE:
        return True
    x = motion[CENTER_X, t]
    y = motion[CENTER_Y, t]
    c = motion[COS, t]
    s = motion[SIN, t]
    if flags[t] & DRIVABLE_UNKNOWN:
        flags[t] &= ~DRIVABLE_UNKNOWN
        if box_leaves_drivable(areas, x, y, c, s):
            flags[t] |= NON_DRIVABLE
            return True
    if not flags[t] & LANES_KNOWN:
        flags[t] |= LANES_KNOWN
        if in_multiple_lanes(areas, x, y, c, s, HALF_LENGTH, HALF_WIDTH):
            flags[t] |= MULTIPLE_LANES
    return flags[t] & MULTIPLE_LANES != 0


@kernel
def at_fault(traffic, j, areas, motion, flags, t):
    """Whether a collision with box j at step t is the ego's fault."""
    if motion[SPEED, t] <= STOPPED_EGO_SPEED_MPS:
        return False
    if traffic.is_stopped[traffic.object[j]]:
        return True
    if bearing(traffic, j, motion, t) > BEHIND_RAD:
        return False
    c = motion[COS, t]
    s = motion[SIN, t]
    front_x = motion[CENTER_X, t] + HALF_LENGTH * c
    front_y = motion[CENTER_Y, t] + HALF_LENGTH * s
    if boxes_overlap(
        traffic.x[j] - front_x,
        traffic.y[j] - front_y,
        c,
        s,
        0.0,
        HALF_WIDTH,
        traffic.cos[j],
        traffic.sin[j],
        traffic.half_length[j],
        traffic.half_width[j],
    ):
        return True
    return leaves_lane(areas, motion, flags, t)


@kernel
def collision_score(traffic, areas, motion, flags, steps, ignored, stamp):
    """(score, first step of an at-fault collision or NEVER): 0 with an agent, 0.5 with a static object, else 1.

    An object met without fault is ignored from then on: `ignored[object] = stamp`.
    """
    score = 1.0
    first_step = NEVER
    low = traffic.strip_low
    scale = traffic.strip_scale
    strip = traffic.strip
    for t in range(steps):
        x = motion[CENTER_X, t]
        y = motion[CENTER_Y, t]
        at = strip_of(low, scale, strip.shape[1], x)
        for j in range(strip[t, at, 0], strip[t, at, 1]):
            if not meets(traffic, j, x, y, motion[COS, t], motion[SIN, t]):
                continue
            other = traffic.object[j]
            if ignored[other] == stamp:
                continue
            if not at_fault(traffic, j, areas, motion, flags, t):
                ignored[other] = stamp
                continue
            if first_step == NEVER:
                first_step = t
            if traffic.is_agent[other]:
                return 0.0, first_step
            score = STATIC_COLLISION_SCORE
    return score, first_step


@kernel
def collision_ahead_step(traffic, areas, motion, flags, last_step, ignored, stamp):
    """First step at which a projection of up to 0.9 s at constant velocity meets an object ahead, or NEVER."""
    low = traffic.strip_low
    scale = traffic.strip_scale
    strip = traffic.strip
    for t in range(last_step + 1):
        speed = motion[SPEED, t]
        if speed < TTC_STOPPED_SPEED_MPS:
            continue
        c = motion[COS, t]
        s = motion[SIN, t]
        for look in range(TTC_LOOK_AHEADS):
            ahead = look * TTC_LOOK_AHEAD_STEPS
            x = motion[CENTER_X, t] + c * speed * (ahead * STEP_S)
            y = motion[CENTER_Y, t] + s * speed * (ahead * STEP_S)
            at = strip_of(low, scale, strip.shape[1], x)
            for j in range(strip[t + ahead, at, 0], strip[t + ahead, at, 1]):
                if not meets(traffic, j, x, y, c, s):
                    continue
                other = traffic.object[j]
                if ignored[other] == stamp:
                    continue
                angle = bearing(traffic, j, motion, t)
                if angle < AHEAD_RAD:
                    return t
                if angle <= BEHIND_RAD and (
                    leaves_lane(areas, motion, flags, t)
                    or in_area(areas, INTERSECTION, motion[REAR_X, t], motion[REAR_Y, t])
                ):
                    return t
                ignored[other] = stamp
    return NEVER


@kernel
def meets_red_light(lights, motion, steps):
    """Whether the ego's box shares a point with a connector while that is red."""
    shapes = lights.polygons
    for t in range(steps):
        for i in range(lights.start[t], lights.start[t + 1]):
            if box_meets_polygon(
                shapes.xy,
                shapes.ring_start,
                shapes.polygon_start,
                shapes.bounds,
                lights.connector[i],
                motion[CENTER_X, t],
                motion[CENTER_Y, t],
                motion[COS, t],
                motion[SIN, t],
                HALF_LENGTH,
                HALF_WIDTH,
            ):
                return True
    return False

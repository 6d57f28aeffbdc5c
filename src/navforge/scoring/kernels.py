"""Compiled scoring of simulated proposals: the driver over proposals that calls the sub-scores' scalar functions."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M
from navforge.scoring.kernels_area import (
    DRIVABLE,
    ON_ROUTE,
    RASTER_OUTSIDE,
    RASTER_TEST,
    corner,
    in_area_exact,
    in_multiple_lanes,
    raster_code,
)
from navforge.scoring.kernels_comfort import comfortable
from navforge.scoring.kernels_path import driving_direction, lane_keeping, progress
from navforge.scoring.kernels_traffic import (
    CENTER_X,
    CENTER_Y,
    COS,
    DRIVABLE_UNKNOWN,
    HALF_LENGTH,
    HALF_WIDTH,
    MOTION_ROWS,
    NEVER,
    NON_DRIVABLE,
    ONCOMING,
    REAR_X,
    REAR_Y,
    SIN,
    SPEED,
    collision_ahead_step,
    collision_score,
    meets_red_light,
)
from navforge.simulation.kernels import HEADING, VX, VY, X, Y


class Column(IntEnum):
    """Columns of a kernel's result (N, 9)."""

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


@kernel
def place(states, n, steps, origin, motion):
    """Motion of proposal n in the ego frame of the scene: rear axle, centre, direction, speed at each step."""
    origin_c = math.cos(origin[2])
    origin_s = math.sin(origin[2])
    for t in range(steps):
        dx = states[X, t, n] - origin[0]
        dy = states[Y, t, n] - origin[1]
        heading = states[HEADING, t, n] - origin[2]
        c = math.cos(heading)
        s = math.sin(heading)
        x = origin_c * dx + origin_s * dy
        y = origin_c * dy - origin_s * dx
        motion[REAR_X, t] = x
        motion[REAR_Y, t] = y
        motion[CENTER_X, t] = x + REAR_AXLE_TO_CENTER_M * c
        motion[CENTER_Y, t] = y + REAR_AXLE_TO_CENTER_M * s
        motion[COS, t] = c
        motion[SIN, t] = s
        motion[SPEED, t] = math.hypot(states[VX, t, n], states[VY, t, n])


@kernel
def find_areas(areas, motion, steps, flags, every_step):
    """Set the flags NON_DRIVABLE (a corner off the drivable area) and ONCOMING (centre off the route's lanes).

    After the first step off the drivable area the others are left DRIVABLE_UNKNOWN, unless `every_step` is asked for:
    few plans need them. Returns whether the ego ever leaves the drivable area.
    """
    raster = areas.raster
    low_x = areas.raster_grid[0]
    low_y = areas.raster_grid[1]
    scale = 1.0 / areas.raster_grid[2]
    left_drivable = False
    for t in range(steps):
        x = motion[CENTER_X, t]
        y = motion[CENTER_Y, t]
        flag = 0
        code = (raster_code(raster, low_x, low_y, scale, x, y) >> (2 * ON_ROUTE)) & 3
        if code == RASTER_OUTSIDE or (code == RASTER_TEST and not in_area_exact(areas, ON_ROUTE, x, y)):
            flag |= ONCOMING
        if left_drivable and not every_step:
            flags[t] = flag | DRIVABLE_UNKNOWN
            continue
        # As `box_leaves_drivable`, with the raster taken out of its tuple once: that costs more than a look-up.
        for k in range(4):
            corner_x, corner_y = corner(x, y, motion[COS, t], motion[SIN, t], HALF_LENGTH, HALF_WIDTH, k)
            code = (raster_code(raster, low_x, low_y, scale, corner_x, corner_y) >> (2 * DRIVABLE)) & 3
            if code == RASTER_OUTSIDE or (
                code == RASTER_TEST and not in_area_exact(areas, DRIVABLE, corner_x, corner_y)
            ):
                flag |= NON_DRIVABLE
                left_drivable = True
                break
        flags[t] = flag
    return left_drivable


@kernel
def record_areas(areas, motion, flags, n, ego_areas):
    """Write (steps, 3) areas of proposal n: several lanes, not drivable, oncoming."""
    for t in range(ego_areas.shape[1]):
        ego_areas[n, t, 0] = in_multiple_lanes(
            areas, motion[CENTER_X, t], motion[CENTER_Y, t], motion[COS, t], motion[SIN, t], HALF_LENGTH, HALF_WIDTH
        )
        ego_areas[n, t, 1] = flags[t] & NON_DRIVABLE != 0
        ego_areas[n, t, 2] = flags[t] & ONCOMING != 0


@kernel(allocates=True, nogil=True)
def score_batch(states, origin, areas, path, traffic, lights, comfort, is_v2, ttc_last_step, result, events, ego_areas):
    """Score proposals in order.

    Args:
        states: (11, T, N) in the frame of `origin`'s coordinates.
        origin: (3,) pose whose frame the scene's arrays are in.
        areas: `scoring.arrays.AreaArrays`, in the ego frame of `origin`, as are the next three.
        path: `PathArrays`.
        traffic: `TrafficArrays`.
        lights: `LightArrays`.
        comfort: `ComfortArrays`.
        is_v2: rules of v2 (intersections forgive driving direction; lights and lane keeping count) or v1.1.
        ttc_last_step: last step from which collisions are looked for ahead.
        result: (N, 8) `Column`, written.
        events: (N, 2) first step of an at-fault collision and of a TTC violation, or NEVER; written.
        ego_areas: (N, T, 3) `EgoArea`, written; (0, T, 3) to skip.
    """
    steps = states.shape[1]
    history = comfort.history.shape[0]
    motion = np.empty((MOTION_ROWS, steps))
    flags = np.empty(steps, dtype=np.int64)
    way = np.empty(steps)
    series = np.empty((5, history + steps))
    longitudinal = series[0]
    magnitude = series[1]
    heading = series[2]
    work = series[3]
    out = series[4]
    ignored = np.full(traffic.is_agent.shape[0], -1, dtype=np.int64)
    for n in range(states.shape[2]):
        place(states, n, steps, origin, motion)
        left_drivable = find_areas(areas, motion, steps, flags, ego_areas.shape[0] > 0)
        if ego_areas.shape[0] > 0:
            record_areas(areas, motion, flags, n, ego_areas)
        score, step = collision_score(traffic, areas, motion, flags, steps, ignored, 2 * n)
        result[n, COLLISION] = score
        events[n, 0] = step
        step = collision_ahead_step(traffic, areas, motion, flags, ttc_last_step, ignored, 2 * n + 1)
        result[n, TTC] = 1.0 if step == NEVER else 0.0
        events[n, 1] = step
        result[n, DAC] = 0.0 if left_drivable else 1.0
        result[n, DDC] = driving_direction(areas, motion, flags, steps, is_v2, way)
        result[n, TLC] = 0.0 if is_v2 and meets_red_light(lights, motion, steps) else 1.0
        result[n, LANE_KEEPING] = lane_keeping(path, areas, motion, steps) if is_v2 else 1.0
        is_comfortable = comfortable(comfort, states, n, steps, longitudinal, magnitude, heading, work, out)
        result[n, COMFORT] = 1.0 if is_comfortable else 0.0
        result[n, PROGRESS] = progress(path, motion, steps)

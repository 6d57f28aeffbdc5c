"""Compiled reactive traffic: vehicles that follow their lane by the intelligent driver model and keep their distance.

Rules and order of events are those of NAVSIM v2.2's `navsim_IDM_traffic_agents`. Vehicles move one after the other
within a step of 0.1 s: each sees those before it where they have moved to, those behind it where they were.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.simulation.kernels.idm import Driver, idm_acceleration
from navforge.simulation.kernels.lane import MOST_TRIMMED, clamped, pose_along, principal, vertex_after, widen
from navforge.simulation.kernels.leader import NOBODY, find_leader
from navforge.simulation.kernels.stretch import Areas, Lanes, add_stretch, empty_areas, set_single, set_way
from navforge.simulation.tracker import STEP_S

Float = NDArray[np.float64]

# Parameters of NAVSIM v2.2's `navsim_IDM_traffic_agents`.
DRIVER = Driver(min_gap_m=1.0, headway_s=1.5, max_acceleration=1.0, max_deceleration=2.0)
"""`min_gap_to_lead_agent`, `headway_time`, `accel_max`, `decel_max`."""
HEADWAY_S = DRIVER.headway_s
EXPONENT = 4
"""Of speed over target speed in the intelligent driver model."""
RADIUS_M = 100.0
"""Vehicles further from the ego are taken out."""
X, Y, HEADING, VX, VY = range(5)


class Followers(NamedTuple):
    """Vehicles on their lanes before the first step. Lengths are halved; the order is the order of moving."""

    lane: Float
    """(V, 3) x, y, heading without jumps of 2 pi: lanes of all vehicles, end to end, global frame."""
    arc: Float
    """(V,) arc length along each lane, m."""
    start: NDArray[np.int64]
    """(A + 1,) lane of vehicle a: vertices `start[a]:start[a + 1]`, one at least."""
    progress: Float
    """(A,) m"""
    speed: Float
    """(A,) m/s"""
    target: Float
    """(A,) speed on a free lane, m/s."""
    half_length: Float
    half_width: Float
    pose: Float
    """(A, 3) pose at which a vehicle is seen before it first moves."""


@kernel
def next_speed(speed, target, gap, lead_speed):
    """Speed, at least 0, after one step of the intelligent driver model."""
    acceleration = idm_acceleration(DRIVER, speed, (speed / target) ** EXPONENT, gap, lead_speed)
    return max(speed + STEP_S * acceleration, 0.0)


def react(followers: Followers, lanes: Lanes, ego: Float) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Move the followers, given the ego's states.

    Args:
        followers: before the first step.
        lanes: `lane_areas` of their lanes.
        ego: (T, 11) states; step t + 1 of the traffic sees state t. As in the devkit, the ego's rear axle serves as
            the centre of its box.

    Returns:
        (A, T, 3) x, y, heading (row 0 is where the first step starts from), (A, T) speed, and (A, T) whether the
        vehicle is still within the radius.
    """
    count, steps = len(followers.progress), len(ego)
    pose = np.empty((count, steps, 3))
    speed = np.empty((count, steps))
    present = np.empty((count, steps), dtype=np.bool_)
    cut = empty_areas(np.zeros(1, dtype=np.int64), 2 + MOST_TRIMMED)
    there = np.ones(count + 1, dtype=np.bool_)
    now = np.empty((count, 3))
    progress = followers.progress.copy()
    drive(followers, lanes, areas_for(followers, lanes), cut, ego, progress, now, there, pose, speed, present)
    return pose, speed, present


@kernel
def drive(followers, lanes, areas, cut, ego, progress, now, there, pose, speed, present):
    """Fill `pose`, `speed` and `present` (`react`); the other arrays are room to work in.

    `progress` (A,) and `there` (A + 1,), the ego last, hold the start; `now` (A, 3) will hold poses.
    """
    count = len(followers.start) - 1
    origin = lanes.origin
    for a in range(count):
        _place(a, followers, progress, now)
        _keep(a, 0, now, pose)
        speed[a, 0] = followers.speed[a]
        present[a, 0] = True
        x = followers.pose[a, 0] - origin[0]
        y = followers.pose[a, 1] - origin[1]
        set_single(areas, a, x, y, followers.pose[a, 2], followers.half_length[a], followers.half_width[a])
    for step in range(1, pose.shape[1]):
        x = ego[step - 1, X]
        y = ego[step - 1, Y]
        set_single(
            areas, count, x - origin[0], y - origin[1], ego[step - 1, HEADING],
            0.5 * EGO_LENGTH_M, 0.5 * EGO_WIDTH_M,
        )  # fmt: skip
        for a in range(count):
            if math.sqrt((now[a, 0] - x) ** 2 + (now[a, 1] - y) ** 2) > RADIUS_M:
                there[a] = False
            present[a, step] = there[a]
        for a in range(count):
            speed[a, step] = 0.0
            if there[a]:
                new = _faced_speed(a, step, progress[a], followers, lanes, areas, cut, ego, now, speed, there)
                progress[a] += STEP_S * speed[a, step - 1]
                speed[a, step] = new
                _place(a, followers, progress, now)
                _set_footprint(areas, a, followers, lanes, now, progress[a], new)
            _keep(a, step, now, pose)


def areas_for(followers: Followers, lanes: Lanes) -> Areas:
    """Room for the area of every vehicle and, last, of the ego."""
    first, last = followers.start[:-1], followers.start[1:] - 1
    # the box, the rectangles of the cut segments at both ends, everything between, and what trimming adds
    room = 3 + MOST_TRIMMED + lanes.piece_start[last] - lanes.piece_start[first]
    start = np.concatenate([[0], np.cumsum(room)])
    return empty_areas(start, int(start[-1]) + 1)


@kernel
def _place(a, followers, progress, now):
    """Write the pose of vehicle a into row a of `now`."""
    first = followers.start[a]
    last = followers.start[a + 1] - 1
    at = clamped(progress[a], followers.arc, first, last)
    pose_along(followers.lane, followers.arc, first, last, at, now, a)


@kernel
def _keep(a, step, now, pose):
    for c in range(3):
        pose[a, step, c] = now[a, c]


@kernel
def _faced_speed(a, step, progress, followers, lanes, areas, cut, ego, now, speed, there):
    """Speed of vehicle a after this step, given whoever is ahead on its lane."""
    arc = followers.arc
    first = followers.start[a]
    last = followers.start[a + 1] - 1
    old = speed[a, step - 1]
    leader = NOBODY
    gap = math.inf
    if first < last and not _used_up(a, progress, followers, now):
        segment, done = set_way(cut, lanes, arc, first, last, progress, followers.half_width[a])
        leader, gap = find_leader(a, segment, done, cut, followers, lanes, areas, there)
    if leader == NOBODY:  # the end of the lane is like a wall
        return next_speed(old, followers.target[a], arc[last] - progress - followers.half_length[a], 0.0)
    if leader == len(followers.start) - 1:
        lead_speed = math.sqrt(ego[step - 1, VX] ** 2 + ego[step - 1, VY] ** 2)
        heading = ego[step - 1, HEADING]
    else:
        lead_speed = speed[leader, step] if leader < a else speed[leader, step - 1]
        heading = now[leader, 2]
    lead_speed *= math.cos(principal(heading - now[a, 2]))
    return next_speed(old, followers.target[a], gap, lead_speed)


@kernel
def _used_up(a, progress, followers, now):
    """Whether the rest of the lane has no length: its only two points are equal in the global frame.

    The devkit's area about it is empty, so that nothing is ahead. From the end on, the last segment stands for the
    rest (`set_way`).
    """
    arc = followers.arc
    first = followers.start[a]
    last = followers.start[a + 1] - 1
    if vertex_after(arc, first, last, clamped(progress, arc, first, last)) != last:
        return False
    return now[a, X] == followers.lane[last, X] and now[a, Y] == followers.lane[last, Y]


@kernel
def _set_footprint(areas, a, followers, lanes, now, progress, speed):
    """Make area a the vehicle's box and its lane from its rear to what it covers within the headway."""
    arc = followers.arc
    first = followers.start[a]
    last = followers.start[a + 1] - 1
    half_length = followers.half_length[a]
    half_width = followers.half_width[a]
    origin = lanes.origin
    set_single(areas, a, now[a, 0] - origin[0], now[a, 1] - origin[1], now[a, 2], half_length, half_width)
    if first == last:
        return
    low = clamped(progress - half_length, arc, first, last)
    high = clamped(progress + half_length + speed * HEADWAY_S, arc, first, last)
    add_stretch(areas, a, lanes, arc, first, last, low, high, half_width)
    for n in range(areas.start[a] + 1, areas.end[a]):
        widen(areas.bounds, a, areas.quads, n)

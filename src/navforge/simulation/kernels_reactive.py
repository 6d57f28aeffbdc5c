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
from navforge.geometry.convex import CORNERS, circles_gap, quad_distance_squared, quads_meet
from navforge.geometry.kernels import boxes_overlap
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.simulation.kernels_lane import (
    MOST_TRIMMED,
    clamped,
    lane_pieces,
    pose_along,
    principal,
    reaches_past,
    set_box,
    set_directions,
    set_lane,
    set_strip,
    trim,
    trim_corner,
    vertex_after,
    widen,
)
from navforge.simulation.tracker import STEP_S

Float = NDArray[np.float64]

MIN_GAP_M = 1.0
HEADWAY_S = 1.5
MAX_ACCELERATION = 1.0
MAX_DECELERATION = 2.0
EXPONENT = 4
RADIUS_M = 100.0
"""Vehicles further from the ego are taken out."""
NOBODY = -1
SAME_MIDDLE_M = 1e-8
"""Sums of bounds no further apart than this are equal but for rounding."""
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


class Lanes(NamedTuple):
    """The areas of all lanes in a frame about `origin`, in the order of `Followers`; `kernels_lane`."""

    origin: Float
    """(2,) global frame."""
    xy: Float
    """(V, 2)"""
    direction: Float
    """(V, 2) unit vector of the segment from each vertex to the next."""
    quads: Float
    """(P, 4, 2)"""
    circle: Float
    """(P, 3)"""
    piece_start: NDArray[np.int64]
    """(V,) first piece of each segment; at the last vertex of a lane one past its last piece."""
    bounds: Float
    """(V, 4) x min, y min, x max, y max of the lane from each vertex on."""


class Areas(NamedTuple):
    """Areas as convex pieces with circles around them; `geometry.convex`."""

    quads: Float
    """(P, 4, 2) m from the origin."""
    circle: Float
    """(P, 3)"""
    start: NDArray[np.int64]
    """(A + 1,) first piece of each area."""
    end: NDArray[np.int64]
    """(A + 1,) one past the last."""
    bounds: Float
    """(A + 1, 4) x min, y min, x max, y max."""


@kernel
def next_speed(speed, target, gap, lead_speed):
    """Speed after one step of the intelligent driver model.

    dv/dt = a (1 - (v / v0)^4 - (s* / s)^2), s* = s0 + v T + v (v - v_lead) / (2 sqrt(a b)); the acceleration is limited
    to [-b, a], the gap s to at least s0, the speed to at least 0.
    """
    wanted = MIN_GAP_M + speed * HEADWAY_S
    wanted += speed * (speed - lead_speed) / (2.0 * math.sqrt(MAX_ACCELERATION * MAX_DECELERATION))
    gap = max(gap, MIN_GAP_M)
    acceleration = MAX_ACCELERATION * (1.0 - (speed / target) ** EXPONENT - (wanted / gap) ** 2)
    acceleration = min(max(-MAX_DECELERATION, acceleration), MAX_ACCELERATION)
    return max(speed + STEP_S * acceleration, 0.0)


@kernel
def first_come(x, y, heading, half_length, half_width, wanted, taken):
    """Let boxes in one after the other unless they meet one that is in; `taken` (N,) says which are, and is updated.

    Only boxes of the mask `wanted` may get in.
    """
    for i in range(len(x)):
        if not wanted[i]:
            continue
        free = True
        for j in range(len(x)):
            if taken[j] and _overlap(x, y, heading, half_length, half_width, i, j):
                free = False
                break
        taken[i] = free


@kernel
def _overlap(x, y, heading, half_length, half_width, i, j):
    dx = x[j] - x[i]
    dy = y[j] - y[i]
    reach = half_length[i] + half_width[i] + half_length[j] + half_width[j]
    if dx * dx + dy * dy > reach * reach:
        return False
    return boxes_overlap(
        dx, dy, math.cos(heading[i]), math.sin(heading[i]), half_length[i], half_width[i],
        math.cos(heading[j]), math.sin(heading[j]), half_length[j], half_width[j],
    )  # fmt: skip


@kernel(allocates=True)
def lane_areas(lane, start, half_width, origin):
    """The areas of all lanes; arguments as in `Followers`, `origin` (2,) as in `Lanes`."""
    xy = np.ascontiguousarray(lane[:, :2]) - origin
    direction = np.zeros_like(xy)
    pieces = 0
    for a in range(len(start) - 1):
        set_directions(xy, start[a], start[a + 1] - 1, direction)
        pieces += lane_pieces(start[a], start[a + 1] - 1, direction)
    quads = np.empty((pieces, CORNERS, 2))
    circle = np.empty((pieces, 3))
    piece_start = np.zeros(len(xy), dtype=np.int64)
    bounds = np.empty((len(xy), 4))
    n = 0
    for a in range(len(start) - 1):
        first = start[a]
        last = start[a + 1] - 1
        n = set_lane(xy, first, last, direction, half_width[a], n, quads, circle, piece_start)
        _no_bounds(bounds, last)
        for k in range(last - 1, first - 1, -1):
            for side in range(4):
                bounds[k, side] = bounds[k + 1, side]
            for piece in range(piece_start[k], piece_start[k + 1]):
                widen(bounds, k, quads, piece)
    return Lanes(origin, xy, direction, quads, circle, piece_start, bounds)


@kernel
def _no_bounds(bounds, i):
    bounds[i, 0] = math.inf
    bounds[i, 1] = math.inf
    bounds[i, 2] = -math.inf
    bounds[i, 3] = -math.inf


@kernel
def _bounds_apart(a, i, b, j):
    return a[i, 0] > b[j, 2] or a[i, 2] < b[j, 0] or a[i, 1] > b[j, 3] or a[i, 3] < b[j, 1]


def areas_for(followers: Followers, lanes: Lanes) -> Areas:
    """Room for the area of every vehicle and, last, of the ego."""
    first, last = followers.start[:-1], followers.start[1:] - 1
    # the box, the rectangles of the cut segments at both ends, everything between, and what trimming adds
    room = 3 + MOST_TRIMMED + lanes.piece_start[last] - lanes.piece_start[first]
    start = np.concatenate([[0], np.cumsum(room)])
    return _areas(start, int(start[-1]) + 1)


def _areas(start: NDArray[np.int64], room: int) -> Areas:
    return Areas(np.empty((room, CORNERS, 2)), np.empty((room, 3)), start, start.copy(), np.empty((len(start), 4)))


@kernel
def _set_single(areas, i, x, y, heading, half_length, half_width):
    """Make area i one oriented box."""
    n = areas.start[i]
    set_box(areas.quads, areas.circle, n, x, y, heading, half_length, half_width)
    areas.end[i] = n + 1
    _no_bounds(areas.bounds, i)
    widen(areas.bounds, i, areas.quads, n)


@kernel
def _add_copies(areas, i, lanes, low, high):
    """Append pieces `low:high` of the lanes to area i."""
    n = areas.end[i]
    for piece in range(low, high):
        for c in range(CORNERS):
            areas.quads[n, c, 0] = lanes.quads[piece, c, 0]
            areas.quads[n, c, 1] = lanes.quads[piece, c, 1]
        for c in range(3):
            areas.circle[n, c] = lanes.circle[piece, c]
        n += 1
    areas.end[i] = n


@kernel
def _add_cut(areas, i, lanes, arc, k, low, high, half_width):
    """Append the rectangle over segment k between arc lengths `low` and `high` to area i."""
    if high <= low:
        return
    direction = lanes.direction
    xy = lanes.xy
    n = areas.end[i]
    ux = direction[k, 0]
    uy = direction[k, 1]
    a = low - arc[k]
    b = high - arc[k]
    set_strip(
        areas.quads, areas.circle, n,
        xy[k, 0] + a * ux, xy[k, 1] + a * uy, xy[k, 0] + b * ux, xy[k, 1] + b * uy, ux, uy, half_width,
    )  # fmt: skip
    areas.end[i] = n + 1


@kernel
def _trim_end(areas, i, lanes, bend, forward, length, full, half_width, piece, spare):
    """Trim the rectangle next to the bend at an end of a stretch where that end is too near for it.

    The rectangle is `piece` and, where it was trimmed before, all pieces from `spare` on.
    """
    direction = lanes.direction
    xy = lanes.xy
    if not reaches_past(direction, bend, length, half_width):
        return
    n = areas.end[i]
    nx, ny, limit, end = trim_corner(
        areas.quads, areas.circle, n, xy[bend, 0], xy[bend, 1], direction, bend, forward, length, full, half_width
    )
    end = trim(areas.quads, areas.circle, piece, end, nx, ny, limit)
    for other in range(spare, n):
        end = trim(areas.quads, areas.circle, other, end, nx, ny, limit)
    areas.end[i] = end


@kernel
def _add_stretch(areas, i, lanes, arc, first, last, low, high, half_width):
    """Append the area of the lane `first .. last` between arc lengths `low` and `high` to area i.

    Beyond an end of the lane, the whole segment at that end stands for it, as in nuPlan's `trim_path`.
    """
    piece_start = lanes.piece_start
    front = vertex_after(arc, first, last, low)
    if front > last:
        _add_copies(areas, i, lanes, piece_start[last - 1], piece_start[last - 1] + 1)
        return
    if high <= arc[first]:
        _add_copies(areas, i, lanes, piece_start[first], piece_start[first] + 1)
        return
    rear = front - 1
    if high <= arc[front]:
        _add_cut(areas, i, lanes, arc, rear, low, high, half_width)
        return
    end = min(vertex_after(arc, first, last, high), last) - 1
    if arc[end] >= high:
        end -= 1  # `high` lies on a vertex: the segment before it
    rear_piece = areas.end[i]
    _add_cut(areas, i, lanes, arc, rear, low, arc[front], half_width)
    between = areas.end[i]
    _add_copies(areas, i, lanes, piece_start[rear] + 1, piece_start[end])
    end_piece = areas.end[i]
    _add_cut(areas, i, lanes, arc, end, arc[end], high, half_width)
    at_rear = arc[front] - low
    at_end = high - arc[end]
    spare = areas.end[i]
    after = end_piece if front == end else between + piece_start[front] - piece_start[rear] - 1
    full = at_end if front == end else arc[front + 1] - arc[front]
    _trim_end(areas, i, lanes, front, False, at_rear, full, half_width, after, areas.end[i])
    before = rear_piece if end - 1 == rear else between + piece_start[end - 1] - piece_start[rear] - 1
    full = at_rear if end - 1 == rear else arc[end] - arc[end - 1]
    _trim_end(areas, i, lanes, end, True, at_end, full, half_width, before, spare if before == after else areas.end[i])


@kernel
def _set_footprint(areas, a, followers, lanes, now, progress, speed):
    """Make area a the vehicle's box and its lane from its rear to what it covers within the headway."""
    arc = followers.arc
    first = followers.start[a]
    last = followers.start[a + 1] - 1
    half_length = followers.half_length[a]
    half_width = followers.half_width[a]
    origin = lanes.origin
    _set_single(areas, a, now[a, 0] - origin[0], now[a, 1] - origin[1], now[a, 2], half_length, half_width)
    if first == last:
        return
    low = clamped(progress - half_length, arc, first, last)
    high = clamped(progress + half_length + speed * HEADWAY_S, arc, first, last)
    _add_stretch(areas, a, lanes, arc, first, last, low, high, half_width)
    for n in range(areas.start[a] + 1, areas.end[a]):
        widen(areas.bounds, a, areas.quads, n)


@kernel
def _pieces_meet(quads, circle, n, areas, other):
    for m in range(areas.start[other], areas.end[other]):
        if circles_gap(circle, n, areas.circle, m) <= 0.0 and quads_meet(quads, n, areas.quads, m):
            return True
    return False


@kernel
def _lane_meets(a, segment, done, cut, followers, lanes, areas, other):
    """Whether the lane ahead of vehicle a meets another's area.

    `cut` holds the first pieces of the way on `segment`, and those that stand for piece `done` of the lane.
    """
    quads = lanes.quads
    circle = lanes.circle
    piece_start = lanes.piece_start
    if not _bounds_apart(cut.bounds, 0, areas.bounds, other):
        for n in range(cut.end[0]):
            if _pieces_meet(cut.quads, cut.circle, n, areas, other):
                return True
    if _bounds_apart(lanes.bounds, segment, areas.bounds, other):
        return False
    last = followers.start[a + 1] - 1
    low_x = areas.bounds[other, 0]
    low_y = areas.bounds[other, 1]
    high_x = areas.bounds[other, 2]
    high_y = areas.bounds[other, 3]
    for n in range(piece_start[segment] + 1, piece_start[last]):
        x = circle[n, 0]
        y = circle[n, 1]
        reach = circle[n, 2]
        if n == done or x + reach < low_x or x - reach > high_x or y + reach < low_y or y - reach > high_y:
            continue
        if _pieces_meet(quads, circle, n, areas, other):
            return True
    return False


@kernel
def _distance(areas, i, j):
    """Distance of two areas, m."""
    best = math.inf
    for n in range(areas.start[i], areas.end[i]):
        for m in range(areas.start[j], areas.end[j]):
            gap = circles_gap(areas.circle, n, areas.circle, m)
            if gap > 0.0 and gap * gap > best:
                continue
            best = min(best, quad_distance_squared(areas.quads, n, areas.quads, m))
            if best == 0.0:
                return 0.0
    return math.sqrt(best)


@kernel
def _leader(a, segment, done, cut, followers, lanes, areas, present):
    """Nearest of the areas that the lane ahead of vehicle a meets (the ego's is the last), and its distance in m.

    Of several that overlap the vehicle's own area the one with the lowest middle in y leads, then in x, then the first
    in order: as the devkit's search tree (GEOS `STRtree`, up to ten entries) has it.
    """
    count = len(followers.start) - 1
    leader = NOBODY
    nearest = math.inf
    for other in range(count + 1):
        if other == a or not present[other]:
            continue
        if not _lane_meets(a, segment, done, cut, followers, lanes, areas, other):
            continue
        distance = _distance(areas, a, other)
        if distance < nearest or (distance == nearest and _below(areas.bounds, other, leader)):
            leader = other
            nearest = distance
    return leader, nearest


@kernel
def _below(bounds, i, j):
    """Whether area i comes before area j by the middle of its bounds, y before x; no, where both are equal."""
    for low in (1, 0):
        apart = bounds[i, low] + bounds[i, low + 2] - bounds[j, low] - bounds[j, low + 2]
        if abs(apart) > SAME_MIDDLE_M:
            return apart < 0.0
    return False


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
    cut = _areas(np.zeros(1, dtype=np.int64), 2 + MOST_TRIMMED)
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
        _set_single(areas, a, x, y, followers.pose[a, 2], followers.half_length[a], followers.half_width[a])
    for step in range(1, pose.shape[1]):
        x = ego[step - 1, X]
        y = ego[step - 1, Y]
        _set_single(
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
def _set_way(cut, lanes, arc, first, last, progress, half_width):
    """Write where the way to the end of the lane starts into `cut`: the rest of a segment, and the next one trimmed.

    Returns:
        The segment, and the piece of the lane for which trimmed ones in `cut` stand (-1 for none).
    """
    piece_start = lanes.piece_start
    cut.end[0] = 0
    at = clamped(progress, arc, first, last)
    ahead = vertex_after(arc, first, last, at)
    segment = min(ahead, last) - 1
    low = at if ahead <= last else arc[segment]
    done = -1
    _add_cut(cut, 0, lanes, arc, segment, low, arc[segment + 1], half_width)
    length = arc[segment + 1] - low
    if segment + 1 < last and reaches_past(lanes.direction, segment + 1, length, half_width):
        done = piece_start[segment + 1]
        n = cut.end[0]
        _add_copies(cut, 0, lanes, done, done + 1)
        full = arc[segment + 2] - arc[segment + 1]
        _trim_end(cut, 0, lanes, segment + 1, False, length, full, half_width, n, cut.end[0])
    _no_bounds(cut.bounds, 0)
    for n in range(cut.end[0]):
        widen(cut.bounds, 0, cut.quads, n)
    return segment, done


@kernel
def _faced_speed(a, step, progress, followers, lanes, areas, cut, ego, now, speed, there):
    """Speed of vehicle a after this step, given whoever is ahead on its lane."""
    arc = followers.arc
    first = followers.start[a]
    last = followers.start[a + 1] - 1
    old = speed[a, step - 1]
    leader = NOBODY
    gap = math.inf
    if first < last:
        segment, done = _set_way(cut, lanes, arc, first, last, progress, followers.half_width[a])
        leader, gap = _leader(a, segment, done, cut, followers, lanes, areas, there)
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


@kernel(allocates=True)
def standing_free(x, y, heading, half_length, half_width, count, present, shown):
    """Which standing boxes are shown at each step: those that meet no vehicle and no standing box shown before them.

    `x`, `y` and `heading` are (T, N), half lengths and widths (N,), of all boxes, the `count` moving ones first.
    `present` (count, T) says which of those exist; `shown` (N - count, T) is filled.
    """
    wanted = np.zeros(x.shape[1], dtype=np.bool_)
    wanted[count:] = True
    taken = np.zeros(x.shape[1], dtype=np.bool_)
    for step in range(x.shape[0]):
        taken[:count] = present[:, step]
        taken[count:] = False
        first_come(x[step], y[step], heading[step], half_length, half_width, wanted, taken)
        shown[:, step] = taken[count:]

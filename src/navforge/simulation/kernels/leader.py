"""Compiled search for the leader of a vehicle in reactive traffic: the nearest area that the lane ahead of it meets."""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.convex import circles_gap, quad_distance_squared, quads_meet
from navforge.simulation.kernels.stretch import bounds_apart

NOBODY = -1
SAME_MIDDLE_M = 1e-8
"""Sums of bounds no further apart than this are equal but for rounding."""


@kernel
def find_leader(a, segment, done, cut, followers, lanes, areas, present):
    """Nearest of the areas that the lane ahead of vehicle a meets (the ego's is the last), and its distance in m.

    None leads where that lane does not even meet the vehicle's own area, because the vehicle is beyond its end. The
    devkit asserts that this does not happen; without the assertion it continues as on a free road.

    Of several that overlap the vehicle's own area the one with the lowest middle in y leads, then in x, then the first
    in order: as the devkit's search tree (GEOS `STRtree`, up to ten entries) has it.
    """
    count = len(followers.start) - 1
    leader = NOBODY
    nearest = math.inf
    if not _lane_meets(a, segment, done, cut, followers, lanes, areas, a):
        return leader, nearest
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
def _lane_meets(a, segment, done, cut, followers, lanes, areas, other):
    """Whether the lane ahead of vehicle a meets another's area.

    `cut` holds the first pieces of the way on `segment`, and those that stand for piece `done` of the lane.
    """
    quads = lanes.quads
    circle = lanes.circle
    piece_start = lanes.piece_start
    if not bounds_apart(cut.bounds, 0, areas.bounds, other):
        for n in range(cut.end[0]):
            if _pieces_meet(cut.quads, cut.circle, n, areas, other):
                return True
    if bounds_apart(lanes.bounds, segment, areas.bounds, other):
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
def _pieces_meet(quads, circle, n, areas, other):
    for m in range(areas.start[other], areas.end[other]):
        if circles_gap(circle, n, areas.circle, m) <= 0.0 and quads_meet(quads, n, areas.quads, m):
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
def _below(bounds, i, j):
    """Whether area i comes before area j by the middle of its bounds, y before x; no, where both are equal."""
    for low in (1, 0):
        apart = bounds[i, low] + bounds[i, low + 2] - bounds[j, low] - bounds[j, low + 2]
        if abs(apart) > SAME_MIDDLE_M:
            return apart < 0.0
    return False

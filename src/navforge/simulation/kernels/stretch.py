"""Compiled areas of whole lanes, of stretches of them, and of boxes, as convex pieces with circles and bounds.

The pieces are those of `kernels_lane`; a stretch is the part of a lane between two arc lengths.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel
from navforge.geometry.convex import CORNERS
from navforge.simulation.kernels.lane import (
    clamped,
    lane_pieces,
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

Float = NDArray[np.float64]


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
        no_bounds(bounds, last)
        for k in range(last - 1, first - 1, -1):
            for side in range(4):
                bounds[k, side] = bounds[k + 1, side]
            for piece in range(piece_start[k], piece_start[k + 1]):
                widen(bounds, k, quads, piece)
    return Lanes(origin, xy, direction, quads, circle, piece_start, bounds)


def empty_areas(start: NDArray[np.int64], room: int) -> Areas:
    """Areas to be filled, of `room` pieces in all; `start` (A + 1,) is the first piece of each."""
    return Areas(np.empty((room, CORNERS, 2)), np.empty((room, 3)), start, start.copy(), np.empty((len(start), 4)))


@kernel
def no_bounds(bounds, i):
    """Make bounds i empty, for `widen` to start from."""
    bounds[i, 0] = math.inf
    bounds[i, 1] = math.inf
    bounds[i, 2] = -math.inf
    bounds[i, 3] = -math.inf


@kernel
def bounds_apart(a, i, b, j):
    """Whether bounds i of `a` and bounds j of `b` have no point in common."""
    return a[i, 0] > b[j, 2] or a[i, 2] < b[j, 0] or a[i, 1] > b[j, 3] or a[i, 3] < b[j, 1]


@kernel
def set_single(areas, i, x, y, heading, half_length, half_width):
    """Make area i one oriented box."""
    n = areas.start[i]
    set_box(areas.quads, areas.circle, n, x, y, heading, half_length, half_width)
    areas.end[i] = n + 1
    no_bounds(areas.bounds, i)
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
def add_stretch(areas, i, lanes, arc, first, last, low, high, half_width):
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
def set_way(cut, lanes, arc, first, last, progress, half_width):
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
    no_bounds(cut.bounds, 0)
    for n in range(cut.end[0]):
        widen(cut.bounds, 0, cut.quads, n)
    return segment, done

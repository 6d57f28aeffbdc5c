"""Compiled motion along a lane: poses by arc length, and the area that a vehicle sweeps, as convex pieces.

A lane is a polyline of vertices `first .. last`; segment k leads from vertex k to vertex k + 1. Its area of some width
consists of one rectangle per segment and, on the outer side of every bend, a fan of triangles with as many chords as
GEOS gives a round join (16 per quarter turn): the region of shapely's `buffer` with flat caps. The pieces of segment k
and of the bend at its end are `piece_start[k]` to `piece_start[k + 1]`, the rectangle first.

Where a stretch of a lane ends just after a bend, the rectangle before the bend would reach past the flat cap on the
inner side. GEOS cuts it there; if the last segment is so short that the offset lines do not cross, it leaves a sliver
towards the corner (`trim_corner`).
"""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.convex import CORNERS, set_circle

CHORD_ANGLE = math.pi / 32
"""Turn of one chord of a round join in rad."""
TWO_PI = 2.0 * math.pi
CLOSING = 80.0 / 81.0
"""How far out GEOS closes the gap between offset lines that do not cross, as a share of the width."""
SNAPPED_TURN = 1e-3
"""Below this turn GEOS closes the gap with one point."""
MOST_TRIMMED = 7
"""Pieces that trimming both ends of a stretch may add, notes included."""


@kernel
def principal(angle):
    """Angle in [-pi, pi); rounds as the devkit's `principal_value`."""
    return (angle + math.pi) % TWO_PI - math.pi


@kernel
def vertex_after(arc, first, last, progress):
    """The first vertex of `first .. last` whose arc length exceeds `progress`; `last + 1` if none does."""
    low = first
    high = last + 1
    while low < high:
        middle = (low + high) // 2
        if arc[middle] > progress:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def pose_along(lane, arc, first, last, progress, out, row):
    """Write x, y, heading at an arc length within the lane (V, 3), linear between vertices, into `out[row]`."""
    if first == last:
        for c in range(3):
            out[row, c] = lane[first, c]
    else:
        k = vertex_after(arc, first, last, progress)
        if k - 1 > first and arc[k - 1] == progress:
            k -= 1  # a vertex itself belongs to the segment before it, which decides the last bit
        k = min(max(k, first + 1), last)
        along = progress - arc[k - 1]
        span = arc[k] - arc[k - 1]
        for c in range(3):
            out[row, c] = (lane[k, c] - lane[k - 1, c]) / span * along + lane[k - 1, c]
    out[row, 2] = principal(out[row, 2])


@kernel
def clamped(progress, arc, first, last):
    """An arc length no further than the ends of the lane."""
    return max(arc[first], min(progress, arc[last]))


@kernel
def bend_chords(direction, k):
    """Number of chords of the bend between segments k - 1 and k; `direction` (V, 2) are unit vectors."""
    return max(1, int(abs(_turn(direction, k)) / CHORD_ANGLE + 0.5))


@kernel
def _turn(direction, k):
    cross = direction[k - 1, 0] * direction[k, 1] - direction[k - 1, 1] * direction[k, 0]
    dot = direction[k - 1, 0] * direction[k, 0] + direction[k - 1, 1] * direction[k, 1]
    return math.atan2(cross, dot)


@kernel
def set_strip(quads, circle, n, ax, ay, bx, by, ux, uy, half_width):
    """Write the rectangle about a-b, whose direction is (ux, uy), as piece n."""
    nx = -uy * half_width
    ny = ux * half_width
    quads[n, 0, 0] = ax + nx
    quads[n, 0, 1] = ay + ny
    quads[n, 1, 0] = ax - nx
    quads[n, 1, 1] = ay - ny
    quads[n, 2, 0] = bx - nx
    quads[n, 2, 1] = by - ny
    quads[n, 3, 0] = bx + nx
    quads[n, 3, 1] = by + ny
    set_circle(circle, quads, n)


@kernel
def set_box(quads, circle, n, x, y, heading, half_length, half_width):
    """Write an oriented box as piece n."""
    ux = math.cos(heading)
    uy = math.sin(heading)
    dx = ux * half_length
    dy = uy * half_length
    set_strip(quads, circle, n, x - dx, y - dy, x + dx, y + dy, ux, uy, half_width)


@kernel
def set_bend(quads, circle, n, x, y, direction, k, half_width):
    """Write the fan of the bend at vertex k, at (x, y), as pieces n and following."""
    turn = _turn(direction, k)
    side = -half_width if turn > 0.0 else half_width
    nx = -direction[k - 1, 1] * side
    ny = direction[k - 1, 0] * side
    chords = bend_chords(direction, k)
    px = x + nx
    py = y + ny
    for i in range(chords):
        if i == chords - 1:
            qx = x - direction[k, 1] * side
            qy = y + direction[k, 0] * side
        else:
            c = math.cos(turn * (i + 1) / chords)
            s = math.sin(turn * (i + 1) / chords)
            qx = x + c * nx - s * ny
            qy = y + s * nx + c * ny
        quads[n + i, 0, 0] = x
        quads[n + i, 0, 1] = y
        quads[n + i, 1, 0] = px
        quads[n + i, 1, 1] = py
        quads[n + i, 2, 0] = qx
        quads[n + i, 2, 1] = qy
        quads[n + i, 3, 0] = qx
        quads[n + i, 3, 1] = qy
        set_circle(circle, quads, n + i)
        px = qx
        py = qy


@kernel
def set_directions(xy, first, last, direction):
    """Write the unit vectors of the segments of `xy` (V, 2) into `direction` (V, 2)."""
    for k in range(first, last):
        dx = xy[k + 1, 0] - xy[k, 0]
        dy = xy[k + 1, 1] - xy[k, 1]
        length = math.sqrt(dx * dx + dy * dy)
        direction[k, 0] = dx / length
        direction[k, 1] = dy / length


@kernel
def lane_pieces(first, last, direction):
    """Number of pieces of a lane's area."""
    count = 0
    for k in range(first, last):
        count += 1
        if k + 1 < last:
            count += bend_chords(direction, k + 1)
    return count


@kernel
def set_lane(xy, first, last, direction, half_width, n, quads, circle, piece_start):
    """Write the pieces of a lane's area from piece n on, and where those of each segment start; returns the next n."""
    for k in range(first, last):
        piece_start[k] = n
        set_strip(
            quads, circle, n, xy[k, 0], xy[k, 1], xy[k + 1, 0], xy[k + 1, 1],
            direction[k, 0], direction[k, 1], half_width,
        )  # fmt: skip
        n += 1
        if k + 1 < last:
            set_bend(quads, circle, n, xy[k + 1, 0], xy[k + 1, 1], direction, k + 1, half_width)
            n += bend_chords(direction, k + 1)
    piece_start[last] = n
    return n


@kernel
def reaches_past(direction, bend, length, half_width):
    """Whether the rectangle on the other side of a bend reaches past the cap, `length` from the bend."""
    turn = abs(_turn(direction, bend))
    return length < half_width * math.sin(turn) and turn < 0.5 * math.pi


@kernel
def trim_corner(quads, circle, n, x, y, direction, bend, forward, length, full, half_width):
    """The cap that trims a rectangle, and the sliver GEOS leaves of its corner, which becomes piece n.

    The vertex `bend` at (x, y) lies between the rectangle, `full` m long, and the short segment at the end of the
    stretch, `length` m long. `forward` says whether the stretch ends after the bend or starts before it.

    Returns:
        Normal and offset of the half plane nx x + ny y <= c that holds the rectangle, and the next n.
    """
    turn = _turn(direction, bend)
    short, long = (bend, bend - 1) if forward else (bend - 1, bend)
    sign = 1.0 if forward else -1.0
    ux = sign * direction[short, 0]
    uy = sign * direction[short, 1]
    limit = ux * x + uy * y + length
    crossing = half_width * math.tan(0.5 * abs(turn))
    if length >= crossing and full >= crossing:
        return ux, uy, limit, n
    if abs(turn) < SNAPPED_TURN and (turn > 0.0) != forward:
        return ux, uy, limit, n
    side = half_width if turn > 0.0 else -half_width
    px = -direction[long, 1] * side
    py = direction[long, 0] * side
    qx = -direction[short, 1] * side
    qy = direction[short, 0] * side
    if abs(turn) < SNAPPED_TURN:
        ax = px
        ay = py
        bx = qx + ux * length
        by = qy + uy * length
    else:
        ax = CLOSING * px
        ay = CLOSING * py
        bx = CLOSING * qx
        by = CLOSING * qy
    # where the cap's line meets the chord a-b and the rectangle's edge
    along = (length - ax * ux - ay * uy) / ((bx - ax) * ux + (by - ay) * uy)
    along = min(max(along, 0.0), 1.0)
    vx = sign * direction[long, 0]
    vy = sign * direction[long, 1]
    back = (length - px * ux - py * uy) / (vx * ux + vy * uy)
    back = max(back, -full)
    quads[n, 0, 0] = x + px
    quads[n, 0, 1] = y + py
    quads[n, 1, 0] = x + ax
    quads[n, 1, 1] = y + ay
    quads[n, 2, 0] = x + ax + along * (bx - ax)
    quads[n, 2, 1] = y + ay + along * (by - ay)
    quads[n, 3, 0] = x + px + back * vx
    quads[n, 3, 1] = y + py + back * vy
    set_circle(circle, quads, n)
    return ux, uy, limit, n + 1


@kernel
def trim(quads, circle, n, spare, nx, ny, limit):
    """Cut piece n down to the half plane nx x + ny y <= limit; a fifth corner needs piece `spare`. Returns the next.

    Pieces `spare` and `spare + 1` serve as notes.
    """
    count = 0
    for e in range(CORNERS):
        f = (e + 1) % CORNERS
        here = nx * quads[n, e, 0] + ny * quads[n, e, 1] - limit
        there = nx * quads[n, f, 0] + ny * quads[n, f, 1] - limit
        if here <= 0.0:
            _note(quads, spare, count, quads[n, e, 0], quads[n, e, 1])
            count += 1
        if (here < 0.0 < there) or (there < 0.0 < here):
            share = here / (here - there)
            x = quads[n, e, 0] + share * (quads[n, f, 0] - quads[n, e, 0])
            y = quads[n, e, 1] + share * (quads[n, f, 1] - quads[n, e, 1])
            _note(quads, spare, count, x, y)
            count += 1
    if count < 3:
        return spare
    for c in range(CORNERS):
        kept = min(c, count - 1)
        _note(quads, n, c, quads[spare, kept, 0], quads[spare, kept, 1])
    set_circle(circle, quads, n)
    if count <= CORNERS:
        return spare
    # corners 3, 4, 0
    _note(quads, spare, 2, quads[spare, 0, 0], quads[spare, 0, 1])
    _note(quads, spare, 0, quads[spare, 3, 0], quads[spare, 3, 1])
    _note(quads, spare, 1, quads[spare + 1, 0, 0], quads[spare + 1, 0, 1])
    _note(quads, spare, 3, quads[spare, 2, 0], quads[spare, 2, 1])
    set_circle(circle, quads, spare)
    return spare + 1


@kernel
def _note(quads, n, corner, x, y):
    """Write a corner, counted on into the next piece."""
    quads[n + corner // CORNERS, corner % CORNERS, 0] = x
    quads[n + corner // CORNERS, corner % CORNERS, 1] = y


@kernel
def widen(bounds, i, quads, n):
    """Widen x min, y min, x max, y max of area i by piece n."""
    for c in range(CORNERS):
        bounds[i, 0] = min(bounds[i, 0], quads[n, c, 0])
        bounds[i, 1] = min(bounds[i, 1], quads[n, c, 1])
        bounds[i, 2] = max(bounds[i, 2], quads[n, c, 0])
        bounds[i, 3] = max(bounds[i, 3], quads[n, c, 1])

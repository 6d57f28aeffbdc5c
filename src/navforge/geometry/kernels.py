"""Compiled plane geometry on flat arrays: points in polygons, oriented boxes, polylines.

Scalar functions in the subset of Python that numba compiles for CPU and CUDA alike; float64, no tolerances. A point on
a boundary is not inside (strict containment), boxes that touch overlap: the rules of the shapely predicates that the
devkit uses.
"""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel

OUTSIDE, INSIDE, ON_BOUNDARY = 0, 1, 2


@kernel
def ring_side(xy, start, end, x, y):
    """Whether a point is outside, inside or on a closed ring `xy[start:end]` (crossing parity to the right)."""
    inside = False
    for i in range(start, end - 1):
        ax = xy[i, 0] - x
        ay = xy[i, 1] - y
        bx = xy[i + 1, 0] - x
        by = xy[i + 1, 1] - y
        if (ay > 0.0 and by > 0.0) or (ay < 0.0 and by < 0.0):
            continue
        if ax < 0.0 and bx < 0.0:
            continue
        cross = ax * by - ay * bx
        if cross == 0.0 and min(ax, bx) <= 0.0 <= max(ax, bx):
            return ON_BOUNDARY
        if (ay > 0.0) != (by > 0.0) and (cross > 0.0) == (by > ay):
            inside = not inside
    return INSIDE if inside else OUTSIDE


@kernel
def in_polygon(xy, ring_start, polygon_start, bounds, p, x, y):
    """Strict containment of a point in polygon p (exterior and holes by parity)."""
    if x <= bounds[p, 0] or x >= bounds[p, 2] or y <= bounds[p, 1] or y >= bounds[p, 3]:
        return False
    inside = False
    for r in range(polygon_start[p], polygon_start[p + 1]):
        side = ring_side(xy, ring_start[r], ring_start[r + 1], x, y)
        if side == ON_BOUNDARY:
            return False
        if side == INSIDE:
            inside = not inside
    return inside


@kernel
def boxes_overlap(dx, dy, c1, s1, half_length1, half_width1, c2, s2, half_length2, half_width2):
    """Whether two oriented boxes share a point, touching included (separating axes).

    (dx, dy) leads from the centre of box 1 to that of box 2; (c, s) are cosine and sine of the headings. A box without
    length is a segment.
    """
    c = abs(c1 * c2 + s1 * s2)
    s = abs(c1 * s2 - s1 * c2)
    if abs(dx * c1 + dy * s1) > half_length1 + half_length2 * c + half_width2 * s:
        return False
    if abs(dy * c1 - dx * s1) > half_width1 + half_length2 * s + half_width2 * c:
        return False
    if abs(dx * c2 + dy * s2) > half_length2 + half_length1 * c + half_width1 * s:
        return False
    return abs(dy * c2 - dx * s2) <= half_width2 + half_length1 * s + half_width1 * c


@kernel
def segment_meets_box(ax, ay, bx, by, half_length, half_width):
    """Whether the segment a-b, in the frame of an axis-parallel box around the origin, shares a point with the box."""
    if max(ax, bx) < -half_length or min(ax, bx) > half_length:
        return False
    if max(ay, by) < -half_width or min(ay, by) > half_width:
        return False
    nx = by - ay
    ny = ax - bx
    return abs(ax * nx + ay * ny) <= half_length * abs(nx) + half_width * abs(ny)


@kernel
def box_meets_polygon(xy, ring_start, polygon_start, bounds, p, x, y, c, s, half_length, half_width):
    """Whether an oriented box shares a point with polygon p, touching included."""
    reach_x = half_length * abs(c) + half_width * abs(s)
    reach_y = half_length * abs(s) + half_width * abs(c)
    if x + reach_x < bounds[p, 0] or x - reach_x > bounds[p, 2]:
        return False
    if y + reach_y < bounds[p, 1] or y - reach_y > bounds[p, 3]:
        return False
    for r in range(polygon_start[p], polygon_start[p + 1]):
        for i in range(ring_start[r], ring_start[r + 1] - 1):
            ax = xy[i, 0] - x
            ay = xy[i, 1] - y
            bx = xy[i + 1, 0] - x
            by = xy[i + 1, 1] - y
            if segment_meets_box(
                c * ax + s * ay, c * ay - s * ax, c * bx + s * by, c * by - s * bx, half_length, half_width
            ):
                return True
    return in_polygon(xy, ring_start, polygon_start, bounds, p, x, y)


@kernel
def segment_distance_squared(ax, ay, bx, by, x, y):
    """Squared distance of a point to the segment a-b."""
    ux = bx - ax
    uy = by - ay
    px = x - ax
    py = y - ay
    length_squared = ux * ux + uy * uy
    if length_squared > 0.0:
        along = (px * ux + py * uy) / length_squared
        if along >= 1.0:
            px = x - bx
            py = y - by
        elif along > 0.0:
            across = px * uy - py * ux
            return across * across / length_squared
    return px * px + py * py


@kernel
def locate_along(xy, length_before, x, y):
    """Arc length (m) of the point of a polyline (M, 2) nearest to (x, y); the first one if several are.

    `length_before` (M,) is the arc length at each vertex. Source: GEOS `LengthIndexOfPoint`, shapely's `project`.
    """
    best = math.inf
    measure = 0.0
    for i in range(xy.shape[0] - 1):
        distance_squared = segment_distance_squared(xy[i, 0], xy[i, 1], xy[i + 1, 0], xy[i + 1, 1], x, y)
        if distance_squared < best:
            best = distance_squared
            ux = xy[i + 1, 0] - xy[i, 0]
            uy = xy[i + 1, 1] - xy[i, 1]
            length_squared = ux * ux + uy * uy
            along = 0.0
            if length_squared > 0.0:
                along = ((x - xy[i, 0]) * ux + (y - xy[i, 1]) * uy) / length_squared
                along = min(max(along, 0.0), 1.0)
            measure = length_before[i] + along * math.sqrt(length_squared)
    return measure

"""Compiled plane geometry on flat arrays: points in polygons, oriented boxes, polylines.

Scalar functions in the subset of Python that numba compiles for CPU and CUDA alike; float64, no tolerances. A point on
a boundary is not inside (strict containment), boxes that touch overlap: the rules of the shapely predicates that the
devkit uses.
"""

from __future__ import annotations

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import any_lane, larger, smaller

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
def ring_sides(xy, start, end, x, y):
    """(inside, on the boundary) of a closed ring `xy[start:end]`; as `ring_side`, also for points given as lanes."""
    ax = xy[start, 0] - x
    ay = xy[start, 1] - y
    above = ay > 0.0
    inside = above ^ above
    boundary = inside
    for i in range(start + 1, end):
        bx = xy[i, 0] - x
        by = xy[i, 1] - y
        next_above = by > 0.0
        cross = ax * by - ay * bx
        inside = inside ^ ((above ^ next_above) & ((cross > 0.0) ^ (by <= ay)) & ((ax >= 0.0) | (bx >= 0.0)))
        boundary = boundary | (
            (cross == 0.0)
            & (smaller(ax, bx) <= 0.0)
            & (larger(ax, bx) >= 0.0)
            & (smaller(ay, by) <= 0.0)
            & (larger(ay, by) >= 0.0)
        )
        ax = bx
        ay = by
        above = next_above
    return inside, boundary


@kernel
def boxes_overlap(dx, dy, c1, s1, half_length1, half_width1, c2, s2, half_length2, half_width2):
    """Whether two oriented boxes share a point, touching included (separating axes); numbers or lanes.

    (dx, dy) leads from the centre of box 1 to that of box 2; (c, s) are cosine and sine of the headings. A box without
    length is a segment.
    """
    c = abs(c1 * c2 + s1 * s2)
    s = abs(c1 * s2 - s1 * c2)
    return (
        (abs(dx * c1 + dy * s1) <= half_length1 + half_length2 * c + half_width2 * s)
        & (abs(dy * c1 - dx * s1) <= half_width1 + half_length2 * s + half_width2 * c)
        & (abs(dx * c2 + dy * s2) <= half_length2 + half_length1 * c + half_width1 * s)
        & (abs(dy * c2 - dx * s2) <= half_width2 + half_length1 * s + half_width1 * c)
    )


@kernel
def segment_meets_box(ax, ay, bx, by, half_length, half_width):
    """Whether the segment a-b, in the frame of an axis-parallel box around the origin, shares a point with the box.

    Numbers or lanes.
    """
    nx = by - ay
    ny = ax - bx
    return (
        (larger(ax, bx) >= -half_length)
        & (smaller(ax, bx) <= half_length)
        & (larger(ay, by) >= -half_width)
        & (smaller(ay, by) <= half_width)
        & (abs(ax * nx + ay * ny) <= half_length * abs(nx) + half_width * abs(ny))
    )


@kernel
def box_meets_polygon(xy, ring_start, polygon_start, bounds, p, x, y, c, s, half_length, half_width):
    """Whether an oriented box shares a point with polygon p, touching included; numbers or lanes."""
    reach_x = half_length * abs(c) + half_width * abs(s)
    reach_y = half_length * abs(s) + half_width * abs(c)
    near = (
        (x + reach_x >= bounds[p, 0])
        & (x - reach_x <= bounds[p, 2])
        & (y + reach_y >= bounds[p, 1])
        & (y - reach_y <= bounds[p, 3])
    )
    if not any_lane(near):
        return near
    met = near ^ near
    within = met
    for r in range(polygon_start[p], polygon_start[p + 1]):
        start = ring_start[r]
        end = ring_start[r + 1]
        inside, boundary = ring_sides(xy, start, end, x, y)
        met = met | boundary
        within = within ^ inside
        dx = xy[start, 0] - x
        dy = xy[start, 1] - y
        ax = c * dx + s * dy
        ay = c * dy - s * dx
        for i in range(start + 1, end):
            dx = xy[i, 0] - x
            dy = xy[i, 1] - y
            bx = c * dx + s * dy
            by = c * dy - s * dx
            met = met | segment_meets_box(ax, ay, bx, by, half_length, half_width)
            ax = bx
            ay = by
    return near & (met | within)


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

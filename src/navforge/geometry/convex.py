"""Compiled distances between areas made of convex quadrilaterals; a triangle repeats a vertex.

Scalar functions in the subset of Python that numba compiles for CPU and CUDA alike; float64, no tolerances. Pieces
that touch meet.
"""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import segment_distance_squared

CORNERS = 4


@kernel
def quads_apart(a, i, b, j):
    """Whether an edge of quadrilateral i of `a` (N, 4, 2) separates it from quadrilateral j of `b` (M, 4, 2)."""
    for e in range(CORNERS):
        f = (e + 1) % CORNERS
        nx = a[i, f, 1] - a[i, e, 1]
        ny = a[i, e, 0] - a[i, f, 0]
        if nx == 0.0 and ny == 0.0:
            continue
        own_low = math.inf
        own_high = -math.inf
        low = math.inf
        high = -math.inf
        for c in range(CORNERS):
            own = nx * (a[i, c, 0] - a[i, e, 0]) + ny * (a[i, c, 1] - a[i, e, 1])
            other = nx * (b[j, c, 0] - a[i, e, 0]) + ny * (b[j, c, 1] - a[i, e, 1])
            own_low = min(own_low, own)
            own_high = max(own_high, own)
            low = min(low, other)
            high = max(high, other)
        if low > own_high or high < own_low:
            return True
    return False


@kernel
def quads_meet(a, i, b, j):
    """Whether two convex quadrilaterals share a point (separating axes)."""
    return not quads_apart(a, i, b, j) and not quads_apart(b, j, a, i)


@kernel
def quad_distance_squared(a, i, b, j):
    """Squared distance of two convex quadrilaterals; 0 where they share a point."""
    if quads_meet(a, i, b, j):
        return 0.0
    best = math.inf
    for e in range(CORNERS):
        f = (e + 1) % CORNERS
        for c in range(CORNERS):
            from_b = segment_distance_squared(a[i, e, 0], a[i, e, 1], a[i, f, 0], a[i, f, 1], b[j, c, 0], b[j, c, 1])
            from_a = segment_distance_squared(b[j, e, 0], b[j, e, 1], b[j, f, 0], b[j, f, 1], a[i, c, 0], a[i, c, 1])
            best = min(best, from_a, from_b)
    return best


@kernel
def set_circle(circle, quads, i):
    """Write centre and radius of a circle around quadrilateral i of `quads` into `circle[i]`."""
    x = 0.25 * (quads[i, 0, 0] + quads[i, 1, 0] + quads[i, 2, 0] + quads[i, 3, 0])
    y = 0.25 * (quads[i, 0, 1] + quads[i, 1, 1] + quads[i, 2, 1] + quads[i, 3, 1])
    reach = 0.0
    for c in range(CORNERS):
        dx = quads[i, c, 0] - x
        dy = quads[i, c, 1] - y
        reach = max(reach, dx * dx + dy * dy)
    circle[i, 0] = x
    circle[i, 1] = y
    circle[i, 2] = math.sqrt(reach) * (1.0 + 1e-12)


@kernel
def circles_gap(a, i, b, j):
    """Distance between two circles x, y, radius; negative where they overlap."""
    dx = a[i, 0] - b[j, 0]
    dy = a[i, 1] - b[j, 1]
    return math.sqrt(dx * dx + dy * dy) - a[i, 2] - b[j, 2]

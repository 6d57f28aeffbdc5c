"""Compiled inner loops of the traffic simulation."""

from __future__ import annotations

from math import cos, hypot, sin

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel

Float = NDArray[np.float64]

NOTHING = -1


@kernel(allocates=True)
def first_obstacles(
    paths: Float,
    path_start: NDArray[np.int64],
    spacing: float,
    front: Float,
    half_width: Float,
    boxes: Float,
    velocity: Float,
    owner: NDArray[np.int64],
    horizon: float,
) -> tuple[Float, NDArray[np.int64], Float]:
    """For every mover, the first box its corridor meets ahead of its front bumper.

    Args:
        paths: (V, 3) x, y, heading of all paths one after another, vertices `spacing` apart.
        path_start: (M + 1,) first vertex of each mover's path.
        spacing: m.
        front: (M,) arc length of each mover's front bumper on its path.
        half_width: (M,) half the corridor's width.
        boxes: (N, 5) x, y, heading, length, width.
        velocity: (N, 2) of the boxes.
        owner: (N,) mover a box belongs to, or negative; a mover never meets its own boxes.
        horizon: how far ahead to look, m.

    Returns:
        gap (M,) in m, `horizon` where free; index of the box (M,) or `NOTHING`; its speed along the path (M,).
    """
    movers, count = len(front), len(boxes)
    gap = np.full(movers, horizon)
    hit = np.full(movers, NOTHING)
    speed = np.zeros(movers)
    near = np.empty(count, np.int64)
    for m in range(movers):
        first = path_start[m] + int(np.ceil(front[m] / spacing))
        last = min(first + int(horizon / spacing), path_start[m + 1] - 1)
        if first > last:
            continue
        close = 0
        for n in range(count):
            reach = horizon + 10.0
            if owner[n] != m and hypot(boxes[n, 0] - paths[first, 0], boxes[n, 1] - paths[first, 1]) < reach:
                near[close] = n
                close += 1
        for p in range(first, last + 1):
            for k in range(close):
                n = near[k]
                c, s = cos(boxes[n, 2]), sin(boxes[n, 2])
                dx, dy = paths[p, 0] - boxes[n, 0], paths[p, 1] - boxes[n, 1]
                along = abs(c * dx + s * dy) - boxes[n, 3] / 2
                across = abs(c * dy - s * dx) - boxes[n, 4] / 2
                if hypot(max(along, 0.0), max(across, 0.0)) < half_width[m]:
                    free = (p - path_start[m]) * spacing - front[m]
                    if hit[m] == NOTHING or free < gap[m]:
                        gap[m] = free
                        hit[m] = n
                        heading = paths[p, 2]
                        speed[m] = velocity[n, 0] * cos(heading) + velocity[n, 1] * sin(heading)
            if hit[m] != NOTHING:
                break
    return gap, hit, speed


@kernel(allocates=True)
def boxes_overlap(one: Float, others: Float, margin: float) -> NDArray[np.bool_]:
    """Whether `one` (5,), grown by `margin` on all sides, overlaps each of `others` (N, 5); boxes x y heading l w."""
    result = np.zeros(len(others), np.bool_)
    for n in range(len(others)):
        result[n] = _overlap(one, others[n], margin)
    return result


@kernel(allocates=True)
def _overlap(a: Float, b: Float, margin: float) -> bool:
    dx, dy = b[0] - a[0], b[1] - a[1]
    al, aw, bl, bw = a[3] / 2 + margin, a[4] / 2 + margin, b[3] / 2, b[4] / 2
    if hypot(dx, dy) > hypot(al, aw) + hypot(bl, bw):
        return False
    turn = b[2] - a[2]
    c, s = abs(cos(turn)), abs(sin(turn))
    ca, sa, cb, sb = cos(a[2]), sin(a[2]), cos(b[2]), sin(b[2])
    if abs(ca * dx + sa * dy) > al + bl * c + bw * s or abs(ca * dy - sa * dx) > aw + bl * s + bw * c:
        return False
    return not (abs(cb * dx + sb * dy) > bl + al * c + aw * s or abs(cb * dy - sb * dx) > bw + al * s + aw * c)


@kernel(allocates=True)
def blocking_boxes(line: Float, boxes: Float, half_width: float) -> NDArray[np.bool_]:
    """Which boxes (N, 5) come closer than `half_width` to a vertex of the line (P, 2)."""
    result = np.zeros(len(boxes), np.bool_)
    for n in range(len(boxes)):
        c, s = cos(boxes[n, 2]), sin(boxes[n, 2])
        for p in range(len(line)):
            dx, dy = line[p, 0] - boxes[n, 0], line[p, 1] - boxes[n, 1]
            along = abs(c * dx + s * dy) - boxes[n, 3] / 2
            across = abs(c * dy - s * dx) - boxes[n, 4] / 2
            if hypot(max(along, 0.0), max(across, 0.0)) < half_width:
                result[n] = True
                break
    return result

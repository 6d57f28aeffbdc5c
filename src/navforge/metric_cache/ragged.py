"""Compiled look-ups in ragged tables: rows of unequal length end to end, with where each row starts."""

from __future__ import annotations

import numpy as np

from navforge.geometry.compiled import kernel


@kernel(allocates=True)
def slices(start, rows):
    """Elements of some rows of a table, row after row.

    Args:
        start: (R + 1,) row r has the elements `start[r]:start[r + 1]`.
        rows: (N,) rows.

    Returns:
        (M,) which of the N rows an element is of, (M,) the element.
    """
    total = 0
    for row in rows:
        total += start[row + 1] - start[row]
    number = np.empty(total, np.int64)
    element = np.empty(total, np.int64)
    at = 0
    for i in range(len(rows)):
        for k in range(start[rows[i]], start[rows[i] + 1]):
            number[at] = i
            element[at] = k
            at += 1
    return number, element


@kernel(allocates=True)
def gather_polygons(rows, polygon_start, ring_start, xy):
    """Some polygons of a table as a table of their own: vertices (V, 2), ring starts, polygon starts."""
    rings = 0
    vertices = 0
    for p in rows:
        rings += polygon_start[p + 1] - polygon_start[p]
        vertices += ring_start[polygon_start[p + 1]] - ring_start[polygon_start[p]]
    out_xy = np.empty((vertices, 2))
    out_ring = np.zeros(rings + 1, np.int64)
    out_polygon = np.zeros(len(rows) + 1, np.int64)
    ring = 0
    vertex = 0
    for i in range(len(rows)):
        for r in range(polygon_start[rows[i]], polygon_start[rows[i] + 1]):
            for v in range(ring_start[r], ring_start[r + 1]):
                out_xy[vertex, 0] = xy[v, 0]
                out_xy[vertex, 1] = xy[v, 1]
                vertex += 1
            ring += 1
            out_ring[ring] = vertex
        out_polygon[i + 1] = ring
    return out_xy, out_ring, out_polygon


@kernel(allocates=True)
def is_listed(values, listed):
    """(N,) whether each value is one of a few (`numpy.isin`, quicker on small arrays)."""
    out = np.zeros(len(values), np.bool_)
    for i in range(len(values)):
        for one in listed:
            if values[i] == one:
                out[i] = True
                break
    return out


@kernel(allocates=True)
def polygons_near(xy, ring_start, polygon_start, bounds):
    """Polygons whose bounds meet `bounds` (4,) low x, low y, high x, high y."""
    rows = np.empty(len(polygon_start) - 1, np.int64)
    count = 0
    for p in range(len(rows)):
        first = ring_start[polygon_start[p]]
        last = ring_start[polygon_start[p + 1]]
        left = below = right = above = True
        for v in range(first, last):
            left &= xy[v, 0] < bounds[0]
            below &= xy[v, 1] < bounds[1]
            right &= xy[v, 0] > bounds[2]
            above &= xy[v, 1] > bounds[3]
        if not (left or below or right or above):
            rows[count] = p
            count += 1
    return rows[:count]

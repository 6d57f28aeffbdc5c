"""Compiled questions about the map: is a point in a class of polygons, does the ego cover several lanes."""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import larger, smaller
from navforge.scoring.kernels.motion import HALF_LENGTH, HALF_WIDTH, corner

DRIVABLE, ON_ROUTE, INTERSECTION, LANE = range(4)
CLASSES = 4
RASTER_CLASSES = 3
RASTER_OUTSIDE, RASTER_INSIDE, RASTER_TEST = 0, 1, 2
RASTER_ALL_TEST = np.uint8(0b101010)
STRIPES_PER_M = 1.0


@kernel
def bin_of(areas, x, y):
    """Index (row * bins + column) of the bin of a point, or -1 outside the bins."""
    column = (x - areas.bin_grid[0]) / areas.bin_grid[2]
    row = (y - areas.bin_grid[1]) / areas.bin_grid[2]
    if 0.0 <= column < areas.bin_count and 0.0 <= row < areas.bin_count:
        return int(row) * areas.bin_count + int(column)
    return -1


@kernel
def candidates(areas, area, x, y):
    """Range (first, last, in bins) of the polygons of a class that may contain a point."""
    cell = bin_of(areas, x, y)
    if cell < 0:
        return areas.member_start[area], areas.member_start[area + 1], False
    at = area * areas.bin_count * areas.bin_count + cell
    return areas.bin_start[at], areas.bin_start[at + 1], True


@kernel
def candidate(areas, i, binned):
    """Polygon of position i of a range of `candidates`."""
    if binned:
        return areas.bin_members[i]
    return areas.members[i]


@kernel
def contains(areas, p, x, y):
    """Strict containment in polygon p, as `geometry.kernels.in_polygon`: only edges of the point's stripe are asked.

    An edge lies in all stripes from that of its lower end to that of its upper end. The stripe is a monotone function
    of the coordinate, rounding included, so no edge that reaches the point's coordinate is missed.
    """
    bounds = areas.polygons.bounds
    if not (bounds[p, 0] < x < bounds[p, 2] and bounds[p, 1] < y < bounds[p, 3]):
        return False
    across = areas.stripe_axis[p]
    along = 1 - across
    u = y if across == 0 else x
    v = x if across == 0 else y
    stripe = areas.stripe_first[p] + int((v - bounds[p, across]) * STRIPES_PER_M)
    xy = areas.polygons.xy
    inside = False
    for k in range(areas.stripe_start[stripe], areas.stripe_start[stripe + 1]):
        i = areas.stripe_edge[k]
        av = xy[i, across] - v
        bv = xy[i + 1, across] - v
        if (av > 0.0 and bv > 0.0) or (av < 0.0 and bv < 0.0):
            continue
        au = xy[i, along] - u
        bu = xy[i + 1, along] - u
        if au < 0.0 and bu < 0.0:
            continue
        cross = au * bv - av * bu
        if cross == 0.0 and min(au, bu) <= 0.0 <= max(au, bu):
            return False
        if (av > 0.0) != (bv > 0.0) and (cross > 0.0) == (bv > av):
            inside = not inside
    return inside


@kernel
def in_area_exact(areas, area, x, y):
    """Whether a point is strictly inside any polygon of a class."""
    first, last, binned = candidates(areas, area, x, y)
    for i in range(first, last):
        if contains(areas, candidate(areas, i, binned), x, y):
            return True
    return False


@kernel
def cell_of(areas, x, y):
    """Cell of the raster that a point lies in, as a float64 or lanes of it; outside, the nearest cell of the border."""
    column = (x - areas.raster_grid[0]) * areas.raster_scale
    row = (y - areas.raster_grid[1]) * areas.raster_scale
    return cell_at(areas, column, row)


@kernel
def cell_at(areas, column, row):
    """Cell of a point given in cells from the raster's lower corner."""
    column = math.floor(smaller(larger(0.0, column), areas.raster_columns - 1.0))
    row = math.floor(smaller(larger(0.0, row), areas.raster_rows - 1.0))
    return row * areas.raster_columns + column


@kernel
def in_area(areas, area, x, y):
    """As `in_area_exact`, by the raster where that decides (not for class LANE)."""
    code = (areas.raster[int(cell_of(areas, x, y))] >> (2 * area)) & 3
    if code == RASTER_TEST:
        return in_area_exact(areas, area, x, y)
    return code == RASTER_INSIDE


@kernel
def box_leaves_drivable(areas, x, y, c, s):
    """Whether a corner of the ego's box is off the drivable area."""
    for k in range(4):
        corner_x, corner_y = corner(x, y, c, s, HALF_LENGTH, HALF_WIDTH, k)
        if not in_area(areas, DRIVABLE, corner_x, corner_y):
            return True
    return False


@kernel
def in_multiple_lanes(areas, x, y, c, s, half_length, half_width):
    """Whether the corners of a box lie in more than one lane polygon while no lane polygon holds all four."""
    lanes = 0
    for k in range(4):
        cx, cy = corner(x, y, c, s, half_length, half_width, k)
        first, last, binned = candidates(areas, LANE, cx, cy)
        for i in range(first, last):
            p = candidate(areas, i, binned)
            if not contains(areas, p, cx, cy):
                continue
            seen = False
            held = 1
            for other in range(4):
                if other == k:
                    continue
                ox, oy = corner(x, y, c, s, half_length, half_width, other)
                if contains(areas, p, ox, oy):
                    held += 1
                    if other < k:
                        seen = True
            if held == 4:
                return False
            if not seen:
                lanes += 1
    return lanes > 1


@kernel
def stripe_of(bounds, p, axis, value):
    """Stripe of polygon p, counted from its first, that a coordinate lies in."""
    return int((value - bounds[p, axis]) * STRIPES_PER_M)


@kernel
def fill_stripes(shapes, axis, first, start, edges):
    """Edges of each polygon by stripe. With empty `edges` only `axis`, `first` and `start` are filled.

    Args:
        shapes: `PolygonArrays`.
        axis: (P,) uint8, the coordinate that stripes divide: that of the polygon's longer extent, so that few edges
            share a stripe.
        first: (P + 1,) int32, first stripe of each polygon.
        start: (stripes + 1,) int32, or more, first edge of each stripe.
        edges: (edges,) int32, vertices at which edges begin.
    """
    bounds = shapes.bounds
    fill = edges.shape[0] > 0
    if not fill:
        first[0] = 0
        for p in range(axis.shape[0]):
            axis[p] = 0 if bounds[p, 2] - bounds[p, 0] > bounds[p, 3] - bounds[p, 1] else 1
            first[p + 1] = first[p] + stripe_of(bounds, p, axis[p], bounds[p, axis[p] + 2]) + 1
        start[: first[axis.shape[0]] + 1] = 0
    for p in range(axis.shape[0]):
        for r in range(shapes.polygon_start[p], shapes.polygon_start[p + 1]):
            for i in range(shapes.ring_start[r], shapes.ring_start[r + 1] - 1):
                a = first[p] + stripe_of(bounds, p, axis[p], shapes.xy[i, axis[p]])
                b = first[p] + stripe_of(bounds, p, axis[p], shapes.xy[i + 1, axis[p]])
                for stripe in range(min(a, b), max(a, b) + 1):
                    if fill:
                        start[stripe] -= 1
                        edges[start[stripe]] = i
                    else:
                        start[stripe] += 1
    if not fill:
        total = 0
        for stripe in range(first[axis.shape[0]] + 1):
            total += start[stripe]
            start[stripe] = total


@kernel(allocates=True)
def fill_bins(bounds, member_start, members, grid, count, start, items):
    """Bins of each class: polygons whose bounds touch the bin. With empty `items` only `start` is filled."""
    fill = items.shape[0] > 0
    cells = count * count
    cursor = np.zeros(CLASSES * cells, dtype=np.int64)
    for area in range(CLASSES):
        for m in range(member_start[area], member_start[area + 1]):
            p = members[m]
            low_column = min(max(math.floor((bounds[p, 0] - grid[0]) / grid[2]), 0), count)
            low_row = min(max(math.floor((bounds[p, 1] - grid[1]) / grid[2]), 0), count)
            high_column = min(max(math.floor((bounds[p, 2] - grid[0]) / grid[2]), -1), count - 1)
            high_row = min(max(math.floor((bounds[p, 3] - grid[1]) / grid[2]), -1), count - 1)
            for row in range(low_row, high_row + 1):
                for column in range(low_column, high_column + 1):
                    at = area * cells + row * count + column
                    if fill:
                        items[start[at] + cursor[at]] = p
                    cursor[at] += 1
    if not fill:
        start[0] = 0
        for at in range(CLASSES * cells):
            start[at + 1] = start[at] + cursor[at]


@kernel
def mark_edges(xy, first, last, grid, margin, stamp, mark):
    """Stamp every raster cell that an edge of a ring touches, `margin` m of slack included."""
    rows, columns = stamp.shape
    side = grid[2]
    for i in range(first, last - 1):
        ax, ay, bx, by = xy[i, 0], xy[i, 1], xy[i + 1, 0], xy[i + 1, 1]
        if ay > by:
            ax, ay, bx, by = bx, by, ax, ay
        low = max(math.floor((ay - margin - grid[1]) / side), 0)
        high = min((math.floor((by + margin - grid[1]) / side)), rows - 1)
        for row in range(low, high + 1):
            y0 = max(grid[1] + row * side - margin, ay)
            y1 = min(grid[1] + (row + 1) * side + margin, by)
            x0 = ax
            x1 = bx
            if by > ay:
                slope = (bx - ax) / (by - ay)
                if y0 > ay:
                    x0 = ax + slope * (y0 - ay)
                if y1 < by:
                    x1 = ax + slope * (y1 - ay)
            left = max(math.floor((min(x0, x1) - margin - grid[0]) / side), 0)
            right = min((math.floor((max(x0, x1) + margin - grid[0]) / side)), columns - 1)
            for column in range(left, right + 1):
                stamp[row, column] = mark


@kernel(allocates=True)
def fill_raster(shapes, member_start, members, grid, margin, raster):
    """Two bits per class and cell: inside (in one polygon whose edges miss the cell), to be tested, or outside.

    A cell that no edge of a polygon touches lies wholly inside or wholly outside it, as its centre does.
    """
    rows, columns = raster.shape
    side = grid[2]
    stamp = np.full((rows, columns), -1, dtype=np.int32)
    parity = np.zeros((rows, columns + 1), dtype=np.uint8)
    mark = 0
    for area in range(RASTER_CLASSES):
        shift = 2 * area
        for m in range(member_start[area], member_start[area + 1]):
            p = members[m]
            left = max(math.floor((shapes.bounds[p, 0] - grid[0]) / side) - 1, 0)
            right = min((math.floor((shapes.bounds[p, 2] - grid[0]) / side)) + 1, columns - 1)
            low = max(math.floor((shapes.bounds[p, 1] - grid[1]) / side) - 1, 0)
            high = min((math.floor((shapes.bounds[p, 3] - grid[1]) / side)) + 1, rows - 1)
            if left > right or low > high:
                continue
            mark += 1
            for r in range(shapes.polygon_start[p], shapes.polygon_start[p + 1]):
                mark_edges(shapes.xy, shapes.ring_start[r], shapes.ring_start[r + 1], grid, margin, stamp, mark)
                for i in range(shapes.ring_start[r], shapes.ring_start[r + 1] - 1):
                    toggle_rows(shapes.xy, i, grid, low, high, left, right, parity)
            for row in range(low, high + 1):
                inside = 0
                for column in range(left, right + 1):
                    inside ^= parity[row, column]
                    parity[row, column] = 0
                    if stamp[row, column] == mark:
                        if (raster[row, column] >> shift) & 3 == RASTER_OUTSIDE:
                            raster[row, column] |= np.uint8(RASTER_TEST << shift)
                    elif inside == 1:
                        raster[row, column] &= np.uint8(255 ^ (3 << shift))
                        raster[row, column] |= np.uint8(RASTER_INSIDE << shift)
                parity[row, right + 1] = 0


@kernel
def toggle_rows(xy, i, grid, low, high, left, right, parity):
    """Toggle, in each row whose centre line edge i crosses, the first cell centre to the right of the crossing."""
    side = grid[2]
    ay = xy[i, 1]
    by = xy[i + 1, 1]
    first = max(math.floor((min(ay, by) - grid[1]) / side - 0.5), low)
    last = min((math.ceil((max(ay, by) - grid[1]) / side - 0.5)), high)
    for row in range(first, last + 1):
        y = grid[1] + (row + 0.5) * side
        if (ay > y) == (by > y):
            continue
        x = xy[i, 0] + (y - ay) / (by - ay) * (xy[i + 1, 0] - xy[i, 0])
        column = math.ceil((x - grid[0]) / side - 0.5)
        if column <= right:
            parity[row, max(column, left)] ^= 1

"""What a raster tells of the map under a proposal, as time masks; what it leaves open is asked exactly, if at all.

A time mask is an integer whose bit t belongs to step t (`geometry.bits`). The masks of proposal n are `seen[row, n]`.
"""

from __future__ import annotations

from navforge.geometry.bits import lowest, marked
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, lanes_at
from navforge.geometry.tables import gather
from navforge.scoring.kernels.area import (
    DRIVABLE,
    INTERSECTION,
    ON_ROUTE,
    box_leaves_drivable,
    cell_at,
    in_area_exact,
    in_multiple_lanes,
)
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, COS, HALF_LENGTH, HALF_WIDTH, SIN

# Rows of `seen` (rows, N). Centre: on the route's lanes, in an intersection, each for certain or perhaps; perhaps near
# the centreline. Box: a corner off the drivable area for certain, or perhaps; over several lanes, where that is known.
ON_ROUTE_SURE, ON_ROUTE_OPEN, CROSSING_SURE, CROSSING_OPEN, NEAR_OPEN = range(5)
OFF_ROAD, OFF_ROAD_OPEN, SEVERAL_LANES, LANES_KNOWN = range(5, 9)
SEEN_ROWS = 9
# Rows of `codes` (rows, 8, 64) and `indices` (rows, 8), which look-ups by lanes need.
CODE_CENTER, CODE_CORNERS, CODE_NEAR = 0, 1, 5
CODE_ROWS = 6
ALL_MARKS = 0xFF


@kernel
def cells_under(areas, motion, t, n):
    """Raster cells of the box centre and its four corners."""
    scale = areas.raster_scale
    column = (motion[CENTER_X, t, n] - areas.raster_grid[0]) * scale
    row = (motion[CENTER_Y, t, n] - areas.raster_grid[1]) * scale
    c = motion[COS, t, n]
    s = motion[SIN, t, n]
    along_x = c * (HALF_LENGTH * scale)
    along_y = s * (HALF_LENGTH * scale)
    across_x = s * (HALF_WIDTH * scale)
    across_y = c * (HALF_WIDTH * scale)
    front_x = column + along_x
    front_y = row + along_y
    rear_x = column - along_x
    rear_y = row - along_y
    return (
        cell_at(areas, column, row),
        cell_at(areas, front_x - across_x, front_y + across_y),
        cell_at(areas, rear_x - across_x, rear_y + across_y),
        cell_at(areas, rear_x + across_x, rear_y - across_y),
        cell_at(areas, front_x + across_x, front_y - across_y),
    )


@kernel
def look_lanes(areas, path, motion, steps, with_path, indices, codes, seen):
    """Fill `seen` (9, 8) of eight proposals; `motion` (7, T, 8), `codes` and `indices` are work space."""
    for t in range(steps):
        center, front_left, rear_left, rear_right, front_right = cells_under(areas, motion, t, lanes_at(0))
        gather(areas.raster, center, indices, codes, CODE_CENTER, t)
        gather(areas.raster, front_left, indices, codes, CODE_CORNERS, t)
        gather(areas.raster, rear_left, indices, codes, CODE_CORNERS + 1, t)
        gather(areas.raster, rear_right, indices, codes, CODE_CORNERS + 2, t)
        gather(areas.raster, front_right, indices, codes, CODE_CORNERS + 3, t)
        if with_path:
            gather(path.near_first, center, indices, codes, CODE_NEAR, t)
    for n in range(WIDTH):
        inside = -1
        perhaps = 0
        for k in range(CODE_CORNERS, CODE_CORNERS + 4):
            open_steps = marked(codes, k, n, 2 << (2 * DRIVABLE))
            inside &= marked(codes, k, n, 1 << (2 * DRIVABLE)) | open_steps
            perhaps |= open_steps
        seen[ON_ROUTE_SURE, n] = marked(codes, CODE_CENTER, n, 1 << (2 * ON_ROUTE))
        seen[ON_ROUTE_OPEN, n] = marked(codes, CODE_CENTER, n, 2 << (2 * ON_ROUTE))
        seen[CROSSING_SURE, n] = marked(codes, CODE_CENTER, n, 1 << (2 * INTERSECTION))
        seen[CROSSING_OPEN, n] = marked(codes, CODE_CENTER, n, 2 << (2 * INTERSECTION))
        seen[NEAR_OPEN, n] = marked(codes, CODE_NEAR, n, ALL_MARKS) if with_path else 0
        seen[OFF_ROAD, n] = ~inside
        seen[OFF_ROAD_OPEN, n] = perhaps & inside
        finish(seen, steps, n)


@kernel
def look_one(areas, path, motion, steps, with_path, n, seen):
    """As `look_lanes` for one proposal, without work space: a CUDA thread."""
    for row in range(SEEN_ROWS):
        seen[row, n] = 0
    for t in range(steps):
        cells = cells_under(areas, motion, t, n)
        at = 1 << t
        code = areas.raster[int(cells[0])]
        if code & (1 << (2 * ON_ROUTE)):
            seen[ON_ROUTE_SURE, n] |= at
        if code & (2 << (2 * ON_ROUTE)):
            seen[ON_ROUTE_OPEN, n] |= at
        if code & (1 << (2 * INTERSECTION)):
            seen[CROSSING_SURE, n] |= at
        if code & (2 << (2 * INTERSECTION)):
            seen[CROSSING_OPEN, n] |= at
        if with_path and path.near_first[int(cells[0])] != 0:
            seen[NEAR_OPEN, n] |= at
        for k in range(1, 5):
            code = areas.raster[int(cells[k])]
            if code & (2 << (2 * DRIVABLE)):
                seen[OFF_ROAD_OPEN, n] |= at
            elif not code & (1 << (2 * DRIVABLE)):
                seen[OFF_ROAD, n] |= at
    seen[OFF_ROAD_OPEN, n] &= ~seen[OFF_ROAD, n]
    finish(seen, steps, n)


@kernel
def finish(seen, steps, n):
    """Clear what is not known yet, and bits beyond the last step."""
    seen[SEVERAL_LANES, n] = 0
    seen[LANES_KNOWN, n] = 0
    every = (1 << steps) - 1
    for row in range(SEEN_ROWS):
        seen[row, n] &= every


@kernel
def leaves_road(areas, motion, t, n, seen):
    """Whether a corner is off the drivable area at step t; what the raster leaves open is tested once."""
    at = 1 << t
    if seen[OFF_ROAD_OPEN, n] & at:
        seen[OFF_ROAD_OPEN, n] &= ~at
        if box_leaves_drivable(
            areas, motion[CENTER_X, t, n], motion[CENTER_Y, t, n], motion[COS, t, n], motion[SIN, t, n]
        ):
            seen[OFF_ROAD, n] |= at
    return seen[OFF_ROAD, n] & at != 0


@kernel
def ever_leaves_road(areas, motion, n, seen):
    """Whether a corner is off the drivable area at any step; tests stop at the first that is."""
    while seen[OFF_ROAD, n] == 0 and seen[OFF_ROAD_OPEN, n] != 0:
        leaves_road(areas, motion, lowest(seen[OFF_ROAD_OPEN, n]), n, seen)
    return seen[OFF_ROAD, n] != 0


@kernel
def leaves_lane(areas, motion, t, n, seen):
    """Whether the ego covers several lanes or leaves the drivable area at step t; each is looked up once."""
    if leaves_road(areas, motion, t, n, seen):
        return True
    at = 1 << t
    if not seen[LANES_KNOWN, n] & at:
        seen[LANES_KNOWN, n] |= at
        if in_multiple_lanes(
            areas,
            motion[CENTER_X, t, n],
            motion[CENTER_Y, t, n],
            motion[COS, t, n],
            motion[SIN, t, n],
            HALF_LENGTH,
            HALF_WIDTH,
        ):
            seen[SEVERAL_LANES, n] |= at
    return seen[SEVERAL_LANES, n] & at != 0


@kernel
def center_in(areas, area, open_row, sure_row, motion, t, n, seen):
    """Whether the box centre is in an area of a class at step t; what the raster leaves open is tested once."""
    at = 1 << t
    if seen[open_row, n] & at:
        seen[open_row, n] &= ~at
        if in_area_exact(areas, area, motion[CENTER_X, t, n], motion[CENTER_Y, t, n]):
            seen[sure_row, n] |= at
    return seen[sure_row, n] & at != 0


@kernel
def in_crossing(areas, motion, t, n, seen):
    """Whether the box centre is in an intersection at step t."""
    return center_in(areas, INTERSECTION, CROSSING_OPEN, CROSSING_SURE, motion, t, n, seen)


@kernel
def on_route(areas, motion, t, n, seen):
    """Whether the box centre is on a lane of the route at step t."""
    return center_in(areas, ON_ROUTE, ON_ROUTE_OPEN, ON_ROUTE_SURE, motion, t, n, seen)

"""Time masks by lanes, by one proposal, and asked exactly at every step."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.geometry.bits import MASK_STEPS
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.kernels.area import (
    DRIVABLE,
    INTERSECTION,
    ON_ROUTE,
    in_area_exact,
    in_multiple_lanes,
)
from navforge.scoring.kernels.lookup import (
    CODE_ROWS,
    CROSSING_OPEN,
    CROSSING_SURE,
    NEAR_OPEN,
    OFF_ROAD,
    OFF_ROAD_OPEN,
    ON_ROUTE_OPEN,
    ON_ROUTE_SURE,
    SEEN_ROWS,
    ever_leaves_road,
    in_crossing,
    leaves_lane,
    leaves_road,
    look_lanes,
    look_one,
    on_route,
)
from navforge.scoring.kernels.motion import (
    CENTER_X,
    CENTER_Y,
    COS,
    HALF_LENGTH,
    HALF_WIDTH,
    MOTION_ROWS,
    SIN,
    corner,
)
from navforge.scoring.prepare.scene import prepare
from tests.scoring.scenes import random_scene

STEPS = 41


@kernel
def lanes(areas, path, motion, with_path, indices, codes, seen):
    look_lanes(areas, path, motion, motion.shape[1], with_path, indices, codes, seen)


def wandering(rng: np.random.Generator) -> np.ndarray:
    """Eight boxes at 41 steps: on the map, some far outside raster and bins."""
    motion = np.full((MOTION_ROWS, STEPS, WIDTH), np.nan)
    motion[CENTER_X] = rng.uniform(-30, 100, (STEPS, WIDTH))
    motion[CENTER_Y] = rng.uniform(-15, 15, (STEPS, WIDTH))
    motion[CENTER_Y, :, 6] = rng.uniform(-300, 300, STEPS)
    motion[CENTER_X, :, 7] = rng.uniform(-1e6, 1e6, STEPS)
    heading = rng.uniform(-4, 4, (STEPS, WIDTH))
    motion[COS], motion[SIN] = np.cos(heading), np.sin(heading)
    return motion


def look(prepared: SceneArrays, motion: np.ndarray, with_path: bool = True) -> np.ndarray:
    seen = np.full((SEEN_ROWS, WIDTH), -1, dtype=np.int64)
    codes = np.full((CODE_ROWS, WIDTH, MASK_STEPS), 0xFF, dtype=np.uint8)
    indices = np.empty((CODE_ROWS, WIDTH), dtype=np.int64)
    lanes(prepared.areas, prepared.path, motion, with_path, indices, codes, seen)
    return seen


@pytest.mark.parametrize("raster", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_lanes_and_one_proposal_see_the_same(seed: int, raster: bool) -> None:
    rng = np.random.default_rng(seed)
    prepared = prepare(random_scene(rng), raster=raster)
    motion = wandering(rng)
    for with_path in (True, False):
        by_lanes = look(prepared, motion, with_path)
        one_by_one = np.full((SEEN_ROWS, WIDTH), -1, dtype=np.int64)
        for n in range(WIDTH):
            look_one(prepared.areas, prepared.path, motion, STEPS, with_path, n, one_by_one)
        np.testing.assert_array_equal(by_lanes, one_by_one)
        assert (by_lanes >> STEPS == 0).all(), "no bits beyond the last step"
    if not raster:
        assert (by_lanes[ON_ROUTE_OPEN] == (1 << STEPS) - 1).all(), "without a raster all is open"


@pytest.mark.parametrize("seed", range(3))
def test_masks_agree_with_exact_tests(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    prepared = prepare(random_scene(rng))
    areas = prepared.areas
    motion = wandering(rng)
    seen = look(prepared, motion)
    line = shapely.LineString(prepared.path.xy)
    open_bits = 0
    for n in range(WIDTH):
        for t in range(STEPS):
            x, y, c, s = motion[[CENTER_X, CENTER_Y, COS, SIN], t, n]
            corners = [corner(x, y, c, s, HALF_LENGTH, HALF_WIDTH, k) for k in range(4)]
            exact = {
                ON_ROUTE_SURE: in_area_exact(areas, ON_ROUTE, x, y),
                CROSSING_SURE: in_area_exact(areas, INTERSECTION, x, y),
                OFF_ROAD: not all(in_area_exact(areas, DRIVABLE, *point) for point in corners),
            }
            for sure, perhaps in (
                (ON_ROUTE_SURE, ON_ROUTE_OPEN),
                (CROSSING_SURE, CROSSING_OPEN),
                (OFF_ROAD, OFF_ROAD_OPEN),
            ):
                is_open = bool(seen[perhaps, n] >> t & 1)
                open_bits += is_open
                assert not (is_open and seen[sure, n] >> t & 1)
                if not is_open:
                    assert bool(seen[sure, n] >> t & 1) == exact[sure]
            if not seen[NEAR_OPEN, n] >> t & 1:
                assert line.distance(shapely.Point(x, y)) > 0.5
            # Asked out of order, twice; the second answer comes from the mask.
            several = in_multiple_lanes(areas, x, y, c, s, HALF_LENGTH, HALF_WIDTH)
            for _ in range(2):
                assert leaves_lane(areas, motion, t, n, seen) == (exact[OFF_ROAD] or several)
                assert leaves_road(areas, motion, t, n, seen) == exact[OFF_ROAD]
                assert on_route(areas, motion, t, n, seen) == exact[ON_ROUTE_SURE]
                assert in_crossing(areas, motion, t, n, seen) == exact[CROSSING_SURE]
        assert (seen[[ON_ROUTE_OPEN, CROSSING_OPEN, OFF_ROAD_OPEN], n] == 0).all(), "all has been asked"
    assert open_bits > 0


def test_one_step_off_the_road_is_enough() -> None:
    rng = np.random.default_rng(3)
    prepared = prepare(random_scene(rng), raster=False)
    motion = wandering(rng)
    motion[CENTER_X, :, :6], motion[CENTER_Y, :, :6] = 10.0, 0.0  # on the road of every random scene
    motion[COS], motion[SIN] = 1.0, 0.0
    motion[CENTER_Y, 17, 3] = 200.0
    seen = look(prepared, motion)
    for n in range(6):
        assert ever_leaves_road(prepared.areas, motion, n, seen) == (n == 3)
    assert seen[OFF_ROAD, 3] == 1 << 17
    assert seen[OFF_ROAD_OPEN, 3] != 0, "later steps have not been tested"
    assert seen[OFF_ROAD_OPEN, 0] == 0

"""Red lights, eight proposals at once or one, against shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.scoring.arrays import LightArrays
from navforge.scoring.kernels.lights import lights_block, meets_red_light
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, COS, HALF_LENGTH, HALF_WIDTH, SIN
from navforge.scoring.kernels.reach import fill_reach, reach_work
from navforge.scoring.prepare.scene import prepare
from tests.scoring.crowds import EGO_STEPS, motion_of, random_motion
from tests.scoring.scenes import Sketch, box


def found_in_blocks(lights: LightArrays, motion: np.ndarray) -> np.ndarray:
    work = reach_work()
    met = []
    for first in range(0, motion.shape[2], 8):
        block = np.ascontiguousarray(motion[..., first : first + 8])
        fill_reach(block, EGO_STEPS, work)
        met += [bool(lights_block(lights, block, work) >> k & 1) for k in range(8)]
    return np.array(met)


def ego_box(motion: np.ndarray, t: int, n: int) -> shapely.Polygon:
    center = motion[(CENTER_X, CENTER_Y), t, n]
    along = motion[(COS, SIN), t, n]
    across = np.array([-along[1], along[0]])
    corners = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    return shapely.Polygon([center + a * HALF_LENGTH * along + b * HALF_WIDTH * across for a, b in corners])


@pytest.mark.parametrize("seed", range(8))
def test_random_connectors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lights = []
    for _ in range(int(rng.integers(1, 4))):
        angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 20))))
        radius = rng.uniform(2, 12, len(angle))
        center = rng.uniform([-5, -10], [60, 10])
        shape = shapely.Polygon(center + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
        if shape.is_valid:
            lights += [(int(t), shape) for t in rng.choice(EGO_STEPS, int(rng.integers(1, 41)), replace=False)]
    prepared = prepare(Sketch(lights=lights).scene()).lights
    motion = random_motion(rng, 32)
    found = found_in_blocks(prepared, motion)
    expected = [any(shape.intersects(ego_box(motion, t, n)) for t, shape in lights) for n in range(32)]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, [meets_red_light(prepared, motion, EGO_STEPS, n) for n in range(32)])
    assert seed or 0 < found.sum() < 32


def standing(x: float) -> np.ndarray:
    zero = np.zeros((EGO_STEPS, 8))
    return motion_of(zero + x, zero, zero, zero)


@pytest.mark.parametrize(("gap", "meets"), [(0.0, True), (1e-9, False), (-1e-9, True)])
def test_touching_the_stop_line(gap: float, meets: bool) -> None:
    motion = standing(0.0)
    line = float(motion[CENTER_X, 0, 0]) + HALF_LENGTH + gap
    prepared = prepare(Sketch(lights=[(40, box(line, -3.0, line + 20.0, 3.0))]).scene()).lights
    assert (found_in_blocks(prepared, motion) == meets).all()
    assert meets_red_light(prepared, motion, EGO_STEPS, 0) == meets


def test_a_box_wholly_inside_a_connector() -> None:
    """No edge is met, yet the ego stands on it; a hole around the ego makes the difference."""
    inside = box(-30.0, -20.0, 40.0, 20.0)
    assert found_in_blocks(prepare(Sketch(lights=[(7, inside)]).scene()).lights, standing(0.0)).all()
    holed = shapely.Polygon(inside.exterior, [box(-10.0, -6.0, 10.0, 6.0).exterior])
    assert not found_in_blocks(prepare(Sketch(lights=[(7, holed)]).scene()).lights, standing(0.0)).any()


def test_lights_count_only_while_red() -> None:
    """The ego reaches the connector at step 20; it is red before, then, or after."""
    t = np.arange(EGO_STEPS)[:, None] * 0.1 + np.zeros(8)
    motion = motion_of(10.0 * t, 0.0 * t, 0.0 * t, 0.0 * t + 10.0)
    line = float(motion[CENTER_X, 20, 0]) + HALF_LENGTH - 0.5
    short = box(line, -3.0, line + 0.2, 3.0)
    for step, meets in ((19, False), (20, True), (40, False)):
        lights = prepare(Sketch(lights=[(step, short)]).scene()).lights
        assert (found_in_blocks(lights, motion) == meets).all(), step

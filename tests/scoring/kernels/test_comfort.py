"""Comfort in lanes: bounds without rounding, filters against SciPy, the same bits for one proposal and for eight."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import WIDTH, bits, lanes_at
from navforge.metric_cache.devkit import Devkit
from navforge.scoring.arrays import ComfortArrays
from navforge.scoring.filters import savgol_rows
from navforge.scoring.kernels.comfort import (
    DECIMALS_SCALE,
    MAX_LONGITUDINAL_ACCELERATION,
    SERIES_ROWS,
    SMOOTHED,
    comfortable,
    least_reaching,
    smooth,
)
from navforge.scoring.kernels.motion import magnitude
from navforge.scoring.prepare.scene import prepare
from navforge.simulation.plans import prepare_plans
from navforge.simulation.rollout import drive
from navforge.simulation.rows import AX, HEADING, STATE_ROWS
from tests.scoring.scenes import Sketch, random_plans, random_scene, two_lane_road

STEPS = 41


@kernel
def comfortable_lanes(comfort, states, series):
    return bits(comfortable(comfort, states, states.shape[1], lanes_at(0), series))


@kernel
def smooth_one(start, weights, series, count, keep):
    return smooth(start, weights, series, 0, count, 0, keep)


@kernel
def magnitudes(a, b, lengths):
    lengths[0, 0, lanes_at(0)] = magnitude(a[0, 0, lanes_at(0)], b[0, 0, lanes_at(0)])


@pytest.mark.parametrize("scale", [1.0, DECIMALS_SCALE])
@pytest.mark.parametrize("bound", [4.05, 2.40, 8.37, 4.13, 0.95, 1.93, 0.1 + 0.2, 1e-3, 3.00000001, 7.123456785])
def test_bounds_are_those_of_rounded_numbers(bound: float, scale: float) -> None:
    def rounded(value: float) -> float:
        return float(np.rint(value * scale) / DECIMALS_SCALE)

    least = least_reaching(bound, scale)
    before = float(np.nextafter(least, -np.inf))
    assert rounded(least) >= bound > rounded(before)
    # The other bound of a pair is its mirror image.
    assert rounded(-least) <= -bound < rounded(-before)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("window", "polynomial", "derivative"), [(8, 2, 0), (15, 2, 1), (5, 3, 2), (41, 2, 0), (56, 2, 1)]
)
def test_filters(window: int, polynomial: int, derivative: int, keep: bool) -> None:
    rng = np.random.default_rng(window)
    for count in (56, 57, 59):
        window = min(window, count)
        samples = np.cumsum(rng.normal(0, 1, count))
        series = np.full((SERIES_ROWS, count, 1), np.nan)
        series[0, :, 0] = samples
        rows = savgol_rows(count, window, polynomial, derivative, 0.1)
        least, greatest = smooth_one(*rows, series, count, keep)
        expected = savgol_filter(samples, window, polynomial, deriv=derivative, delta=0.1)
        assert least == pytest.approx(expected.min(), abs=1e-9)
        assert greatest == pytest.approx(expected.max(), abs=1e-9)
        if keep:
            np.testing.assert_allclose(series[SMOOTHED, :, 0], expected * DECIMALS_SCALE, atol=0.6)
            np.testing.assert_array_equal(series[SMOOTHED], np.rint(series[SMOOTHED]))
        else:
            assert np.isnan(series[SMOOTHED]).all()


@pytest.mark.parametrize("devkit", list(Devkit))
@pytest.mark.parametrize("seed", range(3))
def test_one_proposal_and_eight_agree(seed: int, devkit: Devkit) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    comfort = prepare(scene, devkit).comfort
    states = np.zeros((STATE_ROWS, STEPS, 48))
    states[:11] = drive(scene.ego_state, scene.time_us, prepare_plans(random_plans(rng, 48), 0.1)).transpose(2, 1, 0)
    series = np.empty((SERIES_ROWS, len(comfort.history) + STEPS, WIDTH))
    seen = set()
    for first in range(0, 48, WIDTH):
        block = np.ascontiguousarray(states[:, :, first : first + WIDTH])
        together = comfortable_lanes(comfort, block, series)
        for n in range(WIDTH):
            alone = comfortable(comfort, block, STEPS, n, np.full_like(series, np.nan))
            assert alone == bool(together >> n & 1)
            seen.add(bool(alone))
    assert seen == {True, False} or not comfort.lateral_ok


def steady(acceleration: float) -> tuple[ComfortArrays, np.ndarray]:
    scene = Sketch(polygons=two_lane_road()).scene()
    states = np.zeros((STATE_ROWS, STEPS, WIDTH))
    states[AX] = acceleration
    return prepare(scene, Devkit.V1).comfort, states


def test_accelerations_at_the_bound() -> None:
    """Strictly below the bound after rounding to 8 decimals."""
    series = np.empty((SERIES_ROWS, STEPS, WIDTH))
    below = [MAX_LONGITUDINAL_ACCELERATION - 6e-9, MAX_LONGITUDINAL_ACCELERATION - 1e-6, -4.04999999]
    beyond = [MAX_LONGITUDINAL_ACCELERATION, MAX_LONGITUDINAL_ACCELERATION - 4e-9, 3.0, -4.05]
    for values, expected in ((below, 0xFF), (beyond, 0)):
        for value in values:
            assert comfortable_lanes(*steady(value), series) == expected, value


def test_one_rough_lane_leaves_the_others_comfortable() -> None:
    comfort, states = steady(0.0)
    states[AX, 20:, 5] = 2.0
    states[HEADING, :, 2] = 0.2 * np.arange(STEPS)
    states[HEADING, :, 3] = np.where(np.arange(STEPS) % 2, np.pi - 0.001, -np.pi + 0.001)  # unwrapped, it hardly turns
    series = np.empty((SERIES_ROWS, STEPS, WIDTH))
    assert comfortable_lanes(comfort, states, series) == 0xFF ^ (1 << 5) ^ (1 << 2)


def test_magnitude() -> None:
    a = np.array([[[3.0, -3.0, 0.0, 5e-324, -1e300, 2.0, 7.0, -0.0]]])
    b = np.array([[[4.0, 0.0, -2.0, 0.0, 0.0, -0.0, 1e-3, 0.0]]])
    lengths = np.empty((1, 1, WIDTH))
    magnitudes(a, b, lengths)
    np.testing.assert_allclose(lengths, np.hypot(a, b), rtol=1e-15)
    assert lengths[0, 0, 4] == 1e300, "exact where nothing is to be squared"
    alone = [magnitude(x, y) for x, y in zip(a[0, 0], b[0, 0], strict=True)]
    np.testing.assert_array_equal(lengths[0, 0], alone)

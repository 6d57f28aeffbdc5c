from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from navforge.core.errors import DataError
from navforge.geometry.columns import State
from navforge.scoring.extended_comfort import previous_scenes, two_frame_extended_comfort


def states(acceleration: float = 0.0, yaw_rate: float = 0.0, count: int = 1) -> np.ndarray:
    made = np.zeros((count, 41, 11))
    t = np.arange(41) * 0.1
    made[..., State.ACCELERATION_X] = acceleration
    made[..., State.HEADING] = np.angle(np.exp(1j * yaw_rate * t))
    return made


def test_plans_that_agree() -> None:
    assert two_frame_extended_comfort(states(1.0), states(1.0), 0.5).tolist() == [1.0]


@pytest.mark.parametrize(("difference", "expected"), [(0.7, 1.0), (0.7001, 0.0)])
def test_the_acceleration_limit_is_inclusive(difference: float, expected: float) -> None:
    assert two_frame_extended_comfort(states(difference), states(0.0), 0.5)[0] == expected


@pytest.mark.parametrize(("difference", "expected"), [(0.0999, 1.0), (0.1001, 0.0)])
def test_the_yaw_rate_limit(difference: float, expected: float) -> None:
    # 1.5 rad/s turns through more than pi in 4 s: headings wrap.
    assert two_frame_extended_comfort(states(0, 1.5 + difference), states(0, 1.5), 0.5)[0] == expected


SHARED = slice(0, 36)
"""Steps of the current plan that the previous one, 0.5 s older, has too; the filters see these only."""


def rms(series: np.ndarray) -> float:
    return float(np.sqrt((series**2).mean()))


@pytest.mark.parametrize(("share", "expected"), [(0.999, 1.0), (1.001, 0.0)])
def test_the_jerk_limit(share: float, expected: float) -> None:
    """A growing difference of acceleration, scaled to a share of 0.5 m/s3 by SciPy's filters."""
    growth = np.arange(41) * 0.1 - 1.75
    smooth = savgol_filter(growth[SHARED], 8, 2)
    scale = 0.5 * share / rms(savgol_filter(smooth, 15, 2, deriv=1, delta=0.1))
    assert scale * rms(smooth) < 0.65, "below the limit of acceleration"
    before = states(5.0)  # magnitudes are compared: stay clear of zero
    now = before.copy()
    now[..., State.ACCELERATION_X] += scale * growth
    assert two_frame_extended_comfort(now, before, 0.5)[0] == expected


@pytest.mark.parametrize(("share", "expected"), [(0.999, 1.0), (1.001, 0.0)])
def test_the_yaw_acceleration_limit(share: float, expected: float) -> None:
    """A swinging heading, scaled to a share of 0.1 rad/s2 by SciPy's filter."""
    heading = np.sin(2 * np.pi * np.arange(41) * 0.1 / 1.4)
    rate, acceleration = (savgol_filter(heading[SHARED], 5, 2, deriv=order, delta=0.1) for order in (1, 2))
    scale = 0.1 * share / rms(acceleration)
    assert scale * rms(rate) < 0.05, "below the limit of the yaw rate"
    now = states()
    now[..., State.HEADING] = scale * heading
    assert two_frame_extended_comfort(now, states(), 0.5)[0] == expected


def test_only_the_shared_time_counts() -> None:
    """The first 0.5 s of the previous plan and the last 0.5 s of the current one are not compared."""
    before, now = states(), states()
    before[:, :5, State.ACCELERATION_X] = 50.0
    now[:, -5:, State.ACCELERATION_X] = -50.0
    assert two_frame_extended_comfort(now, before, 0.5)[0] == 1.0
    now[:, 20, State.ACCELERATION_X] = 50.0
    assert two_frame_extended_comfort(now, before, 0.5)[0] == 0.0


def test_batches_are_rows() -> None:
    now = np.concatenate([states(0.0), states(2.0), states(0.5)])
    assert two_frame_extended_comfort(now, states(count=3), 0.5).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("gap", [0.0, -0.5, 0.5501, 0.6, 0.01])
def test_scenes_that_are_not_consecutive_are_refused(gap: float) -> None:
    assert two_frame_extended_comfort(states(), states(), 0.5499).tolist() == [1.0]
    with pytest.raises(DataError, match="at most"):
        two_frame_extended_comfort(states(), states(), gap)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="two frames"):
        two_frame_extended_comfort(states(count=2), states(), 0.5)


def test_previous_scenes() -> None:
    logs = ["b", "a", "a", "a", "b"]
    times = [100_000_000, 3_000_000, 2_500_000, 1_949_900, 100_549_900]
    # a: 1.9499 s, then 0.5501 s later, then 0.5 s later; b: 0.5499 s apart.
    assert previous_scenes(logs, times).tolist() == [-1, 2, -1, -1, 0]
    assert previous_scenes([], []).tolist() == []

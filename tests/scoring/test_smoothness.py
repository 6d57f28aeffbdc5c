"""Smoothness and clearance of driven plans whose values are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from navforge.geometry.columns import State
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M, WHEEL_BASE_M
from navforge.metric_cache.tracks import ObjectTracks
from navforge.scoring.clearance import clearance
from navforge.scoring.smoothness import comfort_share, motion
from tests.scoring.scenes import Sketch, Thing

TIMES_S = 0.1 * np.arange(41)


def straight(speed: float, acceleration: float = 0.0) -> np.ndarray:
    states = np.zeros((1, 41, 11))
    states[..., State.X] = speed * TIMES_S + 0.5 * acceleration * TIMES_S**2
    states[..., State.VELOCITY_X] = speed + acceleration * TIMES_S
    states[..., State.ACCELERATION_X] = acceleration
    return states


def circle(speed: float, radius: float) -> np.ndarray:
    """To the left; headings wrap at pi."""
    states = np.zeros((1, 41, 11))
    angle = speed / radius * TIMES_S
    states[..., State.X], states[..., State.Y] = radius * np.sin(angle), radius * (1 - np.cos(angle))
    states[..., State.HEADING] = np.angle(np.exp(1j * (angle + 2.5)))
    states[..., State.VELOCITY_X] = speed
    states[..., State.STEERING_ANGLE] = math.atan(WHEEL_BASE_M / radius)
    states[..., State.YAW_RATE] = speed / radius
    return states


def test_constant_braking_straight_on() -> None:
    felt = motion(straight(12.0, -2.5))
    assert np.allclose(felt["acceleration"], 2.5)
    for name in ("jerk", "yaw_rate", "yaw_acceleration", "curvature_rate"):
        assert np.allclose(felt[name], 0.0, atol=1e-9), name


def test_growing_acceleration_is_jerk() -> None:
    states = straight(5.0)
    states[..., State.ACCELERATION_X] = 0.8 * TIMES_S
    # Windows of an even number of samples look half a sample aside at the ends of the series.
    assert np.allclose(motion(states)["jerk"][:, 12:-12], 0.8)


def test_circle_at_constant_speed() -> None:
    speed, radius = 8.0, 20.0
    felt = motion(circle(speed, radius))
    assert np.allclose(felt["yaw_rate"], speed / radius)
    assert np.allclose(felt["acceleration"], speed**2 / radius)
    assert np.allclose(felt["jerk"], speed**3 / radius**2)
    assert np.allclose(felt["yaw_acceleration"], 0.0, atol=1e-9)
    assert np.allclose(felt["curvature_rate"], 0.0, atol=1e-9)


def test_turning_ever_faster() -> None:
    states = straight(6.0)
    states[..., State.HEADING] = 0.5 * 0.3 * TIMES_S**2
    assert np.allclose(motion(states)["yaw_acceleration"], 0.3)
    assert np.allclose(motion(states)["yaw_rate"], 0.3 * TIMES_S)


def test_curvature_that_grows_along_a_clothoid() -> None:
    states = straight(6.0)
    states[..., State.STEERING_ANGLE] = np.arctan(WHEEL_BASE_M * 0.01 * TIMES_S)
    assert np.allclose(motion(states)["curvature_rate"], 0.01)


@pytest.mark.parametrize(
    ("acceleration", "share"),
    [(1.2, 1.2 / 2.40), (-1.2, 1.2 / 4.05), (-8.1, 2.0), (2.4, 1.0)],
)
def test_share_of_the_comfort_bounds_by_acceleration(acceleration: float, share: float) -> None:
    history = straight(20.0, acceleration)[0, :15]
    assert comfort_share(straight(20.0, acceleration), history) == pytest.approx([share])


def test_share_of_the_comfort_bounds_by_yaw_rate() -> None:
    whole = circle(4.0, 8.0)
    history = np.zeros((15, 11))
    history[:, State.HEADING] = 2.5 + 0.5 * 0.1 * np.arange(-15, 0)
    # At the box's centre 0.5^2 * 1.461 m/s2 straight ahead, a share of 0.15 at most.
    assert comfort_share(whole, history) == pytest.approx([0.5 / 0.95], rel=1e-3)


def test_no_history_no_share() -> None:
    assert np.isnan(comfort_share(straight(5.0), np.zeros((0, 11)))).all()


def test_clearance_to_what_stands_ahead_beside_and_at_an_angle() -> None:
    front = REAR_AXLE_TO_CENTER_M + EGO_LENGTH_M / 2
    ahead = Sketch(things=[Thing(x=60.0, y=0.0, length=4.0)]).scene()
    assert clearance(straight(5.0), ahead.objects_v2) == pytest.approx([58.0 - (20.0 + front)])
    beside = Sketch(things=[Thing(x=10.0, y=4.0, width=2.0), Thing(x=10.0, y=-9.0, width=2.0)]).scene()
    assert clearance(straight(5.0), beside.objects_v2) == pytest.approx([3.0 - EGO_WIDTH_M / 2])
    turned = Sketch(things=[Thing(x=60.0, y=0.0, length=2.0, width=2.0, heading=math.pi / 4)]).scene()
    assert clearance(straight(5.0), turned.objects_v2) == pytest.approx([60.0 - math.sqrt(2) - (20.0 + front)])
    both = clearance(np.concatenate([straight(5.0), straight(10.0)]), ahead.objects_v2)
    assert both == pytest.approx([58.0 - (20.0 + front), 58.0 - (40.0 + front)])


def test_clearance_is_of_the_same_time() -> None:
    """Who drives away at the ego's speed is never nearer; who is gone in time is not met."""
    front = REAR_AXLE_TO_CENTER_M + EGO_LENGTH_M / 2
    leader = Sketch(things=[Thing(x=20.0, y=0.0, length=4.0, vx=5.0)]).scene()
    assert clearance(straight(5.0), leader.objects_v2) == pytest.approx([18.0 - front])
    gone = Sketch(things=[Thing(x=20.0, y=0.0, length=4.0, last=10)]).scene()
    assert clearance(straight(5.0), gone.objects_v2) == pytest.approx([18.0 - (5.0 + front)])
    assert clearance(straight(5.0), Sketch(things=[Thing(x=15.0, y=0.5)]).scene().objects_v2) == pytest.approx([0.0])
    assert np.isnan(clearance(straight(5.0), Sketch().scene().objects_v2)).all()


@pytest.mark.parametrize("distance", [10.0, 19.9, 20.1, 300.0])
def test_clearance_is_the_same_whether_tracks_are_computed_already(distance: float) -> None:
    """What tracks that are computed when first read leave out is farther than what they give."""
    things = [Thing(x=REAR_AXLE_TO_CENTER_M, y=distance + EGO_WIDTH_M / 2 + 1.0, width=2.0), Thing(x=-400.0, y=0.0)]
    whole = Sketch(things=things).scene().objects_v2
    asked = []

    def make(bounds: np.ndarray | None) -> ObjectTracks:
        asked.append(bounds)
        if bounds is None:
            return whole
        x, y = whole.pose[:, 0, 0], whole.pose[:, 0, 1] - 1.0
        rows = (x > bounds[0]) & (x < bounds[2]) & (y > bounds[1]) & (y < bounds[3])
        return ObjectTracks(**{name: value[rows] for name, value in vars(whole).items()})

    assert clearance(straight(0.0), ObjectTracks.deferred(make)) == pytest.approx([distance])
    assert clearance(straight(0.0), whole) == pytest.approx([distance])
    assert any(bounds is None for bounds in asked) == (distance > 20)

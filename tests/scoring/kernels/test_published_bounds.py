"""Every published constant of the sub-scores, just inside and just outside: the numbers here are the papers' own.

Agreement with another scorer on random data does not see a bound that is a few per cent off.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import MapLayer
from navforge.scoring import aggregate
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.kernels.area import box_leaves_drivable
from navforge.scoring.kernels.comfort import SERIES_ROWS, comfortable
from navforge.scoring.kernels.motion import HALF_LENGTH, HALF_WIDTH, SPEED
from navforge.scoring.kernels.path import driving_direction, lane_keeping
from navforge.scoring.kernels.reach import fill_whole
from navforge.scoring.kernels.traffic import OUTCOME_ROWS, traffic_one
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.prepare.traffic import prepare_traffic
from navforge.scoring.protocols import TTC_LAST_STEP, protocol
from navforge.simulation.rows import AX, AY, HEADING, STATE_ROWS, YAW_RATE
from tests.scoring.crowds import look, motion_of, tracks_of
from tests.scoring.scenes import Sketch, box, two_lane_road

Float = NDArray[np.float64]
STEPS = 41
HISTORY = 15
TIMES = 0.1 * np.arange(STEPS)
INSIDE, OUTSIDE = 0.999, 1.001
"""Shares of a bound."""
EDGE = pytest.mark.parametrize(("share", "expected"), [(INSIDE, True), (OUTSIDE, False)])


def is_comfortable(states: Float, devkit: Devkit = Devkit.V2, *, ego_lateral: float = 0.0) -> bool:
    """Comfort of one proposal, `states` (13, 41, 1), after a history at constant speed."""
    scene = Sketch(polygons=two_lane_road(), history=HISTORY, lateral_acceleration=ego_lateral).scene()
    comfort = prepare(scene, devkit).comfort
    series = np.empty((SERIES_ROWS, len(comfort.history) + STEPS, 1))
    return bool(comfortable(comfort, states, STEPS, 0, series))


def at_rest() -> Float:
    return np.zeros((STATE_ROWS, STEPS, 1))


def with_history(series: Float) -> Float:
    return np.concatenate([np.zeros(HISTORY), series])


def smooth(series: Float, window: int, order: int = 2, derivative: int = 0) -> Float:
    return savgol_filter(series, window, order, deriv=derivative, delta=0.1)


SWELL = np.sin(np.pi * TIMES / 4.0) ** 2
"""From 0 to 1 and back within 4 s: slow against every filter."""


@EDGE
@pytest.mark.parametrize(("bound", "sign"), [(2.40, 1.0), (4.05, -1.0)], ids=["accelerating", "braking"])
def test_longitudinal_acceleration(bound: float, sign: float, share: float, expected: bool) -> None:
    states = at_rest()
    states[AX, :, 0] = sign * bound * share * SWELL / smooth(with_history(SWELL), 8).max()
    assert is_comfortable(states) == expected


@EDGE
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("devkit", list(Devkit))
def test_lateral_acceleration(devkit: Devkit, sign: float, share: float, expected: bool) -> None:
    """Only history and the first state have one: simulated lateral acceleration is 0."""
    lateral = np.eye(1, STEPS)[0]
    if devkit is Devkit.V2:
        peak = np.abs(smooth(with_history(lateral), 8)).max()
    else:
        peak = np.abs(smooth(lateral, STEPS)).max()
    assert is_comfortable(at_rest(), devkit, ego_lateral=sign * 4.89 * share / peak) == expected


@EDGE
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_yaw_rate(sign: float, share: float, expected: bool) -> None:
    """A turn whose rate rises to its greatest and falls again, slowly, within 4 s."""
    heading = TIMES - 4.0 / (2 * np.pi) * np.sin(2 * np.pi * TIMES / 4.0)
    rate, acceleration = (smooth(with_history(heading), 5, order + 1, order) for order in (1, 2))
    scale = 0.95 * share / np.abs(rate).max()
    assert scale * np.abs(acceleration).max() < 1.9, "within the bound of the yaw acceleration"
    states = at_rest()
    states[HEADING, :, 0] = sign * scale * heading
    assert is_comfortable(states) == expected


@EDGE
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_yaw_acceleration(sign: float, share: float, expected: bool) -> None:
    """A heading that swings about 0 once a second."""
    heading = np.sin(2 * np.pi * TIMES) * SWELL
    rate, acceleration = (smooth(with_history(heading), 5, order + 1, order) for order in (1, 2))
    scale = 1.93 * share / np.abs(acceleration).max()
    assert scale * np.abs(rate).max() < 0.9, "within the bound of the yaw rate"
    states = at_rest()
    states[HEADING, :, 0] = sign * scale * heading
    assert is_comfortable(states) == expected


@EDGE
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_longitudinal_jerk(sign: float, share: float, expected: bool) -> None:
    """From slow braking up to acceleration within 1.3 s, or from slow acceleration down to braking."""
    before, after = (-0.62, 0.38) if sign > 0 else (0.38, -0.62)
    ramp = before * np.clip(TIMES / 1.5, 0.0, 1.0) + (after - before) * np.clip((TIMES - 1.6) / 1.3, 0.0, 1.0)
    jerk = smooth(smooth(with_history(ramp), 8), 15, 2, 1)
    scale = 4.13 * share / np.abs(jerk).max()
    assert scale * (sign * jerk).max() == pytest.approx(4.13 * share)
    acceleration = smooth(with_history(scale * ramp), 8)
    assert acceleration.min() > -4.0 and acceleration.max() < 2.39, "within the bounds of the acceleration"
    states = at_rest()
    states[AX, :, 0] = scale * ramp
    magnitude = smooth(smooth(with_history(np.abs(states[AX, :, 0])), 8), 15, 2, 1)
    assert np.abs(magnitude).max() < 8.3, "within the bound of the magnitude's jerk"
    assert is_comfortable(states) == expected


@EDGE
@pytest.mark.parametrize("falling", [False, True])
def test_jerk_of_the_magnitude(falling: bool, share: float, expected: bool) -> None:
    """A lateral acceleration that ramps up or down has no longitudinal jerk."""
    ramp = np.clip((TIMES - 1.0) / 1.6, 0.0, 1.0)
    if falling:
        ramp = np.clip(TIMES / 2.0, 0.0, 1.0) - np.clip((TIMES - 2.2) / 1.0, 0.0, 1.0)
    jerk = smooth(smooth(with_history(ramp), 8), 15, 2, 1)
    scale = 8.37 * share / (-jerk.min() if falling else jerk.max())
    assert scale * np.abs(jerk).max() < 8.37 * share * 1.0001
    states = at_rest()
    states[AY, :, 0] = scale * ramp
    assert is_comfortable(states) == expected


@EDGE
def test_rotation_adds_to_longitudinal_acceleration_at_the_centre(share: float, expected: bool) -> None:
    """In v2 by the lever 1.461 m of the box centre times the squared yaw rate; nothing else accelerates here."""
    states = at_rest()
    states[YAW_RATE, :, 0] = np.sqrt(2.40 * share * SWELL / smooth(with_history(SWELL), 8).max() / 1.461)
    assert is_comfortable(states) == expected
    assert is_comfortable(states, Devkit.V1), "v1.1 looks at the rear axle"


ROAD = np.array([[-20.0, 0.0], [200.0, 0.0]])


def road(*more: tuple[MapLayer, object, bool]) -> SceneArrays:
    """The route's lane is |y| < 6; the centreline y = 0."""
    polygons = [(MapLayer.LANE, box(-50, -6, 250, 6), True), *more]
    return prepare(Sketch(polygons=polygons, centerline=ROAD).scene())  # type: ignore[arg-type]


def beside(way: Float, y: Float) -> Float:
    """(7, 41, 1) motion along x in steps of `way` (41,) m at y (41,)."""
    flat = np.zeros((STEPS, 1))
    return motion_of(np.cumsum(way)[:, None], y[:, None], flat, flat + 5.0)


def direction(way: Float, off: NDArray[np.bool_]) -> float:
    """Driving direction of steps of `way` m, off the route's lane by a hair where told: the way is all but along x."""
    prepared = road()
    motion = beside(way, np.where(off, 6.0 + 1e-7, 6.0 - 1e-7))
    return driving_direction(prepared.areas, motion, STEPS, False, 0, look(prepared, motion), np.empty((STEPS, 1)))


@pytest.mark.parametrize(("metres", "expected"), [(1.999, 1.0), (2.001, 0.5), (5.999, 0.5), (6.001, 0.0)])
def test_driving_direction_by_the_way_against_traffic(metres: float, expected: float) -> None:
    off = np.isin(np.arange(STEPS), [5, 9])
    assert direction(np.where(off, 0.5 * metres, 0.1), off) == expected


@pytest.mark.parametrize(("apart", "expected"), [(10, 0.5), (11, 1.0)])
def test_driving_direction_adds_up_eleven_steps(apart: int, expected: float) -> None:
    off = np.isin(np.arange(STEPS), [5, 5 + apart])
    assert direction(np.where(off, 1.5, 0.1), off) == expected


@pytest.mark.parametrize(
    ("offset", "steps", "expected"),
    [(0.501, 19, 1.0), (0.501, 20, 0.0), (-0.501, 20, 0.0), (0.499, STEPS, 1.0), (0.501, STEPS, 0.0)],
)
@pytest.mark.parametrize("first", [0, 7])
def test_lane_keeping_by_offset_and_duration(first: int, offset: float, steps: int, expected: float) -> None:
    prepared = road()
    y = np.zeros(STEPS)
    y[first : first + steps] = offset
    motion = beside(np.full(STEPS, 0.5), y)
    assert lane_keeping(prepared.path, prepared.areas, motion, STEPS, 0, look(prepared, motion)) == expected


def outcome(
    speed: float,
    at: tuple[float, float],
    *,
    kind: ObjectType = ObjectType.VEHICLE,
    velocity: tuple[float, float] = (0.0, 0.0),
    present: slice = slice(None),
    last_step: int = 31,
    motion: Float | None = None,
) -> Float:
    """(collision score, its step, step of a TTC violation) of a drive along x past an object 1 m by 1 m.

    `at` is the object's place at step 0.
    """
    steps = STEPS if last_step < 40 else 51
    pose = np.zeros((1, steps, 3))
    pose[0, :, :2] = np.array(at) + 0.1 * np.arange(steps)[:, None] * np.array(velocity)
    valid = np.zeros((1, steps), dtype=bool)
    valid[0, present] = True
    objects = tracks_of(pose, np.ones((1, 2)), np.array([int(kind)]), np.array([velocity]), valid)
    prepared = road((MapLayer.ROADBLOCK, box(-50, -30, 250, 30), False))
    traffic = prepare_traffic(objects, np.zeros(3), drop_overlapping=False)
    if motion is None:
        flat = np.zeros((STEPS, 1))
        motion = motion_of(speed * TIMES[:, None], flat, flat, flat + speed)
    found, whole = np.empty((OUTCOME_ROWS, 1)), np.empty((4, 1))
    fill_whole(motion, STEPS, 0, whole)
    traffic_one(traffic, prepared.areas, motion, look(prepared, motion), last_step, whole, 0, found)
    return found[:, 0]


FRONT = 1.461 + HALF_LENGTH
"""Of the ego's box before its rear axle, m."""


@pytest.mark.parametrize(("speed", "score"), [(0.0499, 1.0), (0.0501, 0.0)])
def test_a_standing_ego_is_not_at_fault(speed: float, score: float) -> None:
    assert outcome(speed, (FRONT + 0.4, 0.0))[0] == score


@pytest.mark.parametrize(("speed", "score"), [(0.0499, 0.0), (0.0501, 1.0)])
def test_a_standing_vehicle_is_hit_wherever_a_moving_one_is_hit_in_front_only(speed: float, score: float) -> None:
    """The object touches the ego's side, moving away slowly or not at all."""
    assert outcome(1.0, (1.461, HALF_WIDTH + 0.4), velocity=(speed, 0.0))[0] == score


def test_a_static_object_costs_half() -> None:
    assert outcome(1.0, (FRONT + 1.0, 0.0), kind=ObjectType.VEHICLE)[0] == 0.0
    assert outcome(1.0, (FRONT + 1.0, 0.0), kind=ObjectType.CZONE_SIGN)[0] == 0.5


@pytest.mark.parametrize(("speed", "step"), [(0.00499, -1), (0.00501, 0)])
def test_time_to_collision_of_a_standing_ego(speed: float, step: int) -> None:
    assert outcome(speed, (FRONT + 0.4, 0.0))[2] == step


@pytest.mark.parametrize(("gap", "violated"), [(0.899, True), (0.901, False)])
def test_time_to_collision_looks_nine_tenths_of_a_second_ahead(gap: float, violated: bool) -> None:
    """Seen at step 0: an object that is there only 0.9 s later, `gap` s ahead of the bumper."""
    speed = 10.0
    found = outcome(speed, (FRONT + 0.5 + speed * gap, 0.0), present=slice(9, 10), kind=ObjectType.CZONE_SIGN)
    assert (found[2] == 0) == violated


@pytest.mark.parametrize("step", range(13))
def test_time_to_collision_looks_ahead_by_0_3_6_and_9_steps(step: int) -> None:
    """An object present at one step only, at the place where the ego would be then."""
    motion = motion_of(*np.zeros((3, STEPS, 1)), np.zeros((STEPS, 1)))
    motion[SPEED, 0] = 10.0  # fast at step 0, then standing: the only step to look ahead from
    found = outcome(0.0, (FRONT + step, 0.0), present=slice(step, step + 1), motion=motion)
    assert (found[2] == 0) == (step in (0, 3, 6, 9))


@pytest.mark.parametrize(("devkit", "last"), [(Devkit.V1, 40), (Devkit.V2, 31)])
def test_the_last_step_that_looks_ahead(devkit: Devkit, last: int) -> None:
    assert TTC_LAST_STEP[devkit] == last
    for step, expected in ((last, last), (last + 1, -1)):
        if step == STEPS:
            continue
        motion = motion_of(*np.zeros((3, STEPS, 1)), np.zeros((STEPS, 1)))
        motion[SPEED, step] = 1.0
        assert outcome(0.0, (FRONT + 0.4, 0.0), motion=motion, last_step=TTC_LAST_STEP[devkit])[2] == expected


@pytest.mark.parametrize(("degrees", "ahead"), [(29.9, True), (-29.9, True), (30.1, False), (-30.1, False)])
def test_only_what_is_ahead_within_30_degrees_violates_time_to_collision(degrees: float, ahead: bool) -> None:
    """Bearings are those from the rear axle; on its lane, the ego owes others nothing beside it."""
    angle = np.radians(degrees)
    distance = 2.5  # the object touches the box
    assert (outcome(1.0, (distance * np.cos(angle), distance * np.sin(angle)))[2] == 0) == ahead


@pytest.mark.parametrize(("degrees", "score"), [(149.9, 0.0), (-149.9, 0.0), (150.1, 1.0), (-150.1, 1.0)])
def test_what_moves_behind_150_degrees_is_not_the_egos_fault(degrees: float, score: float) -> None:
    """Off the road everything else that moves is."""
    angle = np.radians(degrees)
    at = 1.4 * np.cos(angle), 1.4 * np.sin(angle) + 40.0
    flat = np.zeros((STEPS, 1))
    motion = motion_of(TIMES[:, None], flat + 40.0, flat, flat + 1.0)
    assert outcome(1.0, at, velocity=(0.06, 0.0), motion=motion, present=slice(0, 1))[0] == score


@pytest.mark.parametrize("name", ["pdms_v1", "epdms_v2"])
@pytest.mark.parametrize(("best", "expected"), [(4.999, 1.0), (5.001, 0.8)])
def test_progress_counts_beyond_five_metres(name: str, best: float, expected: float) -> None:
    found = aggregate.normalised_progress(np.array([0.8 * best]), np.ones(1), best, protocol(name))
    assert found[0] == pytest.approx(expected)
    taught = aggregate.gated_progress(np.array([0.8 * best]), np.ones(1), best)
    assert taught[0] == pytest.approx(expected)


@pytest.mark.parametrize(("beyond", "leaves"), [(-1e-3, False), (1e-3, True)])
@pytest.mark.parametrize("side", ["left", "right", "front", "rear"])
def test_drivable_area_to_the_corners_of_the_box(side: str, beyond: float, leaves: bool) -> None:
    """5.176 m by 2.297 m around a centre 1.461 m before the rear axle."""
    left, right, front, rear = 2.297 / 2, -2.297 / 2, 1.461 + 5.176 / 2, 1.461 - 5.176 / 2
    edges = {"left": 20.0, "right": -20.0, "front": 200.0, "rear": -20.0}
    edges[side] = {"left": left - beyond, "right": right + beyond, "front": front - beyond, "rear": rear + beyond}[side]
    area = box(edges["rear"], edges["right"], edges["front"], edges["left"])
    areas = prepare(Sketch(polygons=[(MapLayer.ROADBLOCK, area, False)], centerline=ROAD).scene()).areas
    assert box_leaves_drivable(areas, 1.461, 0.0, 1.0, 0.0) == leaves

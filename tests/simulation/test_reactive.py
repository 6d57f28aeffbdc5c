"""Reactive traffic: scenes a reader can check by hand, what must not change it, and degenerate lanes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE, State
from navforge.geometry.se2 import poses_to_global
from navforge.metric_cache.objects import FrameObjects, ObjectType
from navforge.metric_cache.reactive import ReactiveStart
from navforge.metric_cache.tracks import ObjectTracks
from navforge.simulation.kernels.reactive import react
from navforge.simulation.kernels.stretch import lane_areas
from navforge.simulation.reactive import ReactiveScene, _replayed, followers_of, simulate_traffic

LENGTH, WIDTH = 4.0, 2.0
EGO_FRONT = 0.5 * 5.176  # the policy takes the rear axle for the middle of the box


def straight_lane(length: float, y: float = 0.0, spacing: float = 1.0) -> np.ndarray:
    """(V, 3) poses eastwards from x = 0, one vertex longer than `length`: the last is cut off."""
    x = np.append(np.arange(0.0, length + 0.5 * spacing, spacing), length + spacing)
    return np.column_stack([x, np.full(len(x), y), np.zeros(len(x))])


def scene(
    cars: list[tuple[int, float, float]],
    lanes: list[np.ndarray],
    *,
    target: float = 10.0,
    standing: list[tuple[float, float]] = (),  # type: ignore[assignment]
    others: ObjectTracks | None = None,
) -> ReactiveScene:
    """Cars (lane, progress, speed) and standing boxes (x, y)."""
    starts = np.array([[np.interp(s, _arc(lanes[k]), lanes[k][:, c]) for c in range(3)] for k, s, _ in cars])
    starts = starts.reshape(-1, 3)
    poses = np.concatenate([starts, [[x, y, 0.0] for x, y in standing]]) if standing else starts
    count = len(poses)
    speed = np.array([v for *_, v in cars] + [0.0] * len(standing))
    current = FrameObjects(
        token=np.array([f"t{n}" for n in range(count)], dtype=np.str_),
        type=np.full(count, ObjectType.VEHICLE, np.uint8),
        extent=np.tile([LENGTH, WIDTH], (count, 1)),
        pose=poses,
        velocity=np.column_stack([speed * np.cos(poses[:, 2]), speed * np.sin(poses[:, 2])]),
    )
    start = ReactiveStart(
        current=current,
        follower=np.arange(len(cars), dtype=np.int32),
        lane=np.array([k for k, *_ in cars], np.int32),
        progress_m=np.array([s for _, s, _ in cars], np.float64),
        speed_mps=np.array([v for *_, v in cars], np.float64),
        target_speed_mps=np.full(len(cars), target),
        start_pose=starts,
        path=np.concatenate(lanes) if lanes else np.zeros((0, 3)),
        path_start=np.cumsum([0, *map(len, lanes)], dtype=np.int64),
        standing=np.arange(len(cars), count, dtype=np.int32),
    )
    return prepared(start, others if others is not None else nothing())


def prepared(start: ReactiveStart, logged: ObjectTracks) -> ReactiveScene:
    followers = followers_of(start)
    return ReactiveScene(
        token="made up",
        followers=followers,
        lanes=lane_areas(followers.lane, followers.start, followers.half_width, np.zeros(2)),
        replayed=_replayed(start, logged),
        follower=start.follower,
        standing=start.standing,
    )


def nothing() -> ObjectTracks:
    return ObjectTracks(
        token=np.zeros(0, np.str_), type=np.zeros(0, np.uint8), extent=np.zeros((0, 2)), pose=np.zeros((0, 41, 3)),
        velocity=np.zeros((0, 41, 2)), valid=np.zeros((0, 41), np.bool_), first_heading=np.zeros(0),
        first_velocity=np.zeros((0, 2)),
    )  # fmt: skip


def _arc(lane: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(lane[:, :2], axis=0).T))])


def ego(x: float = 40.0, y: float = -40.0, speed: float = 0.0) -> np.ndarray:
    """(41, 11) driving east at a constant speed."""
    states = np.zeros((41, STATE_SIZE))
    states[:, State.X] = x + speed * 0.1 * np.arange(41)
    states[:, State.Y] = y
    states[:, State.VELOCITY_X] = speed
    return states


def drive(made: ReactiveScene, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return react(made.followers, made.lanes, states)


def test_a_car_at_its_target_speed_keeps_it_on_a_free_lane() -> None:
    pose, speed, _ = drive(scene([(0, 10.0, 10.0)], [straight_lane(500.0)]), ego())
    # the end of the lane is so far that its pull is below 0.01 m/s2
    np.testing.assert_allclose(speed[0], 10.0, atol=0.06)
    np.testing.assert_allclose(pose[0, :, 0], 10.0 + np.arange(41), atol=0.1)
    assert (pose[0, :, 1:] == 0.0).all()


def test_a_car_from_rest_accelerates_with_one_metre_per_second_squared() -> None:
    _, speed, _ = drive(scene([(0, 10.0, 0.0)], [straight_lane(500.0)]), ego())
    assert speed[0, 1] == pytest.approx(0.1, abs=1e-5)
    assert speed[0, 10] == pytest.approx(1.0, abs=0.01)


def test_a_car_behind_the_stopped_ego_stops_without_touching() -> None:
    pose, speed, _ = drive(scene([(0, 42.0, 6.0)], [straight_lane(200.0)]), ego(60.0, 0.0))
    gap = 60.0 - EGO_FRONT - (pose[0, :, 0] + 0.5 * LENGTH)
    assert gap[0] > 10.0
    assert (gap > 0.0).all()
    assert speed[0, -1] < 1.0 < speed[0, 0]
    assert (np.diff(speed[0]) >= -0.2 - 1e-12).all(), "braking is limited to 2 m/s2"
    stopped, still, _ = drive(
        scene([(0, 60.0 - EGO_FRONT - 0.5 * LENGTH - 1.0, 0.0)], [straight_lane(200.0)]), ego(60.0, 0.0)
    )
    np.testing.assert_allclose(still[0], 0.0, atol=1e-9, err_msg="1 m is the gap of standstill")
    assert stopped[0, -1, 0] == pytest.approx(stopped[0, 0, 0], abs=1e-9)


def test_a_leaders_speed_is_followed_and_reacts_to_the_egos() -> None:
    lane = straight_lane(300.0)
    _, behind_slow, _ = drive(scene([(0, 30.0, 5.0)], [lane]), ego(50.0, 0.0, 5.0))
    _, behind_fast, _ = drive(scene([(0, 30.0, 5.0)], [lane]), ego(50.0, 0.0, 9.0))
    assert behind_fast[0, -1] > behind_slow[0, -1] + 1.0
    _, pair, _ = drive(scene([(0, 20.0, 8.0), (0, 42.0, 5.0)], [lane], target=5.0), ego())
    assert 4.0 < pair[0, -1] < 6.0
    assert pair[1, -1] == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize(("leader", "lead_speed"), [(0, 0.1), (1, 0.0)])
def test_a_leader_is_seen_after_its_move_if_it_comes_first_and_before_it_else(leader: int, lead_speed: float) -> None:
    """It starts from rest, 20 m ahead: 16 m between the cars, whose speed follows the driver model."""
    cars = [(0, 40.0, 5.0), (0, 60.0, 0.0)]
    _, speed, _ = drive(scene(cars[:: 1 if leader else -1], [straight_lane(500.0)]), ego())
    safe_gap = 1.0 + 5.0 * 1.5 + 5.0 * (5.0 - lead_speed) / (2 * 2.0**0.5)
    expected = 5.0 + 0.1 * (1.0 - 0.5**4 - (safe_gap / 16.0) ** 2)
    assert speed[1 - leader, 1] == pytest.approx(expected, abs=1e-6)


def test_the_end_of_a_lane_is_a_wall_and_the_last_vertex_is_cut_off() -> None:
    lane = straight_lane(40.0)
    pose, speed, _ = drive(scene([(0, 30.0, 6.0)], [lane]), ego())
    assert speed[0, -1] < 1.0
    assert pose[0, -1, 0] <= 40.0
    beyond, _, _ = drive(scene([(0, 40.9, 0.0)], [lane]), ego())
    np.testing.assert_array_equal(beyond[0, :, 0], 40.0)


def test_cars_beside_and_beyond_the_radius() -> None:
    lanes = [straight_lane(300.0), straight_lane(300.0, y=3.5)]
    _, alone, _ = drive(scene([(0, 30.0, 6.0)], lanes), ego())
    _, beside, _ = drive(scene([(0, 30.0, 6.0), (1, 45.0, 0.0)], lanes), ego())
    np.testing.assert_array_equal(alone[0], beside[0], err_msg="the next lane is nobody's way")
    made = scene([(0, 30.0, 6.0), (0, 130.0, 0.0)], lanes)
    _, _, present = drive(made, ego(x=20.0))
    assert present[0].all()
    assert not present[1, 1:].any()
    assert present[1, 0]
    tracks = simulate_traffic(made, ego(x=20.0))
    assert tracks.valid[1].tolist() == [True] + [False] * 40


@pytest.mark.parametrize(("metres", "there"), [(99.9, True), (100.1, False)])
def test_cars_more_than_100_metres_from_the_ego_are_taken_out(metres: float, there: bool) -> None:
    _, _, present = drive(scene([(0, 50.0, 0.0)], [straight_lane(300.0)]), ego(x=50.0, y=-metres))
    assert present[0, 1] == there


def test_a_standing_car_gives_way_and_comes_back() -> None:
    """A car drives past at 1 m beside the middle of a standing one: boxes overlap for a while."""
    made = scene([(0, 20.0, 9.0)], [straight_lane(300.0)], standing=[(35.0, 1.5), (100.0, 1.5)])
    tracks = simulate_traffic(made, ego())
    x = tracks.pose[0, :, 0]
    overlap = np.abs(x - 35.0) <= LENGTH
    assert overlap[1:].any()
    np.testing.assert_array_equal(tracks.valid[1], ~overlap | (np.arange(41) == 0))
    assert tracks.valid[2].all()
    np.testing.assert_array_equal(tracks.pose[1, :, 0], 35.0)


def test_everything_but_vehicles_is_replayed() -> None:
    walker = ObjectTracks(
        token=np.array(["w", "late"]), type=np.array([1, 0], np.uint8), extent=np.ones((2, 2)),
        pose=np.cumsum(np.ones((2, 41, 3)), axis=1), velocity=np.ones((2, 41, 2)),
        valid=np.ones((2, 41), np.bool_), first_heading=np.ones(2), first_velocity=np.ones((2, 2)),
    )  # fmt: skip
    tracks = simulate_traffic(scene([(0, 10.0, 5.0)], [straight_lane(100.0)], others=walker), ego())
    assert tracks.token.tolist() == ["t0", "w"], "a vehicle that comes later is not there"
    np.testing.assert_array_equal(tracks.pose[1, 1:], walker.pose[0, 1:])
    assert tracks.valid[1].tolist() == [False] + [True] * 40, "it is not in the current frame"


def crowd(rng: np.random.Generator) -> tuple[ReactiveStart, np.ndarray]:
    """Cars on three bent lanes that cross, an ego among them."""
    lanes = []
    for _ in range(3):
        heading = rng.uniform(-np.pi, np.pi) + np.cumsum(rng.normal(0.0, 0.03, 60))
        steps = np.c_[np.cos(heading), np.sin(heading)]
        xy = np.cumsum(steps, axis=0)
        xy -= xy[30] + rng.uniform(-5.0, 5.0, 2)
        lanes.append(np.column_stack([xy, heading]))
    cars = [(int(rng.integers(3)), float(s), float(rng.uniform(0.0, 12.0))) for s in rng.uniform(2.0, 55.0, 9)]
    made = scene(cars, lanes)
    current = FrameObjects(
        token=made.replayed.token, type=made.replayed.type, extent=made.replayed.extent + rng.uniform(0, 0.5, (9, 2)),
        pose=made.replayed.pose[:, 0], velocity=made.replayed.velocity[:, 0],
    )  # fmt: skip
    start = ReactiveStart(
        current=current,
        follower=made.follower,
        lane=np.array([k for k, *_ in cars], np.int32),
        progress_m=made.followers.progress,
        speed_mps=made.followers.speed,
        target_speed_mps=rng.uniform(4.0, 14.0, 9),
        start_pose=made.followers.pose,
        path=np.concatenate(lanes),
        path_start=np.array([0, 60, 120, 180]),
        standing=np.zeros(0, np.int32),
    )
    return start, ego(x=-10.0, y=float(rng.uniform(-3.0, 3.0)), speed=float(rng.uniform(0.0, 8.0)))


@pytest.mark.parametrize("seed", range(12))
def test_moving_the_scene_changes_nothing(seed: int) -> None:
    """Ties between leaders that overlap a vehicle's area go by the map's y axis, as in the devkit: turns keep it."""
    rng = np.random.default_rng(seed)
    start, states = crowd(rng)
    origin = np.array([331_000.0, 4_690_000.0, 0.0])

    def moved(poses: np.ndarray) -> np.ndarray:
        return poses_to_global(origin, np.ascontiguousarray(poses, dtype=np.float64))

    there = states.copy()
    there[:, :3] = moved(states[:, :3])
    away = replace(
        start,
        current=replace(start.current, pose=moved(start.current.pose)),
        path=moved(start.path),
        start_pose=moved(start.start_pose),
    )
    here = drive(prepared(start, nothing()), states)
    found = prepared(away, nothing())
    followers = found.followers
    found = replace(found, lanes=lane_areas(followers.lane, followers.start, followers.half_width, origin[:2].copy()))
    pose, speed, present = drive(found, there)
    np.testing.assert_array_equal(present, here[2])
    np.testing.assert_allclose(speed, here[1], atol=1e-6)
    np.testing.assert_allclose(pose[..., :2] - origin[:2], here[0][..., :2], atol=1e-6)


def test_turning_the_scene_changes_nothing_where_nobody_overlaps() -> None:
    turn = np.array([5.0, -3.0, 1.1])
    lane = straight_lane(200.0)
    cars = [(0, 20.0, 8.0), (0, 60.0, 3.0)]
    plain = drive(scene(cars, [lane]), ego(100.0, 0.0, 2.0))
    states = ego(100.0, 0.0, 2.0)
    states[:, :3] = poses_to_global(turn, states[:, :3])
    pose, speed, _ = drive(scene(cars, [poses_to_global(turn, lane)]), states)
    np.testing.assert_allclose(speed, plain[1], atol=1e-9)
    np.testing.assert_allclose(pose, poses_to_global(turn, plain[0]), atol=1e-9)


def test_other_lanes_cars_may_come_in_any_order() -> None:
    """Vehicles move one after the other, so that order matters among neighbours, and only there."""
    lanes = [straight_lane(100.0, y=10.0 * k) for k in range(4)]
    cars = [(k, 20.0 + k, 3.0 + k) for k in range(4)]
    _, speed, _ = drive(scene(cars, lanes), ego(40.0, -30.0))
    _, reversed_speed, _ = drive(scene(cars[::-1], lanes), ego(40.0, -30.0))
    np.testing.assert_array_equal(speed, reversed_speed[::-1])


@pytest.mark.parametrize(
    "lane",
    [
        np.zeros((1, 3)),
        np.zeros((2, 3)),
        np.zeros((5, 3)),
        np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        np.array(
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 0.0, 0.0], [9.0, 0.0, 0.0]]
        ),
        np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, np.pi], [5.0, 0.0, 0.0], [9.0, 0.0, 0.0]]),
        np.column_stack([np.cos(np.arange(40) * 0.3), np.sin(np.arange(40) * 0.3), np.arange(40) * 0.3 + 1.7]),
    ],
    ids=["one point", "one point twice", "one point often", "two points", "repeats", "there and back", "roundabout"],
)
def test_degenerate_lanes(lane: np.ndarray) -> None:
    cars = [(0, 0.0, 3.0), (0, 0.5, 30.0), (1, 5.0, 4.0)]
    with np.errstate(all="raise"):
        made = scene(cars, [lane, straight_lane(50.0)])
        pose, speed, present = drive(made, ego(20.0, 0.0, 3.0))
        tracks = simulate_traffic(made, ego(20.0, 0.0, 3.0))
    assert np.isfinite(pose).all()
    assert np.isfinite(speed).all()
    assert (speed >= 0.0).all()
    assert present.all()
    reach = np.abs(lane[:, :2]).max() + 1e-9
    assert (np.abs(pose[:2, :, :2]) <= reach).all(), "nobody leaves the lane"
    assert tracks.valid.all()


CASES = json.loads((Path(__file__).parents[1] / "official" / "free_road.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_end_of_a_lane_as_the_official_devkit_has_it(case: dict[str, Any]) -> None:
    """Cars at and beyond the end of their lane, with one that comes up behind (`benchmarks/official_free_road.py`).

    Where the devkit asserts that its area of the way to go meets the car, its numbers are those without the assertion.
    """
    plain = scene([(0, progress, speed) for progress, speed in case["cars"]], [np.array(case["lane"])])
    followers, origin = plain.followers, np.array(case["ego"][:2])
    made = replace(plain, lanes=lane_areas(followers.lane, followers.start, followers.half_width, origin))
    states = np.zeros((41, STATE_SIZE))
    states[:, : State.HEADING + 1] = case["ego"]
    pose, speed, present = drive(made, states)
    assert present.all()
    np.testing.assert_allclose(speed, case["speed"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pose[..., :2], case["xy"], rtol=0, atol=1e-9)


def test_the_cases_at_the_end_of_a_lane_differ() -> None:
    """A car that comes to the end brakes as on a free road, or is drawn on by the faster one whose area it is in."""
    first_step = {case["case"]: case["speed"][1][1] for case in CASES}
    assert first_step["no length is left"] == first_step["beyond the end"] == pytest.approx(0.3)
    assert first_step["some nanometres are left"] == pytest.approx(0.579, abs=1e-3)


def test_no_vehicles_at_all() -> None:
    tracks = simulate_traffic(scene([], []), ego())
    assert tracks.valid.shape == (0, 41)


@pytest.mark.parametrize("seed", range(20))
def test_crowds_stay_finite_on_their_lanes_and_do_not_reverse(seed: int) -> None:
    start, states = crowd(np.random.default_rng(100 + seed))
    made = prepared(start, nothing())
    pose, speed, _ = drive(made, states)
    assert np.isfinite(pose).all()
    assert (speed >= 0.0).all()
    assert (np.diff(speed, axis=1) <= 0.1 + 1e-12).all()
    assert (np.diff(speed, axis=1) >= -0.2 - 1e-12).all()


def test_bad_states_are_refused() -> None:
    made = scene([(0, 10.0, 5.0)], [straight_lane(100.0)])
    states = ego()
    states[7, 0] = np.nan
    for bad in (states, ego()[:40]):
        with pytest.raises(DataError, match=r"must be \(41, 11\) finite numbers"):
            simulate_traffic(made, bad)

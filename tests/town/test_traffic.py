"""Drives are lawful: nobody runs a red light, ego touches nothing, stays on the road and moves as a car can."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.town.episode import STEPS_PER_FRAME, Episode, Stage, play
from navforge.town.log_window import EgoMotion, drivable_area
from navforge.town.paths import box_corners
from navforge.town.traffic import STEP_S, Manner, idm
from navforge.town.world import ActorKind, Light


@pytest.fixture(scope="module")
def episodes(stage: Stage) -> list[Episode]:
    return [play(stage, (3, seed), 25.0) for seed in range(4)]


def test_same_seed_same_episode(stage: Stage, episode: Episode) -> None:
    again = play(stage, (3, 1), 20.0)
    assert np.array_equal(again.ego, episode.ego)
    assert np.array_equal(again.takes[-1].snapshot.actors.box, episode.takes[-1].snapshot.actors.box)


def test_ego_touches_nothing(episodes: list[Episode]) -> None:
    assert not any(episode.touched.any() for episode in episodes)


def test_ego_stays_on_the_road(stage: Stage, episodes: list[Episode]) -> None:
    drivable = drivable_area(stage.town)
    for episode in episodes:
        for x, y, heading, *_ in episode.ego[::5]:
            centre = np.array([x, y]) + 1.461 * np.array([np.cos(heading), np.sin(heading)])
            corners = box_corners(np.array([*centre, heading, 5.176, 2.297]))
            assert shapely.contains_xy(drivable, corners[:, 0], corners[:, 1]).all()


def test_ego_never_passes_a_stop_line_at_red(episodes: list[Episode]) -> None:
    for episode in episodes:
        front = episode.ego[::STEPS_PER_FRAME, 5] + 4.049
        for gate in episode.line.gates:
            for n in np.flatnonzero((front[:-1] < gate.stop) & (front[1:] > gate.stop + 1.0)):
                states = [take.snapshot.lights.get(gate.connector) for take in episode.takes[n : n + 2]]
                assert states != [Light.RED, Light.RED]


def test_moving_vehicles_do_not_overlap(episodes: list[Episode]) -> None:
    overlaps = pairs = 0
    for episode in episodes:
        for take in episode.takes[::4]:
            actors = take.snapshot.actors
            driving = actors.kind <= ActorKind.BICYCLE
            boxes = actors.box[driving][:, [0, 1, 6, 3, 4]]
            shapes = [shapely.Polygon(box_corners(box)) for box in boxes]
            tree = shapely.STRtree(shapes)
            a, b = tree.query(shapes, predicate="intersects")
            overlaps += int((a < b).sum())
            pairs += len(shapes)
    assert overlaps <= 0.01 * pairs


def test_position_speed_and_acceleration_agree(episode: Episode) -> None:
    motion = EgoMotion.of(episode)
    times = np.arange(10, len(episode.ego) - 10) * STEP_S
    pose, v, a, yaw_rate = motion.at(times)
    velocity = np.gradient(pose[:, :2], STEP_S, axis=0)[2:-2]
    along = (velocity * np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=1)[2:-2]).sum(axis=1)
    across = (velocity * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], axis=1)[2:-2]).sum(axis=1)
    assert np.abs(along - v[2:-2]).max() < 0.05
    assert np.abs(across).max() < 0.06, "the rear axle moves where it points"
    assert np.abs(np.gradient(v, STEP_S)[2:-2] - a[2:-2]).max() < 0.15
    assert np.abs(np.gradient(pose[:, 2], STEP_S)[2:-2] - yaw_rate[2:-2]).max() < 0.05


def test_idm_keeps_its_gap() -> None:
    manner = Manner()
    assert idm(manner, 0.0, manner.standstill_m, 0.0, manner.standstill_m) == pytest.approx(0.0)
    assert idm(manner, 10.0, 100.0, 10.0, 2.0) > 0
    assert idm(manner, 10.0, 15.0, 0.0, 2.0) < -2.0

"""Collisions and time to collision, eight proposals at once or one, against the devkit's order of events spelt out."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.tracks import ObjectTracks
from navforge.scoring.arrays import TrafficArrays
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.kernels.motion import HALF_LENGTH, HALF_WIDTH
from navforge.scoring.kernels.reach import fill_reach, fill_whole, reach_work
from navforge.scoring.kernels.traffic import OUTCOME_ROWS, traffic_block, traffic_one
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.prepare.traffic import prepare_traffic
from tests.scoring.crowds import EGO_STEPS, in_devkit_order, look, motion_of, random_motion, random_tracks, tracks_of
from tests.scoring.scenes import Sketch, random_scene

ORIGIN = np.zeros(3)


def by_blocks(prepared: SceneArrays, traffic: TrafficArrays, motion: np.ndarray, last_step: int) -> np.ndarray:
    """(3, N) outcomes, eight proposals at a time; the last one fills the last block."""
    count = motion.shape[2]
    padded = motion[..., np.minimum(np.arange(-(-count // 8) * 8), count - 1)]
    seen = look(prepared, padded)
    outcomes = np.empty((OUTCOME_ROWS, padded.shape[2]))
    work = reach_work()
    for first in range(0, count, 8):
        block = np.ascontiguousarray(padded[..., first : first + 8])
        outcome = np.empty((OUTCOME_ROWS, 8))
        fill_reach(block, EGO_STEPS, work)
        known = np.ascontiguousarray(seen[:, first : first + 8])
        traffic_block(traffic, prepared.areas, block, known, last_step, min(8, count - first), work, outcome)
        outcomes[:, first : first + 8] = outcome
    return outcomes[:, :count]


def one_by_one(prepared: SceneArrays, traffic: TrafficArrays, motion: np.ndarray, last_step: int) -> np.ndarray:
    """(3, N) outcomes as a CUDA thread finds them."""
    count = motion.shape[2]
    seen = look(prepared, motion)
    outcome = np.empty((OUTCOME_ROWS, count))
    whole = np.empty((4, count))
    for n in range(count):
        fill_whole(motion, EGO_STEPS, n, whole)
        traffic_one(traffic, prepared.areas, motion, seen, last_step, whole, n, outcome)
    return outcome


def expected(prepared: SceneArrays, traffic: TrafficArrays, motion: np.ndarray, last_step: int) -> np.ndarray:
    return np.array(
        [in_devkit_order(traffic, prepared.areas, motion[..., n], last_step) for n in range(motion.shape[2])]
    ).T


def traffic_of(tracks: ObjectTracks) -> TrafficArrays:
    return prepare_traffic(tracks, ORIGIN, drop_overlapping=False)


@pytest.mark.parametrize("seed", range(16))
def test_crowds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prepared = prepare(random_scene(rng), raster=bool(seed % 2))
    last_step, steps = ((31, 41), (40, 51))[seed % 3 == 0]
    traffic = traffic_of(random_tracks(rng, int(rng.choice([0, 1, 7, 8, 9, 60, 200])), steps))
    motion = random_motion(rng, 21)
    found = by_blocks(prepared, traffic, motion, last_step)
    np.testing.assert_array_equal(found, one_by_one(prepared, traffic, motion, last_step))
    np.testing.assert_array_equal(found, expected(prepared, traffic, motion, last_step))
    shuffled = rng.permutation(motion.shape[2])
    np.testing.assert_array_equal(
        by_blocks(prepared, traffic, motion[..., shuffled], last_step), found[:, shuffled], "order of proposals"
    )


def test_crowds_show_every_outcome() -> None:
    """Otherwise agreement would mean little."""
    scores, hits, early, static = set(), 0, 0, 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        prepared = prepare(random_scene(rng))
        traffic = traffic_of(random_tracks(rng, 12, 41))
        score, step, ahead = by_blocks(prepared, traffic, random_motion(rng, 40), 31)
        scores |= set(score)
        hits += int((step > 0).sum())
        static += int(((score == 0.5) & (ahead >= 0)).sum())
        early += int(((ahead >= 0) & (step > ahead)).sum())
        assert ((step >= 0) == (score < 1.0)).all()
    assert scores == {0.0, 0.5, 1.0}
    assert hits > 50 and early > 20 and static > 3


def standing_boxes(
    x: np.ndarray, y: np.ndarray, extent: np.ndarray, kind: ObjectType = ObjectType.CZONE_SIGN, steps: int = 41
) -> ObjectTracks:
    count = len(x)
    pose = np.zeros((count, steps, 3))
    pose[..., 0], pose[..., 1] = x[:, None], y[:, None]
    return tracks_of(pose, extent, np.full(count, int(kind)), np.zeros((count, 2)), np.ones((count, steps), dtype=bool))


def straight(speed: np.ndarray) -> np.ndarray:
    """(7, 41, N) along x from the origin, at constant speeds."""
    t = np.arange(EGO_STEPS)[:, None] * 0.1
    zero = 0.0 * t * speed
    return motion_of(t * speed, zero, zero, zero + speed)


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-9, 0.5e-6, 2e-6])
def test_boxes_that_touch(gap: float) -> None:
    """Boxes beside the ego's way: touching counts, any gap beyond rounding does not, whatever bounds enlarge."""
    prepared = prepare(Sketch().scene())
    half = 0.75
    side = HALF_WIDTH + half + gap
    sides = np.array([side, -side])
    traffic = traffic_of(standing_boxes(np.array([20.0, 33.0]), sides, np.full((2, 2), 2 * half)))
    motion = straight(np.linspace(2.0, 9.0, 8))
    found = by_blocks(prepared, traffic, motion, 31)
    np.testing.assert_array_equal(found, expected(prepared, traffic, motion, 31))
    assert (found[0].min() == 0.5) == (side <= HALF_WIDTH + half)


def test_an_object_met_at_the_last_step_only() -> None:
    """The box begins where the front bumper ends up; a nanometre farther it is not met."""
    prepared = prepare(Sketch().scene())
    motion = straight(np.full(8, 5.0))
    front = motion[2, -1, 0] + HALF_LENGTH
    for x, score in ((front + 0.5 - 1e-9, 0.5), (front + 0.5 + 1e-9, 1.0)):
        traffic = traffic_of(standing_boxes(np.array([x]), np.zeros(1), np.ones((1, 2))))
        found = by_blocks(prepared, traffic, motion, 31)
        assert (found[0] == score).all()
        assert (found[1] == (40 if score == 0.5 else -1)).all()
        np.testing.assert_array_equal(found[2], expected(prepared, traffic, motion, 31)[2])


def test_absent_objects_are_met_by_nobody() -> None:
    """An object without any step, or none while the ego passes, lies at the origin of its arrays: not in the way."""
    prepared = prepare(Sketch().scene())
    tracks = standing_boxes(np.array([15.0, 15.0]), np.zeros(2), np.ones((2, 2)))
    tracks.valid[0] = False
    tracks.valid[1, 5:] = False
    traffic = traffic_of(tracks)
    assert traffic.object.tolist() == [1]
    motion = straight(np.linspace(0.0, 9.0, 8))
    assert (by_blocks(prepared, traffic, motion, 31) == np.array([[1.0], [-1.0], [-1.0]])).all()


def test_one_lane_does_not_leak_into_another() -> None:
    """Each of eight proposals meets an object of its own, at a step of its own."""
    prepared = prepare(Sketch().scene())
    lateral = 12.0 * np.arange(8)
    motion = straight(np.full(8, 6.0))
    motion[[1, 3]] += lateral
    distances = 8.0 + 2.0 * np.arange(8)
    kinds = np.array([ObjectType.VEHICLE, ObjectType.CZONE_SIGN] * 4)
    tracks = standing_boxes(distances, lateral, np.ones((8, 2)))
    tracks.type[:] = kinds
    found = by_blocks(prepared, traffic_of(tracks), motion, 31)
    assert found[0].tolist() == [0.0, 0.5] * 4
    first = np.ceil((distances - 0.5 - HALF_LENGTH - motion[2, 0]) / 0.6).astype(int)
    assert found[1].tolist() == first.tolist()


def test_padding_is_not_looked_up() -> None:
    """Proposals beyond `count` of a block leave what is known of their areas alone."""
    rng = np.random.default_rng(3)
    prepared = prepare(random_scene(rng))
    traffic = traffic_of(random_tracks(rng, 60, 41))
    motion = np.ascontiguousarray(np.repeat(random_motion(rng, 1), 8, axis=2))
    seen = look(prepared, motion)
    before = seen.copy()
    work = reach_work()
    fill_reach(motion, EGO_STEPS, work)
    traffic_block(traffic, prepared.areas, motion, seen, 31, 0, work, np.empty((OUTCOME_ROWS, 8)))
    np.testing.assert_array_equal(seen, before)


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(DataError, match="at most 60"):
        traffic_of(standing_boxes(np.zeros(1), np.zeros(1), np.ones((1, 2)), steps=61))

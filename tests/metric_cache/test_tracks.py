from __future__ import annotations

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from navforge.core.errors import DataError
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import FrameObjects, ObjectType, sightings
from navforge.metric_cache.tracks import ObjectTracks, interpolate

FRAMES = 11


def frames(tracks, kinds=None):
    """Frames from {token: {frame: (x, y, heading, vx, vy)}}."""
    made = []
    for number in range(FRAMES):
        tokens = [token for token in tracks if number in tracks[token]]
        tokens.sort(key=lambda token: (kinds or {}).get(token, 0))
        rows = np.array([tracks[token][number] for token in tokens], np.float64).reshape(-1, 5)
        made.append(
            FrameObjects(
                token=np.array(tokens, dtype=np.str_),
                type=np.array([(kinds or {}).get(token, 0) for token in tokens], np.uint8),
                extent=np.full((len(tokens), 2), [4.0 + number, 2.0]),
                pose=rows[:, :3],
                velocity=rows[:, 3:],
            )
        )
    return made


def tracks_of(tracks, devkit=Devkit.V2, kinds=None):
    found = interpolate(sightings(frames(tracks, kinds)), devkit)
    return {token: i for i, token in enumerate(found.token)}, found


def test_object_seen_once_is_there_at_all_steps():
    index, found = tracks_of({"a": {3: (1.0, 2.0, 0.5, 3.0, 4.0)}})
    assert found.valid[index["a"]].all()
    assert (found.pose[0] == [1.0, 2.0, 0.5]).all()
    assert (found.velocity[0] == [3.0, 4.0]).all()
    assert found.extent[0].tolist() == [7.0, 2.0]


def test_gap_is_bridged_linearly_and_size_stays_that_of_the_first_sighting():
    _, found = tracks_of({"a": {2: (0, 0, 0, 1, 0), 6: (8, 4, 0.4, 3, 0)}})
    assert np.flatnonzero(found.valid[0]).tolist() == list(range(10, 31))
    np.testing.assert_allclose(found.pose[0, 20], [4, 2, 0.2], atol=1e-12)
    assert found.velocity[0, 20].tolist() == pytest.approx([2, 0])
    assert found.extent[0, 0] == 6.0
    assert found.first_velocity[0].tolist() == [1, 0]
    assert (found.pose[0, 31:] == 0).all()


@pytest.mark.parametrize("last", range(1, 9))
def test_first_and_last_sightings_count(last):
    """Of the steps' times, 0.1 times the step in floating point, those of key frames are exact."""
    _, found = tracks_of({"a": {0: (0.0,) * 5, last: (1.0,) * 5}})
    assert np.flatnonzero(found.valid[0]).tolist() == list(range(5 * last + 1))
    assert found.pose[0, 5 * last].tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_heading_turns_the_short_way():
    _, found = tracks_of({"a": {0: (0, 0, 3.1, 0, 0), 1: (0, 0, -3.1, 0, 0)}})
    assert np.abs(found.pose[0, :6, 2]).min() > 3.09


def test_the_two_releases_read_four_and_five_seconds():
    seen = {
        "late": {9: (5.0,) * 5},
        "twice": {1: (0.0, 0, 0, 0, 0), 10: (9.0, 0, 0, 0, 0)},
        "both": {0: (0.0,) * 5, 8: (8.0, 0, 0, 0, 0)},
    }
    old, v1 = tracks_of(seen, Devkit.V1)
    new, v2 = tracks_of(seen, Devkit.V2)
    assert set(new) == {"twice", "both"}
    assert v1.pose.shape[1:] == (51, 3) and v2.pose.shape[1:] == (41, 3)
    assert v1.valid[old["late"]].all()
    assert v2.valid[new["twice"]].all() and (v2.pose[new["twice"], :, 0] == 0).all()
    assert np.flatnonzero(v1.valid[old["twice"]]).tolist() == list(range(5, 51))
    assert v1.pose[old["twice"], 25, 0] == pytest.approx(4.0)
    np.testing.assert_array_equal(v1.pose[old["both"], :41], v2.pose[new["both"]])


def test_order_is_first_step_then_class_then_first_sighting():
    seen = {
        "late_car": {1: (0,) * 5, 2: (0,) * 5},
        "walker": {0: (0,) * 5, 1: (0,) * 5},
        "car": {0: (0,) * 5, 1: (0,) * 5},
        "once": {5: (0,) * 5},
    }
    kinds = {"walker": int(ObjectType.PEDESTRIAN)}
    _, found = tracks_of(seen, kinds=kinds)
    assert list(found.token) == ["car", "once", "walker", "late_car"]


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="11 key frames"):
        interpolate(sightings(frames({"a": {0: (0,) * 5}})[:9]), Devkit.V1)


def test_no_objects_at_all():
    found = interpolate(sightings(frames({})), Devkit.V2)
    assert found.pose.shape == (0, 41, 3) and found.token.shape == (0,)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 8), min_size=2, max_size=9, unique=True).map(sorted),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_scipy_and_numpy(numbers, seed):
    values = np.random.default_rng(seed).uniform(-3.14, 3.14, (len(numbers), 5)) * [1e5, 1e6, 1, 10, 10]
    _, found = tracks_of({"a": dict(zip(numbers, values, strict=True))})
    times = np.array(numbers) * 0.5
    unwrapped = values.copy()
    unwrapped[:, 2] = np.unwrap(values[:, 2])
    reference = interp1d(times, unwrapped, axis=0)
    for step in range(41):
        t = step * 0.1
        inside = times[0] <= t <= times[-1]
        assert found.valid[0, step] == inside
        if inside:
            expected = reference(t)
            np.testing.assert_allclose(found.pose[0, step, :2], expected[:2], rtol=1e-14, atol=1e-9)
            np.testing.assert_allclose(found.velocity[0, step], expected[3:], rtol=1e-13, atol=1e-13)
            turn = found.pose[0, step, 2] - expected[2]
            assert abs(np.arctan2(np.sin(turn), np.cos(turn))) < 1e-13


def doubled(numbers):
    """One track, 1 m farther at every sighting, seen in frames of these numbers."""
    made = frames({})
    for x, number in enumerate(numbers):
        one = FrameObjects(
            token=np.array(["a"]),
            type=np.zeros(1, np.uint8),
            extent=np.full((1, 2), 2.0),
            pose=np.array([[float(x), 0.0, 0.0]]),
            velocity=np.zeros((1, 2)),
        )
        old = made[number]
        made[number] = FrameObjects(
            *(np.concatenate([getattr(old, name), getattr(one, name)]) for name in FrameObjects.__slots__)
        )
    return made


def test_track_twice_in_its_first_frame_is_refused():
    with pytest.raises(DataError, match="track a occurs twice in key frame 2"):
        interpolate(sightings(doubled([2, 2, 4])), Devkit.V2)


@pytest.mark.parametrize(("numbers", "x"), [([2, 2], [0, 0]), ([2, 4, 4, 6], [1, 2.5]), ([9, 9, 10], None)])
def test_track_twice_in_a_frame_elsewhere_jumps(numbers, x):
    """The second of two equal sightings rules after their time, as in `scipy.interpolate.interp1d`."""
    found = interpolate(sightings(doubled(numbers)), Devkit.V2)
    if x is None:
        assert len(found.token) == 0
    else:
        np.testing.assert_allclose(found.pose[0, [20, 25], 0], x)


@pytest.mark.parametrize("seed", range(20))
def test_objects_near_bounds_are_all_that_come_there(seed):
    rng = np.random.default_rng(seed)
    seen = {}
    for i in range(300):
        numbers = np.flatnonzero(rng.uniform(size=9) < 0.4)
        start, speed = rng.uniform(-100, 100, 2), rng.uniform(-20, 20, 2)
        seen[f"o{i}"] = {n: (*(start + 0.5 * n * speed), rng.uniform(-3, 3), *speed) for n in numbers.tolist()}
    objects = sightings(frames(seen))
    bounds = np.array([-12.0, -7.0, 15.0, 20.0])
    near, every = interpolate(objects.near(bounds), Devkit.V2), interpolate(objects, Devkit.V2)
    rows = np.flatnonzero(np.isin(every.token, near.token))
    assert 0 < len(rows) < len(every.token)
    for name in ("token", "type", "extent", "pose", "velocity", "valid", "first_heading", "first_velocity"):
        np.testing.assert_array_equal(getattr(near, name), getattr(every, name)[rows])
    radius = 0.5 * np.hypot(*every.extent.T)[:, None]
    x, y = every.pose[..., 0], every.pose[..., 1]
    meets = (x + radius >= -12) & (x - radius <= 15) & (y + radius >= -7) & (y - radius <= 20) & every.valid
    assert set(np.flatnonzero(meets.any(axis=1))) <= set(rows.tolist())


def one_track() -> ObjectTracks:
    return ObjectTracks(
        token=np.array(["a"]),
        type=np.zeros(1, np.uint8),
        extent=np.ones((1, 2)),
        pose=np.zeros((1, 41, 3)),
        velocity=np.zeros((1, 41, 2)),
        valid=np.ones((1, 41), np.bool_),
        first_heading=np.zeros(1),
        first_velocity=np.zeros((1, 2)),
    )


def test_deferred_tracks_are_computed_once_and_only_when_read():
    made = []

    def make(bounds):
        made.append(one_track())
        return made[-1]

    deferred = ObjectTracks.deferred(make)
    assert not made
    assert deferred.token.tolist() == ["a"]
    for field in fields(ObjectTracks):
        assert getattr(deferred, field.name) is getattr(made[0], field.name)
    assert len(made) == 1
    with pytest.raises(AttributeError, match="no attribute 'speed'"):
        _ = deferred.speed  # type: ignore[attr-defined]


def test_deferred_tracks_can_be_replaced_and_pickled_unread():
    moved = replace(ObjectTracks.deferred(lambda _: one_track()), extent=np.full((1, 2), 7.0))
    assert moved.extent.tolist() == [[7.0, 7.0]] and moved.pose.shape == (1, 41, 3)
    copy = pickle.loads(pickle.dumps(ObjectTracks.deferred(lambda _: one_track())))
    assert copy.token.tolist() == ["a"] and copy.valid.all()


def test_only_tracks_near_bounds_are_computed_where_none_are_yet():
    asked = []

    def make(bounds):
        asked.append(bounds)
        return one_track()

    deferred, bounds = ObjectTracks.deferred(make), np.array([0.0, 0.0, 1.0, 1.0])
    deferred.near(bounds)
    assert asked[0] is bounds
    assert deferred.valid.all() and asked[1] is None
    assert deferred.near(bounds) is deferred and len(asked) == 2


def test_an_error_is_raised_at_every_reading():
    def make(bounds) -> ObjectTracks:
        raise DataError("track a occurs twice")

    deferred = ObjectTracks.deferred(make)
    for _ in range(2):
        with pytest.raises(DataError, match="occurs twice"):
            _ = deferred.pose

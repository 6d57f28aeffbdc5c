"""Scenes: windows of frames and what agents and scoring read of them."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.data.scenes import read_scenes
from navforge.data.splits import load_split
from tests.data.tiny_log import config, raw_frame, token, write_log


@pytest.fixture
def root(tmp_path):
    write_log(tmp_path, "real", [raw_frame(i) for i in range(16)])
    return tmp_path


@pytest.fixture
def scenes(root):
    return read_scenes(load_split("real", config(root)), config(root), "log0")


def test_window(scenes):
    assert [scene.token for scene in scenes] == [token(3), token(4), token(5)]
    scene = scenes[1]
    assert [f.index for f in scene.frames] == list(range(1, 15))
    assert [f.index for f in scene.history] == [1, 2, 3, 4]
    assert scene.current.index == 4
    assert [f.index for f in scene.future] == list(range(5, 15))
    assert (scene.log_name, scene.map_location, scene.split_folder) == ("log0", "us-pa-pittsburgh-hazelwood", "real")


def test_overlapping_scenes_share_frames(scenes):
    assert scenes[0].frames[1] is scenes[1].frames[0]


def test_poses_are_relative_to_the_current_one(scenes):
    # 4 m/s north, looking north: 2 m straight ahead per frame.
    ahead = np.arange(1, 9) * 2.0
    np.testing.assert_allclose(scenes[0].human_poses(), np.stack([ahead, 0 * ahead, 0 * ahead], 1), atol=1e-12)
    np.testing.assert_allclose(scenes[0].history_poses()[:, 0], [-6, -4, -2, 0], atol=1e-12)


def test_more_future_than_there_is(scenes):
    assert scenes[0].human_poses(10).shape == (10, 3)
    with pytest.raises(DataError, match=f"scene {token(3)}: 11 future poses requested, 10"):
        scenes[0].human_poses(11)


def test_ego_status(scenes):
    status = scenes[0].ego_status()
    np.testing.assert_array_equal(status.velocity, np.float32([4, 0]))
    assert status.command.tolist() == [0, 1, 0, 0]
    assert scenes[0].ego_status(0).velocity is scenes[0].frames[0].velocity


def test_log_that_changed_is_noticed(root):
    split = load_split("real", config(root))
    write_log(root, "real", [raw_frame(i) for i in range(15)])
    with pytest.raises(DataError, match="changed since split real was loaded: 2 of 3"):
        read_scenes(split, config(root), "log0")
    with pytest.raises(DataError, match="no log 'other'"):
        read_scenes(split, config(root), "other")


def test_human_poses_and_ego_state_of_real_logs(realdata):
    data = config(realdata)
    split = load_split("real", data)
    for log_name in split.logs:
        for scene in read_scenes(split, data, log_name):
            golden = np.load(realdata / "golden" / "v2" / log_name / f"{scene.token}.npz")
            np.testing.assert_allclose(scene.human_poses(), golden["human_poses"], rtol=0, atol=1e-9)
            np.testing.assert_array_equal(scene.current.pose, golden["ego_initial_state"][:3])
            np.testing.assert_array_equal(scene.current.velocity, golden["ego_initial_state"][3:5])
            np.testing.assert_array_equal(scene.current.acceleration, golden["ego_initial_state"][5:7])
            assert scene.current.timestamp_us == golden["time_us"]
            assert scene.current.roadblock_ids == tuple(map(str, golden["route_input"]))
            past = np.array([frame.pose for frame in scene.history])
            np.testing.assert_array_equal(past, golden["past_states"][:, :3])
            assert [frame.timestamp_us for frame in scene.history] == golden["past_times_us"].tolist()

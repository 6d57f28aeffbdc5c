"""Typed frames: values, laziness, named errors."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.data.logs import CAMERAS, Frame, quaternion_yaw, read_log, rigid
from tests.data.tiny_log import raw_frame, token, write_log


def frame(**changes) -> Frame:
    return Frame({**raw_frame(3), **changes}, "some.pkl", 3)


def without(key: str) -> Frame:
    raw = raw_frame(3)
    del raw[key]
    return Frame(raw, "some.pkl", 3)


def test_read_log(tmp_path):
    log = read_log(write_log(tmp_path, "real", [raw_frame(i) for i in range(5)], log=7))
    assert log.name == "log7"
    assert [f.token for f in log.frames] == [token(i) for i in range(5)]


def test_values():
    found = frame()
    np.testing.assert_allclose(found.pose, [100, 6, np.pi / 2])
    assert found.timestamp_us == 2_500_000
    assert found.velocity.dtype == np.float32
    np.testing.assert_array_equal(found.acceleration, np.float32([0.1, -0.2]))
    assert found.driving_command.tolist() == [0, 1, 0, 0]
    assert found.roadblock_ids == ("61", "21", "62")
    assert found.traffic_lights.connector.tolist() == [11, 12]
    assert found.traffic_lights.is_red.tolist() == [True, False]
    assert found.annotations.names == ("vehicle",)
    assert found.annotations.boxes.shape == (1, 7)
    assert tuple(found.cameras) == CAMERAS
    np.testing.assert_allclose(found.lidar2ego[:3, 3], [0.9, 0, 1.5])
    np.testing.assert_allclose(found.ego2global[:3, :2], [[0, -1], [1, 0], [0, 0]], atol=1e-15)


def test_frame_without_objects_or_lights():
    found = frame(
        traffic_lights=[],
        anns={
            "gt_boxes": np.array([]),
            "gt_names": [],
            "gt_velocity_3d": np.array([]),
            "instance_tokens": [],
            "track_tokens": [],
        },
    )
    assert found.annotations.boxes.shape == (0, 7)
    assert found.annotations.velocity.shape == (0, 3)
    assert found.traffic_lights.connector.dtype == np.int64


def test_location_alias():
    assert frame(map_location="las_vegas").map_location == "us-nv-las-vegas-strip"


@pytest.mark.parametrize(
    ("key", "attribute"),
    [
        ("token", "token"),
        ("timestamp", "timestamp_us"),
        ("map_location", "map_location"),
        ("roadblock_ids", "roadblock_ids"),
        ("ego2global_translation", "pose"),
        ("ego2global_rotation", "pose"),
        ("ego_dynamic_state", "velocity"),
        ("driving_command", "driving_command"),
        ("traffic_lights", "traffic_lights"),
        ("cams", "cameras"),
        ("lidar_path", "lidar_path"),
    ],
)
def test_missing_keys_are_named_when_asked_for(key, attribute):
    found = without(key)
    with pytest.raises(DataError, match=rf"some\.pkl, frame 3: missing key '{key}'"):
        getattr(found, attribute)
    assert found.scene_token


def test_missing_nested_keys_are_named():
    raw = raw_frame(3)
    del raw["cams"]["CAM_L1"]["cam_intrinsic"]
    del raw["anns"]["track_tokens"]
    found = Frame(raw, "some.pkl", 3)
    with pytest.raises(DataError, match=r"missing key 'cams\.CAM_L1\.cam_intrinsic'"):
        _ = found.cameras
    with pytest.raises(DataError, match=r"missing key 'anns\.track_tokens'"):
        _ = found.annotations


def test_malformed_values_are_named():
    with pytest.raises(DataError, match=r"'ego_dynamic_state' has shape \(3,\), expected \(4,\)"):
        _ = frame(ego_dynamic_state=[1, 2, 3]).velocity
    with pytest.raises(DataError, match="'driving_command' is malformed"):
        _ = frame(driving_command=["left"]).driving_command
    anns = {**raw_frame(3)["anns"], "track_tokens": ["a", "b"]}
    with pytest.raises(DataError, match="differ in length"):
        _ = frame(anns=anns).annotations


@pytest.mark.parametrize(
    ("key", "value", "attribute"),
    [
        ("timestamp", "x", "timestamp_us"),
        ("timestamp", None, "timestamp_us"),
        ("timestamp", math.nan, "timestamp_us"),
        ("roadblock_ids", 5, "roadblock_ids"),
        ("roadblock_ids", "61 21", "roadblock_ids"),
        ("driving_command", None, "driving_command"),
        ("driving_command", {"left": 1}, "driving_command"),
        ("traffic_lights", None, "traffic_lights"),
        ("traffic_lights", [(1, True, 2)], "traffic_lights"),
        ("traffic_lights", [("red", True)], "traffic_lights"),
        ("traffic_lights", [(2**70, True)], "traffic_lights"),
        ("cams", [1], "cameras"),
    ],
)
def test_values_that_cannot_be_converted_are_named(key, value, attribute):
    with pytest.raises(DataError, match=rf"some\.pkl, frame 3: '{key}' "):
        getattr(frame(**{key: value}), attribute)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gt_boxes", [1.0, 2.0]),
        ("gt_boxes", [["x"] * 7]),
        ("gt_velocity_3d", None),
        ("gt_names", 3),
        ("track_tokens", "t0"),
    ],
)
def test_annotations_that_cannot_be_converted_are_named(key, value):
    anns = {**raw_frame(3)["anns"], key: value}
    with pytest.raises(DataError, match=rf"some\.pkl, frame 3: 'anns\.{key}' is malformed"):
        _ = frame(anns=anns).annotations


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("key", "attribute"),
    [
        ("ego2global_translation", "pose"),
        ("ego2global_translation", "ego2global"),
        ("ego2global_rotation", "pose"),
        ("ego_dynamic_state", "velocity"),
        ("ego_dynamic_state", "acceleration"),
        ("driving_command", "driving_command"),
        ("lidar2ego_translation", "lidar2ego"),
        ("lidar2ego_rotation", "lidar2ego"),
    ],
)
def test_nan_and_infinity_are_named(key, attribute, wrong):
    value = np.array(raw_frame(3)[key], np.float64)
    value[-1] = wrong
    with pytest.raises(DataError, match=rf"some\.pkl, frame 3: '{key}' holds NaN or infinity"):
        getattr(frame(**{key: value}), attribute)


@pytest.mark.parametrize("key", ["cam_intrinsic", "distortion", "sensor2lidar_rotation", "sensor2lidar_translation"])
def test_calibration_with_nan_is_named(key):
    raw = raw_frame(3)
    raw["cams"]["CAM_L1"][key].flat[0] = math.nan
    with pytest.raises(DataError, match=rf"'cams\.CAM_L1\.{key}' holds NaN or infinity"):
        _ = Frame(raw, "some.pkl", 3).cameras


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], "text", None])
def test_a_pickle_of_something_else_is_no_log(tmp_path, value):
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=r"odd\.pkl: expected a list of frame dictionaries"):
        read_log(path)


@pytest.mark.parametrize("yaw", np.linspace(-3.1, 3.1, 9))
def test_yaw_of_a_turn_about_the_vertical(yaw):
    q = np.array([math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)])
    assert quaternion_yaw(q) == pytest.approx(yaw, abs=1e-15)
    assert quaternion_yaw(-q) == pytest.approx(yaw, abs=1e-15)
    assert quaternion_yaw(1.1 * q) == pytest.approx(yaw, abs=1e-15)


def test_yaw_on_a_slope_is_the_devkits():
    # pyquaternion 0.9.9: Quaternion(0.7, 0.02, -0.03, 0.71).yaw_pitch_roll[0]
    q = np.array([0.7, 0.02, -0.03, 0.71])
    assert quaternion_yaw(q) == pytest.approx(PYQUATERNION_YAW, abs=1e-15)
    textbook = rigid(q, np.zeros(3))
    assert abs(math.atan2(textbook[1, 0], textbook[0, 0]) - PYQUATERNION_YAW) > 1e-5


PYQUATERNION_YAW = 1.5854656924757315

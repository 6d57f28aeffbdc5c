from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from navforge.cache_builder.build import build_log
from navforge.core.errors import DataError
from navforge.data.splits import load_split
from navforge.metric_cache.log_file import LogFile, write_log
from navforge.metric_cache.reactive import ReactiveStart
from tests.cache_builder.tiny_scene import write_world


def lanes_by_follower(start: ReactiveStart) -> ReactiveStart:
    """The same start, where every follower has a copy of its lane: a file numbers the lanes of the whole log."""
    lanes = [start.path[start.path_start[lane] : start.path_start[lane + 1]] for lane in start.lane]
    return dataclasses.replace(
        start,
        lane=np.arange(len(lanes)),
        path=np.concatenate([np.zeros((0, 3)), *lanes]),
        path_start=np.cumsum([0, *map(len, lanes)]),
    )


def assert_same(left, right, name=""):
    if isinstance(left, ReactiveStart):
        left, right = lanes_by_follower(left), lanes_by_follower(right)
    if dataclasses.is_dataclass(left):
        assert type(left) is type(right), name
        for field in dataclasses.fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name), f"{name}.{field.name}")
    elif isinstance(left, np.ndarray):
        assert left.dtype.kind == right.dtype.kind, name
        np.testing.assert_array_equal(left, right, err_msg=name, strict=False)
    else:
        assert left == right, name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    data = write_world(tmp_path_factory.mktemp("world"))
    log = build_log(load_split("tiny", data), data, "log0")
    assert not log.failures
    return log.record


def test_scenes_come_back_bit_by_bit(built, tmp_path: Path):
    write_log(tmp_path / "log0.nfc", built, {"note": 1})
    file = LogFile(tmp_path / "log0.nfc")
    assert file.meta["note"] == 1
    assert len(built.scenes) == 3
    assert file.tokens == tuple(entry.scene.token for entry in built.scenes)
    for entry, scene in zip(built.scenes, file.scenes(), strict=True):
        assert_same(entry.scene, scene)
        assert_same(entry.scene, file.scene(scene.token))


def test_real_scenes_come_back_bit_by_bit_and_are_small(realdata: Path, tmp_path: Path):
    from navforge.data.paths import DataConfig  # noqa: PLC0415

    data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=realdata / "maps")
    split = load_split("real", data)
    log = next(iter(split.logs))
    record = build_log(split, data, log).record
    size = write_log(tmp_path / "log.nfc", record, {})
    assert size / len(record.scenes) < 15_000
    for entry, scene in zip(record.scenes, LogFile(tmp_path / "log.nfc").scenes(), strict=True):
        assert_same(entry.scene, scene)


def test_a_log_without_objects_lights_or_five_seconds(built, tmp_path: Path):
    entry = built.scenes[0]
    bare = {frame: built.frame_objects[frame][np.zeros(0, np.int64)] for frame in entry.frames}
    short = dataclasses.replace(entry, frames=entry.frames[:9])
    record = dataclasses.replace(built, scenes=[short], frame_objects=bare)
    write_log(tmp_path / "bare.nfc", record, {})
    scene = LogFile(tmp_path / "bare.nfc").scenes()[0]
    assert scene.objects_v1 is None
    assert scene.objects_v2.pose.shape == (0, 41, 3)


def test_unknown_scene_is_named(built, tmp_path: Path):
    write_log(tmp_path / "log0.nfc", built, {})
    with pytest.raises(DataError, match="ffff"):
        LogFile(tmp_path / "log0.nfc").scene("ffff")

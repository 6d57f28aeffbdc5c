"""Scene-filter files: the public ones, and every way a file can be wrong."""

from __future__ import annotations

import pytest

from navforge.core.errors import DataError
from navforge.data.filters import SceneFilter, read_filter
from tests.data.tiny_log import write_yaml


@pytest.mark.parametrize(
    ("name", "scenes", "logs", "synthetic", "interval"),
    [
        ("navtrain", 103_288, 1192, 0, 1),
        ("navtest", 12_146, 136, 0, 1),
        ("navmini", 396, 62, 0, 14),
        ("all_scenes", None, None, 0, 14),
        ("navhard_two_stage", 450, 76, 5462, 1),
    ],
)
def test_public_files(navsim_files, name, scenes, logs, synthetic, interval):
    found = read_filter(navsim_files / "scene_filter" / f"{name}.yaml")
    assert (found.declared_scenes, found.declared_logs) == (scenes, logs)
    assert len(found.synthetic_tokens) == synthetic
    assert found.interval == interval
    assert found.num_history_frames == 4
    assert found.has_route


def test_all_keys(tmp_path):
    text = """
num_history_frames: 2
num_future_frames: 3
frame_interval: null
has_route: false
max_scenes: 5
log_names: ['a', "b"]
tokens: null
include_synthetic_scenes: true
synthetic_scene_tokens: [s1]
reactive_synthetic_initial_tokens: [s2, s1]
"""
    found = read_filter(write_yaml(tmp_path / "f.yaml", text))
    assert found.num_frames == found.interval == 5
    assert not found.has_route
    assert found.log_names == ("a", "b")
    assert found.tokens is None
    assert found.synthetic_tokens == ("s1", "s2")


def test_second_stage_tokens_count_only_when_asked_for():
    assert SceneFilter(synthetic_scene_tokens=("s1",)).synthetic_tokens == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_history: 4", r"unknown key\(s\) num_history; known: num_history_frames"),
        ("num_history_frames: four", "num_history_frames must be a whole number, got 'four'"),
        ("num_history_frames: true", "must be a whole number"),
        ("num_history_frames: null", "must be a whole number, got None"),
        ("has_route: 1", "has_route must be true or false"),
        ("tokens: abc", "tokens must be a list of text"),
        ("tokens: [1, 2]", "tokens must be a list of text"),
        ("num_history_frames: 0", "num_history_frames must be at least 1"),
        ("num_future_frames: -1", "num_future_frames must be at least 0"),
        ("frame_interval: 0", "frame_interval must be at least 1"),
        ("max_scenes: 0", "max_scenes must be at least 1"),
        ("a: [", "no valid YAML"),
    ],
)
def test_wrong_files_name_the_key(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_filter(write_yaml(tmp_path / "f.yaml", text))


def test_unreadable_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.yaml cannot be read"):
        read_filter(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(DataError, match="must hold keys and values"):
        read_filter(tmp_path / "list.yaml")


def test_yaml_cannot_construct_objects(tmp_path):
    (tmp_path / "evil.yaml").write_text("tokens: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(DataError, match="no valid YAML"):
        read_filter(tmp_path / "evil.yaml")

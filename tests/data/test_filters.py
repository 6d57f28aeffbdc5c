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
        (
            "tokens: [a, 1234567890123456, 0123456701234567]",
            r"tokens\[1\] is the number 1234567890123456: put it in quotes; 1",
        ),
        ("tokens: [a, 0123456701234567]", r"tokens\[1\] is the number 0123456701234567: put it in quotes$"),
        ("log_names: [a, 2021-06-03]", r"log_names\[1\] is the date 2021-06-03: put it in quotes"),
        ("tokens: [a, true]", r"tokens\[1\] is the truth value true: put it in quotes"),
        ("tokens: [a, ~]", r"tokens\[1\] is empty: delete the line"),
        ("tokens: [a, [b]]", r"tokens\[1\] is \['b'\], a list: give one name"),
        ("tokens: []", "tokens is an empty list, which admits no scene; write null"),
        ("log_names: []", "log_names is an empty list, which admits no scene; write null"),
        ("tokens: ['a b']", r"tokens\[0\] is 'a b', which holds a blank"),
        ('tokens: ["a\\n"]', r"tokens\[0\] is 'a\\n', which holds a line break"),
        ('tokens: ["a\\e[31m"]', r"tokens\[0\] is 'a\\x1b\[31m', which holds a control character"),
        ("log_names: [../a]", r"log_names\[0\] is '../a', which holds a path separator"),
        ("log_names: ['..']", "is a folder of the file system"),
        ("tokens: ['']", r"tokens\[0\] is '', which is empty"),
        ("data_split: test\ndefaults:\n  - scene_filter: navtest", "train_test_split file.*give split=navtest$"),
        ("train_logs: [a]\nval_logs: [b]", "lists the logs of training phases"),
        ("num_history_frames: 0", "num_history_frames must be at least 1"),
        ("num_future_frames: -1", "num_future_frames must be at least 0"),
        ("frame_interval: 0", "frame_interval must be at least 1"),
        ("max_scenes: 0", "max_scenes must be at least 1"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_files_name_the_key(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_filter(write_yaml(tmp_path / "f.yaml", text))


def test_a_train_test_split_file_names_the_scene_filter_beside_it(tmp_path):
    own = tmp_path / "scene_filter" / "navtest.yaml"
    own.parent.mkdir()
    own.write_text("tokens: null\n")
    with pytest.raises(DataError, match=f"give split={own}$"):
        read_filter(write_yaml(tmp_path / "navtest.yaml", "defaults:\n  - scene_filter: navtest\ndata_split: test"))


@pytest.mark.parametrize("name", ["navtrain", "navtest", "navmini", "navhard_two_stage"])
def test_public_files_under_their_names_are_whole(navsim_files, tmp_path, name):
    lines = (navsim_files / "scene_filter" / f"{name}.yaml").read_text().splitlines(keepends=True)
    path = tmp_path / f"{name}.yaml"
    path.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=rf"{name}\.yaml holds [\d,]+ of {name}'s [\d,]+ "):
        read_filter(path)
    path.rename(tmp_path / "mine.yaml")
    assert read_filter(tmp_path / "mine.yaml").declared_scenes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log_names: null\ntokens: null", "navmini.yaml has no log_names; navmini has 62"),
        (f"log_names: [{', '.join(f'l{i}' for i in range(62))}]", "navmini.yaml holds 62 log_names, but not those of"),
        ("log_names: [a, b]", "holds 2 of navmini's 62 log_names; get the whole file .*autonomousvision/navsim"),
    ],
)
def test_a_file_with_an_official_name_lists_what_the_official_one_does(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_filter(write_yaml(tmp_path / "navmini.yaml", text))


def test_unreadable_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.yaml not found"):
        read_filter(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(DataError, match="must hold keys and values"):
        read_filter(tmp_path / "list.yaml")


def test_yaml_cannot_construct_objects(tmp_path):
    (tmp_path / "evil.yaml").write_text("tokens: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(DataError, match="not valid YAML"):
        read_filter(tmp_path / "evil.yaml")

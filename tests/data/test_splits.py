"""Splits: exact token sets, where logs are found, and what happens when something is missing."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import pytest

from navforge.core.errors import DataError
from navforge.data.paths import DEVKIT_FILTERS
from navforge.data.plausibility import Doubt
from navforge.data.scenes import read_scenes
from navforge.data.splits import load_split
from tests.data.tiny_log import config, raw_frame, token, write_log, write_yaml

FRAMES = "num_history_frames: 2\nnum_future_frames: 3\n"


def frames(count: int, log: int = 0, no_route: tuple[int, ...] = ()) -> list[dict]:
    return [raw_frame(i, log, route=i not in no_route) for i in range(count)]


@pytest.fixture
def root(tmp_path):
    write_log(tmp_path, "one", frames(8, 0), 0)
    write_log(tmp_path, "one", frames(7, 1), 1)
    write_log(tmp_path, "two", frames(6, 2), 2)
    return tmp_path


def tokens_of(split) -> dict[str, list[int]]:
    return {log: [int(t[8:], 16) for t in tokens] for log, tokens in split.logs.items()}


def by_yaml(root, text, **options):
    return load_split(write_yaml(root / "mine.yaml", FRAMES + text), config(root), **options)


def test_folder_split_takes_every_window_with_a_route(tmp_path):
    write_log(tmp_path, "real", frames(17, 0, no_route=(4,)), 0)
    write_log(tmp_path, "real", frames(13, 1), 1)  # too short for one window of 14
    split = load_split("real", config(tmp_path))
    assert tokens_of(split) == {"log0": [3, 5, 6]}
    assert split.folders == {"log0": "real"}
    assert (split.name, split.complete, len(split)) == ("real", True, 3)


def test_real_logs(realdata):
    split = load_split("real", config(realdata))
    assert {log: len(tokens) for log, tokens in split.logs.items()} == {
        "av2.3b3570b4-7b0b-3268-a571-b0889dbf40b6": 19,
        "av2.adcf7d18-0510-35b0-a2fa-b4cea13a6d76": 19,
    }
    golden = {path.stem for path in (realdata / "golden" / "v2").glob("*/*.npz")}
    assert set(split.tokens) == golden


def test_yaml_finds_logs_in_any_folder(root):
    split = by_yaml(root, "frame_interval: 1\nlog_names: [log2, log0]\n")
    assert tokens_of(split) == {"log0": [1, 2, 3, 4], "log2": [1, 2]}
    assert split.folders == {"log0": "one", "log2": "two"}
    assert split.name == "mine"


def test_without_an_interval_windows_do_not_overlap(root):
    write_log(root, "one", frames(16, 0), 0)
    assert tokens_of(by_yaml(root, "log_names: [log0]\n")) == {"log0": [1, 6, 11]}


def test_interval_counts_frames_before_the_route_is_looked_at(root):
    write_log(root, "one", frames(9, 0, no_route=(1, 3)), 0)
    assert tokens_of(by_yaml(root, "log_names: [log0]\nframe_interval: 2\n")) == {"log0": [5]}
    split = by_yaml(root, "log_names: [log0]\nframe_interval: 2\nhas_route: false\n")
    assert tokens_of(split) == {"log0": [1, 3, 5]}


def test_tokens_select_and_logs_without_any_drop_out(root):
    split = by_yaml(root, f"frame_interval: 1\ntokens: ['{token(3, 0)}', '{token(2, 2)}']\n")
    assert tokens_of(split) == {"log0": [3], "log2": [2]}


def test_max_scenes_counts_over_logs_in_order_of_name(root):
    assert tokens_of(by_yaml(root, "frame_interval: 1\nmax_scenes: 6\n")) == {"log0": [1, 2, 3, 4], "log1": [1, 2]}


def test_hash_depends_on_the_token_set_alone(root):
    a = by_yaml(root, "frame_interval: 1\nlog_names: [log0, log1]\n")
    b = by_yaml(root, "frame_interval: 1\nlog_names: [log1, log0]\nmax_scenes: 7\n")
    c = by_yaml(root, "frame_interval: 1\nlog_names: [log0, log1]\nmax_scenes: 6\n")
    assert a.hash == b.hash != c.hash
    assert len(a.hash) == 16


def test_a_link_to_a_log_that_is_gone_counts_as_that_log(root):
    link = root / "navsim_logs" / "two" / "log3.pkl"
    link.symlink_to(root / "unmounted" / "log3.pkl")
    why = f"log3 (DataError: log {link} is a symbolic link to {root}/unmounted/log3.pkl, which does not exist"
    with pytest.raises(DataError) as error:
        by_yaml(root, "frame_interval: 1\n")
    assert why in str(error.value) and "allow_missing=true" in str(error.value)
    assert set(by_yaml(root, "frame_interval: 1\n", allow_missing=True).missing_logs) == {"log3"}
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(DataError, match="is a circle of symbolic links"):
        by_yaml(root, "frame_interval: 1\n")


def test_missing_scenes_are_counted_and_listed(root):
    text = f"frame_interval: 1\nlog_names: [log0, gone]\ntokens: ['{token(1)}', 'feed', 'beef']\n"
    with pytest.raises(DataError, match=r"2 of its 3 scenes are missing: beef, feed") as error:
        by_yaml(root, text)
    assert "1 of its 2 logs are not on disk or cannot be read: gone" in str(error.value)
    assert "scenes found per log: log0 1" in str(error.value)
    assert "allow_missing=true" in str(error.value)
    split = by_yaml(root, text, allow_missing=True)
    assert split.tokens == (token(1),)
    assert split.missing == ("beef", "feed")
    assert split.missing_logs == {"gone": "not found"}
    assert not split.complete


def test_long_lists_are_cut(root):
    names = ", ".join(f"gone{i:02d}" for i in range(30))
    with pytest.raises(DataError, match=r"gone19 and 10 more"):
        by_yaml(root, f"frame_interval: 1\nlog_names: [log0, {names}]\n")


def test_a_token_whose_window_is_cut_short_is_missing(root):
    # Frame 6 of log0 has only one of three future frames.
    with pytest.raises(DataError, match="1 of its 1 scenes are missing"):
        by_yaml(root, f"frame_interval: 1\nlog_names: [log0]\ntokens: ['{token(6)}']\n")


@pytest.mark.parametrize("damage", ["truncated", "malicious", "key"])
def test_damaged_log_is_named(root, damage):
    path = write_log(root, "one", frames(8, 0), 0)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "malicious":
        path.write_bytes(pickle.dumps([os.system]))
    else:
        broken = frames(8, 0)
        del broken[2]["token"]
        path.write_bytes(pickle.dumps(broken))
    with pytest.raises(DataError, match=r"log0 \(DataError: .*log0\.pkl"):
        by_yaml(root, "frame_interval: 1\n")
    split = by_yaml(root, "frame_interval: 1\n", allow_missing=True)
    assert set(split.logs) == {"log1", "log2"}
    assert set(split.missing_logs) == {"log0"}


def test_token_in_two_logs(root):
    write_log(root, "one", frames(8, 0), 5)
    with pytest.raises(DataError, match=r"scene \w+ occurs in log log0 and again in log5"):
        by_yaml(root, "frame_interval: 1\n")


def test_log_in_two_folders_comes_from_the_fuller_one(root):
    write_log(root, "aaa", frames(8, 0), 0)
    assert by_yaml(root, "frame_interval: 1\n").folders["log0"] == "one"


def test_second_stage_scenes_are_refused_until_left_out(root):
    text = "frame_interval: 1\ninclude_synthetic_scenes: true\nsynthetic_scene_tokens: [aaaa, bbbb]\n"
    with pytest.raises(DataError, match=r"2 second-stage \(rendered\) scenes are not supported yet: aaaa, bbbb"):
        by_yaml(root, text)
    split = by_yaml(root, text, allow_missing=True)
    assert len(split) == 4 + 3 + 2
    assert split.missing == ("aaaa", "bbbb")


def test_unknown_folder_lists_the_folders(root):
    with pytest.raises(DataError, match=r"split 'three'.*there: one, two"):
        load_split("three", config(root))
    for odd in ("../navsim_logs/one", "", "."):
        with pytest.raises(DataError, match="expected the name of a folder"):
            load_split(odd, config(root))


def test_a_split_without_a_scene_says_which_condition_drops_its_windows(root):
    with pytest.raises(DataError, match=r"of 15 windows, one per frame: 15 too short \(3 frames before and 10 after"):
        load_split("one", config(root))  # logs of 8 and 7 frames hold no window of 14
    write_log(root, "three", frames(8, 3, no_route=tuple(range(8))), 3)
    with pytest.raises(
        DataError, match=r"of 8 windows.*4 too short.*, 4 without a route \(has_route\); 3 logs are not"
    ):
        by_yaml(root, "frame_interval: 1\nlog_names: [log3]\n")
    text = f"frame_interval: 2\nlog_names: [log0]\ntokens: ['{token(2, 2)}', '{token(0, 0)}', '{token(2, 0)}']\n"
    with pytest.raises(DataError, match=r"4 too short .*2 between two starts \(frame_interval=2\), 2 not among its 3"):
        by_yaml(root, text, allow_missing=True)
    with pytest.raises(DataError, match=r"but dropped by the filter: 1 too short, 1 off the interval; allow_missing"):
        by_yaml(root, text)


def test_dropped_windows_are_counted(root):
    split = by_yaml(
        root, f"frame_interval: 1\nlog_names: [log0]\ntokens: ['{token(1)}', '{token(2)}']\nmax_scenes: 1\n"
    )
    assert split.dropped == {"too short": 4, "not among the tokens": 2, "beyond max_scenes": 1}


def test_a_split_is_cut_to_the_logs_of_some_locations(root):
    for log, (folder, place) in enumerate([("one", "sg-one-north"), ("one", "us-ma-boston"), ("two", "las_vegas")]):
        write_log(root, folder, [{**one, "map_location": place} for one in frames(7, log)], log)
    path = write_yaml(root / "mine.yaml", FRAMES + "frame_interval: 1\n")
    whole = load_split(path, config(root))
    boston = load_split(f"{path}@us-ma-boston", config(root))
    assert (boston.name, tokens_of(boston)) == ("mine@us-ma-boston", {"log1": tokens_of(whole)["log1"]})
    assert boston.hash != whole.hash
    assert boston.dropped["at other locations"] == len(whole) - len(boston)
    two = load_split(f"{path}@las_vegas+us-ma-boston", config(root))
    assert list(two.logs) == ["log1", "log2"] and two.name == "mine@us-nv-las-vegas-strip+us-ma-boston"
    with pytest.raises(DataError, match=r"split mine: no log at sg-two; its 3 logs are at sg-one-north \(1\), us-ma-"):
        load_split(f"{path}@sg-two", config(root))


def test_a_filter_is_found_by_its_name(root, monkeypatch, tmp_path):
    text = FRAMES + "frame_interval: 1\nlog_names: [log2]\n"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAVSIM_DEVKIT_ROOT", raising=False)
    with pytest.raises(
        DataError, match=r"split 'navtest'.*there: one, two.*scene_filter/navtest\.yaml of https://.*DEVKIT"
    ):
        load_split("navtest", config(root))
    write_yaml(tmp_path / "small.yaml", text)
    assert load_split("small", config(root)).name == "small"
    assert load_split("small.yaml", config(root)).logs == load_split("small", config(root)).logs
    devkit = tmp_path / "devkit" / DEVKIT_FILTERS[0]
    devkit.mkdir(parents=True)
    write_yaml(devkit / "other.yaml", text)
    write_yaml(devkit.parent / "other.yaml", "data_split: one\n")
    monkeypatch.setenv("NAVSIM_DEVKIT_ROOT", str(tmp_path / "devkit"))
    assert load_split("other", config(root)).folders == {"log2": "two"}
    assert load_split("other.yaml", config(root)).folders == {"log2": "two"}
    write_yaml(tmp_path / "other.yaml", text + "max_scenes: 1\n")
    with pytest.raises(DataError, match="differ; give the path of the one that is meant"):
        load_split("other", config(root))
    given = replace(config(root), splits=devkit.parent)  # the folder of train_test_split files
    assert len(load_split("other", given)) == 2
    write_yaml(tmp_path / "one.yaml", text)
    write_log(root, "one", frames(20, 0), 0)
    assert set(load_split("one", config(root)).logs) == {"log0"}, "a folder comes first"
    with pytest.raises(DataError, match=r"the folder of scene filters does not exist: .* \(from data\.splits\)"):
        load_split("other", replace(config(root), splits=tmp_path / "nowhere"))


def test_names_are_checked_when_a_split_is_read(root):
    broken = frames(8, 0)
    broken[2]["token"] = "a\nb"
    write_log(root, "one", broken, 0)
    with pytest.raises(DataError, match=r"frame 2: the token is 'a\\nb', which holds a line break"):
        by_yaml(root, "frame_interval: 1\n")
    write_log(root, "one", frames(8, 0), 0).rename(root / "navsim_logs" / "one" / "log 0.pkl")
    with pytest.raises(DataError, match=r"the log's name is 'log 0', which holds a blank"):
        by_yaml(root, "frame_interval: 1\n")


def test_implausible_frames_are_counted_by_scene(root):
    late = frames(12, 0)
    for frame in late[6:]:
        frame["timestamp"] += 3_000_000
        frame["ego2global_translation"] = frame["ego2global_translation"] + [0.0, 12.0, 0.0]
    write_log(root, "one", late, 0)
    split = by_yaml(root, "frame_interval: 1\nlog_names: [log0, log1, log2]\n")
    # Windows of 5 frames from 1 to 8: those that hold frames 5 and 6 are of current frames 3 to 6.
    assert list(split.doubts) == [Doubt.SPACING]
    assert [int(t[8:], 16) for t in split.doubts[Doubt.SPACING]] == [3, 4, 5, 6]
    (text,) = split.describe_doubts()
    assert text.startswith(
        f"4 of 13 scenes of split mine have frames that are not 0.5 s apart, such as {token(3)} (log log0: 3.5 s"
    )
    assert "as the official devkit does" in text


def test_pooled_scan_finds_the_same(root):
    assert by_yaml(root, "frame_interval: 1\n", workers=2).logs == by_yaml(root, "frame_interval: 1\n").logs


def test_one_log_is_light_and_reads_the_same_scenes(root):
    split = by_yaml(root, f"frame_interval: 1\ntokens: ['{token(1, 0)}', '{token(3, 0)}', '{token(2, 2)}']\n")
    part = split.one_log("log0")
    assert part.filter.tokens is None
    assert part.tokens == (token(1), token(3))
    whole = read_scenes(split, config(root), "log0")
    assert [s.token for s in read_scenes(part, config(root), "log0")] == [s.token for s in whole]
    with pytest.raises(DataError, match="has no log 'log9'"):
        split.one_log("log9")

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from navforge.cache_builder import pool
from navforge.cache_builder.pool import cache_split
from navforge.core.errors import ConfigError
from navforge.core.failures import FAILURES
from navforge.data.splits import load_split
from navforge.metric_cache.store import MANIFEST, MetricCache, log_path
from tests.cache_builder.tiny_scene import FRAMES, frame, write_world
from tests.data import tiny_log

LOGS = ("log0", "log1")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    data = write_world(root, logs=len(LOGS))
    cache_split(load_split("tiny", data), data, root / "cache", workers=1)
    return root


class World:
    """A copy of the tiny world with its cache."""

    def __init__(self, root: Path):
        self.root = root
        self.data = tiny_log.config(root)
        self.out = root / "cache"

    def run(self, **keys):
        return cache_split(load_split("tiny", self.data), self.data, self.out, workers=1, **keys)

    def rewrite(self, log: int, change) -> None:
        path = self.root / "navsim_logs" / "tiny" / f"log{log}.pkl"
        frames = pickle.loads(path.read_bytes())
        change(frames)
        path.write_bytes(pickle.dumps(frames))

    def contents(self) -> dict[str, bytes]:
        files = [*(self.out / "logs").iterdir(), self.out / MANIFEST]
        return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def world(pristine: Path, tmp_path: Path) -> World:
    return World(Path(shutil.copytree(pristine, tmp_path / "world")))


def reasons(report) -> dict[str, str]:
    return dict(report.reasons)


def test_second_run_reuses_everything(world):
    before = world.contents()
    report = world.run()
    assert report.complete and report.scenes(kept=True) == 6 and report.scenes(kept=False) == 0
    assert world.contents() == before


def test_rebuilding_gives_the_same_bytes(world):
    before = world.contents()
    shutil.rmtree(world.out)
    world.run()
    assert world.contents() == before


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "foreign"])
def test_damaged_file_is_rebuilt(world, damage):
    before = world.contents()
    path = log_path(world.out, "log1")
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[:-1]
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(log_path(world.out, "log0").read_bytes())
    path.write_bytes(content)
    report = world.run()
    assert list(reasons(report)) == ["log1"]
    assert world.contents() == before


def test_changed_log_is_rebuilt(world):
    def move(frames):
        frames[5]["ego_dynamic_state"][0] += 1.0

    world.rewrite(0, move)
    report = world.run()
    assert reasons(report) == {"log0": "the log changed"}
    assert MetricCache.open(world.out).load(tiny_log.token(5)).ego_state[3] == pytest.approx(5.0)


def test_changed_map_code_and_split_are_noticed(world, monkeypatch):
    map_file = next(world.root.rglob("map.gpkg"))
    with open(map_file, "ab") as file:
        file.write(b"\0")
    assert reasons(world.run()) == dict.fromkeys(LOGS, "the map changed")
    monkeypatch.setattr(pool, "code_fingerprint", lambda: "other")
    assert reasons(world.run()) == dict.fromkeys(LOGS, "the code changed")


def part_of_the_split(world):
    text = f"frame_interval: 1\ntokens: ['{tiny_log.token(3)}']\n"
    return load_split(tiny_log.write_yaml(world.root / "f.yaml", text), world.data)


@pytest.mark.parametrize("complete", [True, False])
def test_a_part_of_the_split_is_refused_and_changes_nothing(world, complete):
    if not complete:
        (world.out / MANIFEST).unlink()
    before = {path: path.read_bytes() for path in world.out.rglob("*") if path.is_file()}
    holds = "the metric cache of split tiny" if complete else "the unfinished metric cache of another split"
    with pytest.raises(ConfigError, match=rf"holds {holds} with 6 scenes, 5 of which are not in split f "):
        cache_split(part_of_the_split(world), world.data, world.out, workers=1)
    assert {path: path.read_bytes() for path in world.out.rglob("*") if path.is_file()} == before


def test_a_cache_grows_to_a_split_that_holds_its_scenes(world):
    before = world.contents()
    shutil.rmtree(world.out)
    assert cache_split(part_of_the_split(world), world.data, world.out, workers=1).complete
    assert reasons(world.run()) == {"log0": "the set of scenes changed", "log1": "new"}
    assert world.contents() == before


def test_failed_scene_is_named_and_nothing_partial_is_published(world):
    def lose_route(frames):
        frames[4]["roadblock_ids"] = ["61", "999"]

    world.rewrite(1, lose_route)
    before = world.contents()
    report = world.run()
    bad = tiny_log.token(4, 1)
    assert [(f.token, "999" in f.error) for f in report.failures] == [(bad, True)]
    assert not report.complete
    assert world.contents() == before, "nothing was replaced: the earlier cache is as it was"
    assert f"{world.out} holds what it held before; remove the causes" in str(report.error())
    listed = json.loads((world.out / FAILURES).read_text())
    assert listed[0]["token"] == bad and "Traceback" in listed[0]["traceback"]

    partial = world.run(allow_missing=True)
    assert partial.complete and partial.scenes(kept=True) == 3 and partial.scenes(kept=False) == 2
    cache = MetricCache.open(world.out)
    assert bad not in cache and "999" in cache.failed[bad]
    with pytest.raises(ValueError, match=r"could not be cached.*999"):
        cache.load(bad)

    again = world.run(allow_missing=True)
    assert again.scenes(kept=True) == 5 and not again.failures
    assert not (world.out / FAILURES).exists()
    assert reasons(world.run()) == {"log1": "1 of its scenes failed before"}


def test_a_cache_of_which_a_part_was_replaced_cannot_be_opened(world):
    def move(frames):
        frames[5]["ego_dynamic_state"][0] += 1.0

    def lose_route(frames):
        frames[4]["roadblock_ids"] = ["61", "999"]

    world.rewrite(0, move)
    world.rewrite(1, lose_route)
    report = world.run()
    assert reasons(report) == dict.fromkeys(LOGS, "the log changed") and not report.complete
    assert "is not complete and cannot be opened, its whole files are kept" in str(report.error())
    with pytest.raises(ValueError, match="is not complete"):
        MetricCache.open(world.out)


def test_log_whose_scenes_all_fail_is_left_out_where_scenes_may_be_missing(world):
    def leave_the_map(frames):
        for raw in frames:
            raw["ego2global_translation"] = raw["ego2global_translation"] + 1000.0

    world.rewrite(1, leave_the_map)
    assert not world.run().complete
    report = world.run(allow_missing=True)
    assert report.complete and len(report.failures) == 3
    assert all("no road within 100 m" in failure.error for failure in report.failures)
    cache = MetricCache.open(world.out)
    assert set(cache.tokens) == {tiny_log.token(i) for i in (3, 4, 5)}
    world.rewrite(0, leave_the_map)
    assert not world.run(allow_missing=True).complete


def test_unexpected_error_in_one_scene_does_not_stop_the_others(world):
    def spoil(frames):
        frames[4]["anns"]["gt_names"] = np.array(["unicorn"] * 3)

    world.rewrite(0, spoil)
    report = world.run()
    tokens = {tiny_log.token(i) for i in (3, 4)}
    assert {failure.token for failure in report.failures} == tokens
    assert all("unicorn" in failure.error for failure in report.failures)
    assert {log: result.entry is not None for log, result in report.results.items()} == {"log0": False, "log1": True}


def test_scenes_with_four_seconds_of_future_serve_v2_only(world):
    short = tiny_log.write_yaml(world.root / "short.yaml", "num_future_frames: 8\nframe_interval: 1\n")
    split = load_split(short, world.data)
    cache_split(split, world.data, world.out, workers=1)
    scene = MetricCache.open(world.out).load(split.tokens[0])
    assert scene.objects_v1 is None and scene.objects_v2.valid.shape[1] == 41


@pytest.mark.parametrize(
    ("keys", "cause"), [("num_future_frames: 7", "8 future frames"), ("num_history_frames: 3", "4 frames")]
)
def test_too_short_windows_are_refused(world, keys, cause):
    short = tiny_log.write_yaml(world.root / "short.yaml", f"{keys}\nframe_interval: 1\n")
    report = cache_split(load_split(short, world.data), world.data, world.out, workers=1)
    assert report.failures and all(cause in failure.error for failure in report.failures)


def test_empty_world_around_the_ego(tmp_path: Path):
    """No objects, no lights, the ego off the road but in sight of it: the plan takes the nearest lane all the same."""
    data = write_world(tmp_path)
    frames = [frame(i, start=150.0) for i in range(FRAMES)]
    for raw in frames:
        raw["traffic_lights"] = []
    tiny_log.write_log(tmp_path, "tiny", frames)
    report = cache_split(load_split("tiny", data), data, tmp_path / "cache", workers=1)
    assert not report.failures
    scene = MetricCache.open(tmp_path / "cache").load(tiny_log.token(3))
    assert len(scene.polygons.fid) > 0
    assert scene.objects_v2.pose.shape == (0, 41, 3)
    assert np.isfinite(scene.pdm_reference).all()


def test_two_workers_give_the_same_bytes_as_one(world):
    before = world.contents()
    shutil.rmtree(world.out)
    cache_split(load_split("tiny", world.data), world.data, world.out, workers=2)
    assert world.contents() == before


def test_partial_files_of_a_killed_writer_are_ignored(world):
    before = world.contents()
    stray = world.out / "logs" / ".log1.nfc.abc.partial"
    stray.write_bytes(b"half")
    world.run()
    stray.unlink()
    assert world.contents() == before


def test_jobs_are_small(world):
    split = load_split("tiny", world.data)
    heavy = dataclasses.replace(split, filter=dataclasses.replace(split.filter, tokens=tuple(map(str, range(10**5)))))
    assert len(pickle.dumps(heavy.one_log("log0"))) < 2000
    assert os.cpu_count()

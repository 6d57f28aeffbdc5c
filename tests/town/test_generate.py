"""Worlds on disk: read by navforge's own readers, the same bytes for the same seed, splits apart."""

from __future__ import annotations

import hashlib
import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from navforge.core.build import Report
from navforge.data.paths import DataConfig
from navforge.data.pickles import load
from navforge.data.scenes import read_scenes
from navforge.data.splits import load_split
from navforge.maps.graph import lane_graph
from navforge.maps.map import read_map
from navforge.town.generate import generate
from navforge.town.make_log import LogReport, sensor_frame_numbers
from navforge.town.scales import SCALES, PlanConfig, Scale, SplitPlan
from navforge.town.sensors import CAMERA_NAMES, Rig

SPLITS = ("train", "val", "test")


def world_bytes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def small_world(out: Path, *, seed: int, workers: int) -> Report[LogReport]:
    plan = PlanConfig(rows=3, columns=3)
    place = "us-ma-boston"
    scale = Scale({place: plan}, (SplitPlan("train", 2, 15, (place,)),))
    rig = Rig(width=64, height=36, lidar_columns=60)
    report = generate(out, scale, seed=seed, sensors="all", sensor_frames="current", rig=rig, workers=workers)
    assert report.complete, report.failures
    return report


def data_of(root: Path) -> DataConfig:
    return DataConfig(logs=root / "navsim_logs", sensors=root / "sensor_blobs", maps=root / "maps")


@pytest.fixture(scope="module")
def by_one_worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world; do not write into it."""
    out = tmp_path_factory.mktemp("town") / "one"
    small_world(out, seed=4, workers=1)
    return out


def test_same_seed_same_bytes_with_one_or_two_workers(by_one_worker: Path, tmp_path: Path) -> None:
    small_world(tmp_path / "two", seed=4, workers=2)
    assert world_bytes(by_one_worker) == world_bytes(tmp_path / "two")
    assert len(world_bytes(by_one_worker)) > 30


def test_whole_logs_are_kept_and_damaged_ones_made_again(by_one_worker: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(by_one_worker, tmp_path / "world"))
    before = world_bytes(out)
    manifest = (out / "town.json").stat().st_mtime_ns
    kept, damaged = sorted(out.glob("navsim_logs/train/*.pkl"))
    image = next((out / "sensor_blobs" / "train" / damaged.stem).rglob("*.jpg"))
    image.write_bytes(image.read_bytes()[:-1])
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if kept.stem in str(path) and path.is_file()}
    report = small_world(out, seed=4, workers=1)
    assert report.reasons == {damaged.stem: f"{image.relative_to(out)} is missing or changed"}
    assert world_bytes(out) == before and (out / "town.json").stat().st_mtime_ns > manifest
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_every_split_holds_scenes_and_shares_none(tiny_town: Path) -> None:
    data = data_of(tiny_town)
    tokens = [load_split(name, data).tokens for name in SPLITS]
    assert all(tokens)
    assert len(set().union(*map(set, tokens))) == sum(map(len, tokens))


def test_held_out_logs_are_in_another_city(tiny_town: Path) -> None:
    places = {
        name: {load(path)[0]["map_location"] for path in (tiny_town / "navsim_logs" / name).glob("*.pkl")}
        for name in SPLITS
    }
    assert not places["train"] & (places["val"] | places["test"])


def test_scales_keep_cities_apart() -> None:
    for scale in SCALES.values():
        train = {place for split in scale.splits if split.name == "train" for place in split.places}
        held_out = {place for split in scale.splits if split.name != "train" for place in split.places}
        assert not train & held_out
    scenes = {split.name: split.logs * (split.frames - 13) for split in SCALES["small"].splits}
    assert scenes["train"] >= 400 and scenes["test"] >= 120


def test_frames_have_the_keys_and_types_of_real_ones(tiny_town: Path, realdata: Path) -> None:
    ours = load(next((tiny_town / "navsim_logs" / "train").glob("*.pkl")))[5]
    real = load(next((realdata / "navsim_logs" / "real").glob("*.pkl")))[5]
    assert set(ours) == set(real)
    for name, value in real.items():
        assert type(ours[name]) is type(value), name
    assert set(ours["anns"]) == set(real["anns"]) and set(ours["cams"]) == set(real["cams"])
    for name, value in real["anns"].items():
        assert type(ours["anns"][name]) is type(value), name
        if isinstance(value, np.ndarray):
            assert ours["anns"][name].dtype == value.dtype and ours["anns"][name].shape[1:] == value.shape[1:], name


def test_routes_are_connected_and_start_under_ego(tiny_town: Path) -> None:
    for path in sorted((tiny_town / "navsim_logs").rglob("*.pkl")):
        frames = load(path)
        town_map = read_map(tiny_town / "maps", frames[0]["map_location"])
        for frame in frames:
            blocks = [lane_graph(town_map).find_roadblock(int(fid)) for fid in frame["roadblock_ids"]]
            assert len(blocks) >= 3 and all(blocks)
            for before, after in itertools.pairwise(blocks):
                assert before is not None and after is not None
                assert after.fid in {following.fid for following in before.outgoing}


def test_scene_futures_move_as_the_ego_status_says(tiny_town: Path) -> None:
    data = data_of(tiny_town)
    split = load_split("train", data)
    for log_name in split.logs:
        for scene in read_scenes(split, data, log_name):
            human = scene.human_poses()
            speed = float(np.hypot(*scene.ego_status().velocity))
            assert abs(human[0, 0] - 0.5 * speed) < 0.5 + 0.125 * 4.0


def test_annotations_are_near_and_tracks_persist(tiny_town: Path) -> None:
    frames = load(next((tiny_town / "navsim_logs" / "test").glob("*.pkl")))
    for before, after in itertools.pairwise(frames):
        boxes = before["anns"]["gt_boxes"]
        assert np.hypot(boxes[:, 0], boxes[:, 1]).max() < 75.0
        shared = set(before["anns"]["track_tokens"]) & set(after["anns"]["track_tokens"])
        assert len(shared) > 0.8 * len(boxes)
        assert abs(after["timestamp"] - before["timestamp"] - 500_000) < 1000


def test_every_named_sensor_file_exists(tiny_town: Path) -> None:
    for split in SPLITS:
        blobs = tiny_town / "sensor_blobs" / split
        for path in (tiny_town / "navsim_logs" / split).glob("*.pkl"):
            for frame in load(path):
                assert (blobs / frame["lidar_path"]).stat().st_size > 1000
                for name in CAMERA_NAMES:
                    assert (blobs / frame["cams"][name]["data_path"]).stat().st_size > 300


def test_turns_are_announced_by_the_command(tiny_town: Path) -> None:
    """Where ego turns by more than 60 degrees within 4 s, the command of the current frame says to which side."""
    checked = 0
    for path in sorted((tiny_town / "navsim_logs").rglob("*.pkl")):
        frames = load(path)
        headings = np.unwrap([2 * math.atan2(f["ego2global_rotation"][3], f["ego2global_rotation"][0]) for f in frames])
        for n in range(len(frames) - 8):
            turn = headings[n + 8] - headings[n]
            if abs(turn) > math.radians(60):
                checked += 1
                assert int(np.argmax(frames[n]["driving_command"])) == (0 if turn > 0 else 2)
    assert checked > 0


def test_sensor_frames_chosen() -> None:
    assert sensor_frame_numbers(20, "all") == range(20)
    assert sensor_frame_numbers(20, "history") == range(10)
    assert sensor_frame_numbers(20, "current") == range(3, 10)

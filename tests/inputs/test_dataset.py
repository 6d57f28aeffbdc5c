"""Examples from raw logs and from a store: the same bits, in this process and in workers; corrupt ones are named."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader

from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.sensors import camera_path, lidar_path
from navforge.data.splits import Split
from navforge.inputs import read
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.dataset import SceneDataset, collate, scenes_of
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import pack
from navforge.inputs.read import read_inputs
from navforge.inputs.store import InputStore
from navforge.inputs.workers import worker_context
from navforge.models.encoders.configs import VisionConfig
from navforge.models.heads.configs import GruHeadConfig, MlpHeadConfig
from navforge.models.panorama import PanoramaConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import RECIPES, recipe

from .conftest import few


def equal(one: Any, other: Any) -> None:
    """Keys, dtypes, shapes and every bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            equal(one[name], other[name])
    elif isinstance(one, np.ndarray | torch.Tensor):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert bool((one == other).all())
    else:
        assert one == other


def with_quality(planner: PlannerConfig, quality: int | None) -> PlannerConfig:
    assert planner.panorama is not None
    if isinstance(planner.encoder, VisionConfig):
        return replace(planner, encoder=replace(planner.encoder, quality=quality))
    return replace(planner, encoder=replace(planner.encoder, panorama=replace(planner.panorama, quality=quality)))


def sensor_configs() -> dict[str, PlannerConfig]:
    """One planner for each distinct set of inputs and targets among the recipes, and each with JPEG."""
    found: dict[InputSpec, PlannerConfig] = {}
    for known in RECIPES:
        found.setdefault(InputSpec.of(known.planner), known.planner)
        if known.planner.panorama is not None:
            jpeg = with_quality(known.planner, 95)
            found.setdefault(InputSpec.of(jpeg), replace(jpeg, name=f"{jpeg.name} as JPEG"))
    blind = recipe("ego_mlp").planner
    history = replace(blind, name="history", head=MlpHeadConfig(append_status=True, status_history=4))
    return {planner.name: planner for planner in (*found.values(), history)}


@pytest.mark.parametrize("planner", sensor_configs().values(), ids=sensor_configs().keys())
def test_logs_and_store_give_the_same_bits(
    planner: PlannerConfig, split: Split, data: DataConfig, tmp_path: Path
) -> None:
    some = few(split, 1)
    assert not pack([some], InputSpec.of(planner), data, tmp_path, workers=1).failures
    raw = SceneDataset(some, planner, data, keep_inputs=False)
    stored = SceneDataset(
        some, planner, DataConfig(logs=None, sensors=None, maps=None), store=InputStore.open(tmp_path)
    )
    assert len(raw) == len(stored) == 2
    scenes = list(scenes_of(some, data))
    for index in range(len(raw)):
        equal(raw[index], stored[index])
        for name, value in read_inputs([scenes[index]], planner, data).items():
            equal(value[0].numpy(), raw[index]["inputs"][name])


def test_an_example_holds_what_the_planner_reads_and_learns(
    planner: PlannerConfig, split: Split, data: DataConfig, packed: InputStore
) -> None:
    example = SceneDataset(split, planner, data, store=packed)[3]
    assert example.keys() == {"token", "inputs", "teacher", "human_poses", "agents", "agent_labels", "bev_semantics"}
    assert example["token"] == split.tokens[3]
    assert planner.panorama is not None and planner.lidar is not None
    inputs = example["inputs"]
    assert inputs["panorama"].shape == (3, planner.panorama.height, planner.panorama.width)
    assert inputs["panorama"].dtype == np.uint8 and inputs["panorama"].std() > 10
    assert inputs["lidar"].shape == planner.lidar.shape and inputs["lidar"].dtype == np.float32
    assert 0 < inputs["lidar"].max() <= 1 and inputs["status"].shape == (8,)
    assert example["human_poses"].shape == (8, 3) and example["human_poses"][-1, 0] > 0
    assert example["bev_semantics"].max() <= 6 and len(np.unique(example["bev_semantics"])) >= 4
    assert example["agent_labels"].any()
    blind = SceneDataset(split, recipe("ego_mlp").planner, data, store=packed)[3]
    assert blind.keys() == {"token", "inputs", "teacher", "human_poses"} and list(blind["inputs"]) == ["status"]


def test_sensors_nobody_asks_for_are_not_read(split: Split, data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a sensor file was read")

    monkeypatch.setattr(read, "read_lidar", never)
    camera_only = recipe("hydra_mdp_tiny").planner
    assert "lidar" not in SceneDataset(split, camera_only, data, keep_inputs=False)[0]["inputs"]
    monkeypatch.setattr(read, "read_camera", never)
    blind = SceneDataset(split, recipe("ego_mlp").planner, replace(data, sensors=data.sensors))
    assert list(blind[0]["inputs"]) == ["status"]


def test_history_of_the_ego_status_is_that_of_the_logged_frames(split: Split, data: DataConfig) -> None:
    planner = replace(recipe("ego_mlp").planner, head=GruHeadConfig(status_history=3))
    dataset = SceneDataset(split, planner, data)
    changed = 0
    for index, scene in enumerate(scenes_of(split, data)):
        inputs = dataset[index]["inputs"]
        assert list(inputs) == ["status", "status_history"] and inputs["status_history"].shape == (3, 8)
        assert (inputs["status_history"][-1] == inputs["status"]).all()
        for row, frame in zip(inputs["status_history"], scene.frames[1:4], strict=True):  # of 4 history frames, 3
            assert (row == np.concatenate([frame.driving_command, frame.velocity, frame.acceleration])).all()
        changed += bool((inputs["status_history"][0] != inputs["status"]).any())
    assert changed > len(split) / 2, "the ego moves"


def test_more_history_than_the_split_has_is_refused(split: Split, data: DataConfig) -> None:
    planner = replace(recipe("ego_mlp").planner, head=GruHeadConfig(status_history=5))
    with pytest.raises(DataError, match=r"reads 5 frames of ego status \(planner.head.status_history\).* have 4"):
        SceneDataset(split, planner, data)


def test_a_store_of_another_history_is_refused(split: Split, data: DataConfig, tmp_path: Path) -> None:
    some = few(split, 1)
    one, other = (replace(recipe("ego_mlp").planner, head=GruHeadConfig(status_history=frames)) for frames in (2, 3))
    assert not pack([some], InputSpec.of(one), data, tmp_path, workers=1).failures
    store = InputStore.open(tmp_path)
    with pytest.raises(DataError, match=r"status_history.frames \(2 -> 3\)"):
        SceneDataset(some, other, data, store=store)
    assert list(SceneDataset(some, recipe("ego_mlp").planner, data, store=store)[0]["inputs"]) == ["status"]


def test_kept_inputs_are_those_read_each_time(planner: PlannerConfig, split: Split, data: DataConfig) -> None:
    kept = SceneDataset(split, planner, data, keep_inputs=True)
    again = SceneDataset(split, planner, data, keep_inputs=False)
    for index in (0, 4, 9):
        equal(kept[index], again[index])


def test_inputs_that_do_not_fit_into_memory_are_refused_first(
    planner: PlannerConfig, split: Split, data: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=3000))
    with pytest.raises(ConfigError, match=r"keep_inputs=false"):
        SceneDataset(split, planner, data, keep_inputs=True)


@pytest.mark.parametrize("from_store", [False, True])
def test_two_workers_give_what_this_process_gives(
    planner: PlannerConfig, split: Split, data: DataConfig, packed: InputStore, from_store: bool
) -> None:
    dataset = SceneDataset(split, planner, data, keep_inputs=False, store=packed if from_store else None)
    order = [7, 2, 9, 0, 4, 4, 1]
    loaders = [
        DataLoader(
            dataset,
            batch_size=3,
            sampler=order,
            num_workers=workers,
            collate_fn=collate,
            multiprocessing_context=worker_context() if workers else None,
        )
        for workers in (0, 2)
    ]
    alone, shared = (list(loader) for loader in loaders)
    assert [len(batch["token"]) for batch in alone] == [3, 3, 1]
    for one, other in zip(alone, shared, strict=True):
        equal(one, other)


def test_a_data_set_is_light_to_hand_to_workers(
    planner: PlannerConfig, split: Split, data: DataConfig, packed: InputStore
) -> None:
    raw = pickle.dumps(SceneDataset(split, planner, data, keep_inputs=False))
    stored = pickle.dumps(SceneDataset(split, planner, data, store=packed))
    assert len(raw) < 20_000 * len(split), "references hold no frames and no pixels"
    assert len(stored) < 4000 + 40 * len(split)
    equal(pickle.loads(stored)[5], pickle.loads(raw)[5])


def damaged_sensors(data: DataConfig, split: Split, tmp_path: Path) -> tuple[DataConfig, dict[str, Path]]:
    """A copy of the split's sensor files: one image cut short, one image lost, one sweep cut short."""
    assert data.sensors is not None
    shutil.copytree(data.sensors / "train", tmp_path / "sensors" / "train")
    copy = replace(data, sensors=tmp_path / "sensors")
    scenes = read_scenes(split, data, next(iter(split.logs)))
    files = {
        scenes[0].token: camera_path(scenes[0], "CAM_L0", copy),
        scenes[1].token: camera_path(scenes[1], "CAM_F0", copy),
        scenes[2].token: lidar_path(scenes[2], copy),
    }
    cut_image, lost_image, cut_sweep = files.values()
    cut_image.write_bytes(cut_image.read_bytes()[:-50])
    lost_image.unlink()
    cut_sweep.write_bytes(cut_sweep.read_bytes()[:-50])
    return copy, files


def test_corrupt_sensor_files_are_named_and_replaced_by_neighbours(
    planner: PlannerConfig, split: Split, data: DataConfig, tmp_path: Path
) -> None:
    copy, files = damaged_sensors(data, split, tmp_path)
    dataset = SceneDataset(split, planner, copy, keep_inputs=False)
    for token, file in files.items():
        with pytest.raises(CorruptSample, match=token) as caught:
            dataset[split.tokens.index(token)]
        assert (caught.value.token, caught.value.file) == (token, str(file))
        assert str(file) in str(caught.value)
    loader = DataLoader(
        dataset, batch_size=5, num_workers=1, collate_fn=collate, multiprocessing_context=worker_context()
    )
    first, second = list(loader)
    assert [error.token for error in first["corrupt"]] == list(files)
    assert first["token"] == [split.tokens[3], split.tokens[4], split.tokens[3], split.tokens[4], split.tokens[3]]
    assert first["inputs"]["panorama"].shape[0] == 5 and second["corrupt"] == []
    assert collate(dataset.__getitems__([0, 1])).keys() == {"corrupt"}


def test_what_a_planner_sees_as_jpeg_is_close_to_the_exact_panorama(split: Split, data: DataConfig) -> None:
    tiny = recipe("hydra_mdp_tiny").planner
    exact = SceneDataset(split, tiny, data, keep_inputs=False)[0]["inputs"]["panorama"].astype(float)
    jpeg = SceneDataset(split, with_quality(tiny, 95), data, keep_inputs=False)[0]["inputs"]["panorama"]
    difference = np.abs(jpeg - exact)
    assert 0 < difference.mean() < 3


def test_a_camera_given_as_another_format_is_read(split: Split, data: DataConfig, tmp_path: Path) -> None:
    from PIL import Image  # noqa: PLC0415

    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read.read_camera(tmp_path / "c.png"), pixels)
    assert PanoramaConfig().quality is None

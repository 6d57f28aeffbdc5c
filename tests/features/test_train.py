"""Training and evaluation from a feature store: equal to encoding on the fly, no image read, other encoders refused."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from navforge.agents.planner import PlannerAgent
from navforge.cache_builder.pool import cache_split
from navforge.cli.main import main
from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split
from navforge.features.dataset import FeatureDataset
from navforge.features.store import FeatureStore
from navforge.inputs.dataset import collate
from navforge.metric_cache.store import MetricCache
from navforge.models.checkpoints import read_checkpoint
from navforge.models.heads.configs import TransfuserHeadConfig
from navforge.models.loading import load_planner
from navforge.preflight import files
from navforge.runs.folder import RunFolder
from navforge.runs.training_record import read_training_record
from navforge.scoring.engine import score_plans
from navforge.training.config import AugmentConfig, TrainConfig
from navforge.training.inference import plan_scenes
from navforge.training.run import train
from navforge.training.run_config import RunConfig
from navforge.training.smoke import PROTOCOL

from .conftest import BATCH, encoded, from_store, patches, seeded

TRAIN = TrainConfig(
    epochs=2,
    batch_size=BATCH,
    learning_rate=1e-3,
    accelerator="cpu",
    smoke_scenes=2,
    augment=AugmentConfig(status_dropout=0.3),
)


@pytest.fixture
def config(images_run: RunConfig, store: FeatureStore) -> RunConfig:
    return from_store(replace(images_run, train=TRAIN), store)


def curves(out: Path) -> tuple[str, list[Any]]:
    epochs = pl.read_csv(out / "epochs.csv")
    return (out / "steps.csv").read_text(), epochs.select(pl.exclude("seconds")).rows()


def test_a_run_from_the_store_is_the_run_from_images_to_the_last_bit(
    config: RunConfig, data: DataConfig, split: Split, tmp_path: Path
) -> None:
    best = train(config)
    images = replace(config, out=tmp_path / "images", features=None, data=data)
    other = train(images)
    assert curves(config.out) == curves(images.out)
    ours, theirs = read_checkpoint(best), read_checkpoint(other)
    assert ours.state.keys() == theirs.state.keys()
    assert all(torch.equal(ours.state[name], theirs.state[name]) for name in ours.state)
    assert ours.facts["fingerprints"]["features"] and not theirs.facts["fingerprints"]["features"]

    scenes = read_scenes(split, data, next(iter(split.logs)))[:BATCH]
    blind = PlannerAgent("patches", best, config.data, device="cpu", batch_size=BATCH, features=config.features)
    seeing = PlannerAgent("patches", best, data, device="cpu", batch_size=BATCH)
    assert np.array_equal(blind.plan(scenes)[0], seeing.plan(scenes)[0])


def test_scores_are_equal_and_the_verbs_read_no_image(
    config: RunConfig, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = train(config)
    common = ["agent=patches", f"checkpoint={best}", "split=train", f"cache={config.cache}", "device=cpu", "workers=1"]
    common += [f"batch_size={BATCH}", f"data.logs={data.logs}", f"data.maps={data.maps}"]
    assert main(["evaluate", *common, f"features={config.features}", f"out={tmp_path / 'blind'}"]) == 0
    assert main(["evaluate", *common, f"data.sensors={data.sensors}", f"out={tmp_path / 'seeing'}"]) == 0
    tables = [pl.read_parquet(tmp_path / name / "scores.parquet") for name in ("blind", "seeing")]
    assert tables[0].equals(tables[1])
    assert main(["evaluate", *common, f"features={config.features}", f"out={tmp_path / 'x'}", "blank_camera=true"]) == 2
    assert "blank_camera: with features= no image is read" in capsys.readouterr().err
    human = [word for word in common if not word.startswith(("agent", "checkpoint"))]
    assert main(["evaluate", "agent=human", *human, f"features={config.features}", f"out={tmp_path / 'y'}"]) == 2
    assert "features: agent human has no encoder" in capsys.readouterr().err


def test_a_run_from_float16_is_near_to_the_run_from_images(
    config: RunConfig, data: DataConfig, split: Split, val_split: Split, tmp_path: Path
) -> None:
    half = encoded([split, val_split], data, tmp_path / "half", dtype="float16")
    rounded = read_checkpoint(train(replace(config, features=half.path))).state
    exact = read_checkpoint(train(replace(config, out=tmp_path / "exact"))).state
    assert not all(torch.equal(rounded[name], exact[name]) for name in exact)
    assert all(torch.allclose(rounded[name], exact[name], rtol=1e-3, atol=1e-4) for name in exact)


def test_an_interrupted_run_goes_on_to_the_same_weights(config: RunConfig, tmp_path: Path) -> None:
    whole = read_checkpoint(train(config))
    short = replace(config, out=tmp_path / "resumed")
    train(replace(short, train=replace(TRAIN, epochs=1)))
    last = short.out / "checkpoints" / "last.ckpt"
    held = torch.load(last, weights_only=True)
    held["navforge"]["facts"]["train"]["epochs"] = TRAIN.epochs
    torch.save(held, last)
    (short.out / "finished.json").unlink(missing_ok=True)
    train(short)
    state = read_checkpoint(short.out / "checkpoints" / "last.ckpt").state
    last_of_whole = read_checkpoint(config.out / "checkpoints" / "last.ckpt").state
    assert whole.state.keys() == state.keys()
    assert all(torch.equal(last_of_whole[name], state[name]) for name in state)


def test_validation_scores_plans_of_a_head_without_teacher_by_the_engine(
    config: RunConfig, data: DataConfig, val_split: Split, tmp_path: Path
) -> None:
    cache_split(val_split, data, tmp_path / "val", workers=1)
    scored = replace(config, out=tmp_path / "scored", val_cache=tmp_path / "val")
    train(scored)
    planner = load_planner(scored.out / "checkpoints" / "last.ckpt")
    scenes = [scene for log in val_split.logs for scene in read_scenes(val_split, data, log)]
    plans, interval_s = plan_scenes(
        planner, scenes, config.data, batch_size=BATCH, features=FeatureStore.open(store_of(config))
    )
    cache = MetricCache.open(tmp_path / "val")
    exact = [
        score_plans(cache.load(scene.token), plan[None], interval_s, (PROTOCOL,))[PROTOCOL].score[0]
        for scene, plan in zip(scenes, plans, strict=True)
    ]
    epochs = pl.read_csv(scored.out / "epochs.csv")
    assert epochs["val/score"][-1] == pytest.approx(np.mean(exact), rel=1e-5) and np.mean(exact) > 0
    done = read_training_record(RunFolder(scored.out))
    assert done is not None and done.val_score == epochs["val/score"][-1] and done.epochs_to_90 is not None
    assert set(json.loads((scored.out / "finished.json").read_text())["best"]) == {"epoch", "val/score"}
    train(config)
    assert curves(config.out)[0] == curves(scored.out)[0], "and nothing else changes"


def store_of(config: RunConfig) -> Path:
    assert config.features is not None
    return config.features


def test_a_cache_that_cannot_score_the_validation_is_refused(config: RunConfig) -> None:
    with pytest.raises(DataError, match=r"val_cache: metric cache .* lacks (\d+) of \1 scenes of val"):
        train(replace(config, val_cache=config.cache))
    with pytest.raises(ConfigError, match="val_cache: there is no validation to score plans in"):
        train(replace(config, val_cache=config.cache, val_split=None))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"planner": patches(frozen=False)}, r"frozen encoder .*'frozen': True.* learns: .*'frozen': False"),
        ({"planner": patches(width=8)}, r"\(in the store -> asked for\): encoder.width \(24 -> 8\); run"),
        ({"train": replace(TRAIN, seed=1)}, r"asked for\): weights \([0-9a-f]{16} -> [0-9a-f]{16}\)"),
        ({"train": replace(TRAIN, augment=AugmentConfig(noise=0.1))}, r"train.augment.noise=0.1 changes images"),
        ({"planner": replace(patches(), head=TransfuserHeadConfig())}, r"holds no agents, which patches reads or"),
        ({"store": Path("inputs")}, r"store: with features= no image is read"),
    ],
    ids=["tuned", "other config", "other weights", "augmented", "other targets", "input store"],
)  # fmt: skip
def test_what_the_store_was_not_made_for_is_refused(config: RunConfig, changes: dict[str, Any], error: str) -> None:
    if "store" in changes:
        config = replace(config, store=config.features)
        changes = {}
    with pytest.raises((ConfigError, DataError), match=error):
        train(replace(config, **changes))


def test_scenes_that_the_store_lacks_are_counted(
    config: RunConfig, data: DataConfig, split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = encoded([split], data, tmp_path / "only")
    lacking = replace(config, features=only.path)
    with pytest.raises(
        DataError, match=r"lacks (\d+) of \1 scenes, .* with split= and val_split= for two in one store"
    ):
        train(lacking)
    refused = [finding for finding in files.open_files(lacking).findings if finding.level == "refused"]
    assert [finding.check for finding in refused] == ["features"]


def test_a_row_that_changed_is_a_corrupt_sample(store: FeatureStore, split: Split, tmp_path: Path) -> None:
    copy = FeatureStore.open(shutil.copytree(store.path, tmp_path / "store"))
    log = next(iter(split.logs))
    whole = FeatureDataset(split, patches(), copy)
    third = copy.inputs([split.tokens[2]], patches())["features"].numpy().tobytes()
    path = FeatureStore.shard_path(copy.path, log)
    content = bytearray(path.read_bytes())
    content[content.index(third) + 5] ^= 1
    path.write_bytes(content)
    dataset = FeatureDataset(split, patches(), FeatureStore.open(copy.path))
    batch = collate(dataset.__getitems__([1, 2, 3]))
    assert [error.token for error in batch["corrupt"]] == [split.tokens[2]]
    assert batch["token"] == [split.tokens[1], split.tokens[3], split.tokens[1]]
    expected = collate(whole.__getitems__([1, 3, 1]))["inputs"]["features"]
    assert torch.equal(batch["inputs"]["features"], expected)
    assert collate(dataset.__getitems__([2])).keys() == {"corrupt"}
    path.write_bytes(content[:-1])
    truncated = collate(FeatureDataset(split, patches(), FeatureStore.open(copy.path)).__getitems__([0]))
    assert f"{len(content) - 1} bytes, written were {len(content)}" in str(truncated["corrupt"][0])


def test_reading_lets_go_of_what_it_has_mapped(
    store: FeatureStore, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("navforge.features.store._MAPPED", 1)
    dataset = FeatureDataset(split, patches(), FeatureStore.open(store.path))
    batches = [collate(dataset.__getitems__([0, 5]))["inputs"]["features"] for _ in range(2)]
    assert torch.equal(*batches)


RECIPE = """
name: patches
encoder:
  kind: trunk_parts:PatchConfig
head:
  kind: mlp
  hidden: 16
  layers: 1
train:
  epochs: 1
  batch_size: 4
"""


@pytest.mark.slow
@pytest.mark.usefixtures("patient_preflight")
def test_encode_preflight_and_train_by_their_verbs(
    data: DataConfig,
    town_files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(Path(__file__).parent / "parts.py", tmp_path / "trunk_parts.py")
    (tmp_path / "patches.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    blind = ["agent=patches.yaml", "split=train", f"data.logs={data.logs}", f"data.maps={data.maps}"]
    assert main(["encode", *blind, f"data.sensors={data.sensors}", "out=features", "device=cpu", "workers=2"]) == 0
    run = [*blind, "features=features", f"cache={town_files['cache']}", "out=run", "train.accelerator=cpu"]
    assert main(["preflight", *run, "train.smoke_scenes=1", "json=report.json"]) == 0, capsys.readouterr()
    findings = {found["check"]: found for found in json.loads((tmp_path / "report.json").read_text())["findings"]}
    assert "holds tokens of trunk_parts:PatchConfig" in findings["features"]["message"]
    assert "features (" in findings["planner"]["message"] and "panorama" not in findings["planner"]["message"]
    assert main(["preflight", *run, "train.seed=3", "json=report.json"]) == 2
    assert "asked for): weights" in capsys.readouterr().out
    assert main(["train", *run, "preflight=false", "train.smoke_scenes=1"]) == 0, capsys.readouterr()
    assert seeded().config.name == read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt").planner["name"]

"""Alignment to a frozen encoder's tokens: a loss of training alone, which the planner itself knows nothing of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from navforge.core.config import merge
from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.features.store import FeatureStore
from navforge.inputs.dataset import SceneDataset, collate
from navforge.models.checkpoints import read_checkpoint, read_values
from navforge.models.encoders.configs import VisionConfig
from navforge.models.loading import load_planner
from navforge.preflight import files
from navforge.training.config import AlignConfig, AugmentConfig, TrainConfig
from navforge.training.loop.alignment import TARGET, AlignedModule, AlignedScenes
from navforge.training.loop.module import PlannerModule
from navforge.training.run import train
from navforge.training.run_config import RunConfig, read_run_config

from .conftest import BATCH, encoded, patches, seeded

STUDENT = patches(frozen=False, width=12)
FIXED = VisionConfig(
    network="ijepa",
    architecture='{"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, '
    '"patch_size": 16, "image_size": 32}',
    height=32,
    width=32,
)
"""Frozen, with nothing that learns on top."""
TRAIN = TrainConfig(epochs=2, batch_size=BATCH, learning_rate=3e-3, accelerator="cpu", smoke_scenes=0)


@pytest.fixture(scope="module")
def store(split: Split, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Of the training split alone: validation is not aligned."""
    return encoded([split], data, tmp_path_factory.mktemp("aligned") / "store")


@pytest.fixture
def config(images_run: RunConfig, store: FeatureStore) -> RunConfig:
    return replace(images_run, planner=STUDENT, train=TRAIN, align=AlignConfig(features=store.path))


def aligned(width: int, **keys: Any) -> AlignedModule:
    torch.manual_seed(0)
    return AlignedModule(STUDENT.build(), AugmentConfig(), align=AlignConfig(features=Path(), **keys), width=width)


@pytest.fixture
def batch(split: Split, data: DataConfig, store: FeatureStore) -> dict[str, Any]:
    scenes = SceneDataset(split, STUDENT, data, keep_inputs=False)
    return collate(AlignedScenes(scenes, store).__getitems__([5, 0, 3]))


def test_each_scene_meets_its_own_tokens(batch: dict[str, Any], split: Split, store: FeatureStore) -> None:
    tokens = [split.tokens[5], split.tokens[0], split.tokens[3]]
    assert batch["token"] == tokens
    assert torch.equal(batch[TARGET], store.gather("features", store.rows(tokens)))
    assert batch[TARGET].shape[1:] == store.token_shape


def test_the_loss_is_one_minus_the_cosine_and_in_the_total(batch: dict[str, Any]) -> None:
    module = aligned(batch[TARGET].shape[-1], weight=0.25).train()
    made = module.planner.encoder(batch["inputs"]).tokens
    ours, theirs = module.projector(made).detach().numpy(), batch[TARGET].numpy()
    cosine = (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
    values = module(batch)
    assert values["alignment"].item() == pytest.approx(0.25 * (1 - cosine.mean()), rel=1e-4)
    assert values["total"].item() == pytest.approx((values["trajectory"] + values["alignment"]).item(), rel=1e-6)


def test_its_gradient_reaches_the_encoder_and_the_projector_alone(batch: dict[str, Any]) -> None:
    module = aligned(batch[TARGET].shape[-1]).train()
    module(batch)["alignment"].backward()
    reached = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in module.named_parameters() if not name.startswith("planner.head.")}
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.planner.encoder.trunk.parameters())
    assert not batch[TARGET].requires_grad


def test_every_parameter_is_in_the_optimiser_once(batch: dict[str, Any]) -> None:
    module = aligned(batch[TARGET].shape[-1])
    optimiser = module.optimiser(replace(TRAIN, weight_decay=0.1))
    held = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters())
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for p in module.parameters() if p.ndim > 1}


def test_a_random_target_is_that_of_another_scene(batch: dict[str, Any]) -> None:
    width = batch[TARGET].shape[-1]
    turned = {**batch, TARGET: batch[TARGET][[2, 0, 1]]}
    assert aligned(width, target="random").train()(batch) == aligned(width).train()(turned)
    assert aligned(width, target="random").train()(batch) != aligned(width).train()(batch)


def test_one_token_is_compared_with_the_mean(batch: dict[str, Any]) -> None:
    module = aligned(batch[TARGET].shape[-1]).train()
    mean = batch[TARGET].mean(dim=1, keepdim=True)
    ours = module.projector(module.planner.encoder(batch["inputs"]).tokens.mean(dim=1))
    expected = 0.5 * (1 - torch.cosine_similarity(ours, mean[:, 0]).mean())
    assert module({**batch, TARGET: mean})["alignment"].item() == pytest.approx(expected.item(), rel=1e-4)
    with pytest.raises(ConfigError, match=r"gives 48 tokens per scene, the store holds 5; encode one with as many"):
        module({**batch, TARGET: batch[TARGET][:, :5]})


def test_in_validation_it_is_the_planner_alone(batch: dict[str, Any]) -> None:
    module = aligned(batch[TARGET].shape[-1]).eval()
    del batch[TARGET]
    values = module(batch)
    assert "alignment" not in values and values == PlannerModule(module.planner, AugmentConfig()).eval()(batch)


def test_a_run_with_a_factor_of_nought_trains_the_planner_it_would_have_been(config: RunConfig, tmp_path: Path) -> None:
    without = read_checkpoint(train(replace(config, out=tmp_path / "without", align=AlignConfig())))
    nought = read_checkpoint(train(replace(config, align=replace(config.align, weight=0.0))))
    assert nought.planner == without.planner and nought.state.keys() == without.state.keys()
    assert all(torch.equal(nought.state[name], without.state[name]) for name in without.state)


def test_the_loss_falls_and_the_planner_is_like_any_other(
    config: RunConfig, batch: dict[str, Any], tmp_path: Path
) -> None:
    best = train(replace(config, train=replace(TRAIN, epochs=4)))
    losses = pl.read_csv(config.out / "epochs.csv")["train/alignment"].to_list()
    assert losses[-1] < 0.7 * losses[0]
    other = read_checkpoint(train(replace(config, out=tmp_path / "without", align=AlignConfig())))
    held = read_checkpoint(best)
    assert held.state.keys() == other.state.keys() and held.planner == other.planner
    assert any(not torch.equal(held.state[name], other.state[name]) for name in held.state)
    planner = load_planner(best)
    assert {name for name, _ in planner.named_parameters()} == {name for name, _ in seeded().named_parameters()}
    assert planner.plan(batch["inputs"]).trajectories.shape == (3, 8, 3)
    assert held.facts["align"] == {"weight": 0.5, "target": "store"} and held.facts["fingerprints"]["align.features"]
    assert read_run_config(config.out / "train.config.yaml") == replace(config, train=replace(TRAIN, epochs=4))


def test_an_interrupted_run_goes_on_to_the_same_weights(config: RunConfig, tmp_path: Path) -> None:
    train(config)
    short = replace(config, out=tmp_path / "resumed")
    train(replace(short, train=replace(TRAIN, epochs=1)))
    last = short.out / "checkpoints" / "last.ckpt"
    held = torch.load(last, weights_only=True)
    held["navforge"]["facts"]["train"]["epochs"] = TRAIN.epochs
    torch.save(held, last)
    (short.out / "finished.json").unlink()
    with pytest.raises(ConfigError, match=r"differs in align\.weight"):
        train(replace(short, align=replace(short.align, weight=0.1)))
    train(short)
    whole, resumed = (read_values(run.out / "checkpoints" / "last.ckpt")["state_dict"] for run in (config, short))
    assert whole.keys() == resumed.keys() and any(name.startswith("projector.") for name in whole)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_what_cannot_be_aligned_is_refused(config: RunConfig, store: FeatureStore) -> None:
    with pytest.raises(ConfigError, match=r"align.features: nothing of the encoder of fixed learns"):
        train(replace(config, planner=replace(patches(), name="fixed", encoder=FIXED)))
    with pytest.raises(ConfigError, match="features= stands for an encoder that never learns"):
        replace(config, features=store.path)
    with pytest.raises(ConfigError, match=r"train\.compile"):
        replace(config, train=replace(TRAIN, compile=True))
    with pytest.raises(ConfigError, match=r"align.target: random takes tokens of another scene"):
        replace(config, train=replace(TRAIN, batch_size=1), align=replace(config.align, target="random"))
    with pytest.raises(ConfigError, match=r"align.features: align.weight and align.target do nothing without it"):
        merge(AlignConfig, ["weight=1"])
    with pytest.raises(ConfigError, match="target: expected one of store, random"):
        merge(AlignConfig, ["features=x", "target=noise"])


def test_a_store_of_another_split_is_refused_and_the_preflight_says_so(config: RunConfig) -> None:
    found = {finding.check: finding for finding in files.open_files(config).findings}
    assert found["align"].level == "ok" and "holds 48 tokens of each scene" in found["align"].message
    other = replace(config, split="val", val_split=None)
    with pytest.raises(DataError, match=r"lacks (\d+) of \1 scenes"):
        train(other)
    refused = [finding for finding in files.open_files(other).findings if finding.level == "refused"]
    assert "align" in [finding.check for finding in refused]


def test_a_row_that_changed_is_a_corrupt_sample(
    split: Split, data: DataConfig, tmp_path: Path, batch: dict[str, Any]
) -> None:
    copy = encoded([split], data, tmp_path / "store")
    path = FeatureStore.shard_path(copy.path, next(iter(split.logs)))
    content = bytearray(path.read_bytes())
    content[content.index(batch[TARGET][1].numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)
    scenes = AlignedScenes(SceneDataset(split, STUDENT, data, keep_inputs=False), FeatureStore.open(copy.path))
    read = collate(scenes.__getitems__([0, 1]))
    assert [error.token for error in read["corrupt"]] == [split.tokens[0]]
    assert read["token"] == [split.tokens[1]] * 2

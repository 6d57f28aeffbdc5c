"""Every recipe builds and plans; names, keys and help of `navforge train`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from navforge.cli.keys import train as verb
from navforge.cli.main import main
from navforge.core import config as configs
from navforge.core.errors import ConfigError
from navforge.models.encoders.configs import TimmCameraConfig, VisionConfig
from navforge.models.planner_config import planner_from_dict, planner_to_dict
from navforge.training.recipes.catalog import RECIPES, Recipe, recipe
from navforge.training.recipes.vision import VIT_TINY
from navforge.vocabulary.vocabulary import Vocabulary

REQUIRED = ["split=train", "out=o", "cache=c"]


@pytest.mark.parametrize("chosen", RECIPES, ids=lambda r: r.name)
def test_every_recipe_builds_and_plans(chosen: Recipe) -> None:
    config = chosen.planner
    if isinstance(config.encoder, TimmCameraConfig) and config.encoder.panorama.height > 128:
        small = replace(config.encoder.panorama, height=64, width=256)  # the grid is pooled to its own size
        network = config.encoder.network.replace("vit_large", "vit_small")
        config = replace(config, encoder=replace(config.encoder, panorama=small, network=network))
    if isinstance(config.encoder, VisionConfig) and config.encoder.weights is not None:
        tokens = config.encoder.tokens  # the weights are on the Hub
        config = replace(config, encoder=replace(VIT_TINY, tokens=tokens))
    config = replace(config, name="any")  # whose vocabulary may be small
    vocabulary = Vocabulary(np.random.default_rng(0).normal(size=(64, 40, 3)).astype(np.float32))
    planner = config.build(vocabulary if config.head.needs_vocabulary else None).eval()
    inputs = {"status": torch.zeros(1, 8), "status_history": torch.zeros(1, config.status_frames, 8)}
    if config.panorama is not None:
        inputs["panorama"] = torch.zeros(1, *config.panorama.shape, dtype=torch.uint8)
    if config.lidar is not None:
        inputs["lidar"] = torch.zeros(1, *config.lidar.shape)
    plan = planner.plan(inputs)
    assert plan.trajectories.isfinite().all()
    assert plan.trajectories.shape[1] * plan.interval_s == pytest.approx(4.0)
    assert planner_from_dict(planner_to_dict(chosen.planner)) == chosen.planner


def test_unknown_agent_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="hydra_mdp_tiny"):
        verb.configure(["agent=hydra", *REQUIRED])
    with pytest.raises(ConfigError, match=r"agent=TEXT, one of ego_mlp"):
        verb.configure(REQUIRED)


def test_words_override_the_recipe() -> None:
    config = verb.configure(
        [
            "agent=hydra_mdp_tiny",
            *REQUIRED,
            "train.epochs=3",
            "planner.head.width=32",
            "planner.head.inference.imitation=0.5",
        ]
    )
    assert config.train.epochs == 3 and config.train.schedule == recipe("hydra_mdp_tiny").train.schedule
    assert config.planner.head.width == 32 and config.planner.head.inference.imitation == 0.5  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"planner\.head\.hidden"):
        verb.configure(["agent=hydra_mdp_tiny", *REQUIRED, "planner.head.hidden=3"])
    assert verb.configure(["agent=ego_mlp", *REQUIRED, "planner.head.hidden=3"]).planner.head.hidden == 3  # type: ignore[attr-defined]


def test_help_works_with_and_without_an_agent(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train", "--help"], ["train", "agent=hydra_mdp_tiny", "--help"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert "hydra_mdp_v8192_w_ep" in text and "train.epochs" in text
    assert "planner.head.sigma" in text


def test_resolved_config_can_be_written(tmp_path: object) -> None:
    config = verb.configure(["agent=hydra_mdp_tiny", *REQUIRED])
    text = configs.to_yaml(config)
    assert "agent: hydra_mdp_tiny" in text and "decoder_layers" in text

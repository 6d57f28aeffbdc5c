"""Recipes with an encoder from files, bound to what their names say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navforge.models.encoders.configs import VisionConfig
from navforge.models.heads.configs import GruHeadConfig, HydraMdpConfig, MlpHeadConfig, QueriesHeadConfig
from navforge.training.recipes.catalog import recipe
from navforge.training.recipes.vision import VISION_RECIPES

WEIGHTS = {
    "ijepa": ("facebook/ijepa_vith14_1k", 224),
    "dinov3": ("facebook/dinov3-vitl16-pretrain-lvd1689m", 224),
    "vjepa2": ("facebook/vjepa2-vitl-fpc64-256", 256),
    "vit_tiny": (None, 64),
}
HEADS = {"mlp": MlpHeadConfig, "queries": QueriesHeadConfig, "gru": GruHeadConfig, "hydra": HydraMdpConfig}


@pytest.mark.parametrize("found", VISION_RECIPES, ids=lambda found: found.name)
def test_a_name_says_encoder_and_head(found) -> None:
    (family,) = [word for word in WEIGHTS if found.name.startswith(f"{word}_")]
    words = found.name.removeprefix(f"{family}_").split("_")
    encoder, head = found.planner.encoder, found.planner.head
    assert isinstance(encoder, VisionConfig) and type(head) is HEADS[words[0]]
    assert (encoder.weights, encoder.height) == WEIGHTS[family]
    assert encoder.width == encoder.height and encoder.is_frozen
    assert encoder.cameras is not None and encoder.cameras.names == ("CAM_F0",) and encoder.cameras.crop_rows == 0
    assert encoder.tokens == ("mean" if words[0] in ("mlp", "gru") else "all")
    assert recipe(found.name) is found


@pytest.mark.parametrize("name", ("ijepa_mlp", "ijepa_queries", "ijepa_gru", "dinov3_mlp", "vjepa2_mlp"))
def test_training_is_the_published_one(name: str) -> None:
    train = recipe(name).train
    assert (train.learning_rate, train.weight_decay, train.batch_size) == (1e-4, 0.0, 32)
    assert (train.schedule, train.precision, train.clip_gradient) == ("constant", "32-true", 0.0)


@pytest.mark.parametrize(("history", "parameters"), ((1, 469_272), (4, 475_416)))
def test_the_mlp_is_the_one_of_the_thesis(history: int, parameters: int) -> None:
    head = replace(recipe("ijepa_mlp").planner.head, status_history=history)
    built = head.build(1280, None)
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters


def test_the_tiny_vit_is_small() -> None:
    planner = recipe("vit_tiny_mlp").planner.build()
    assert 0.5e6 < sum(parameter.numel() for parameter in planner.encoder.parameters()) < 1e6

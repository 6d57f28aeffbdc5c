"""Planner configs: names against vocabularies, heads against factors, timm networks and their weight files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from navforge.core.errors import ConfigError, DataError
from navforge.models.encoders.configs import EgoStatusConfig, TimmCameraConfig
from navforge.models.heads.configs import HydraMdpConfig, MlpHeadConfig
from navforge.models.heads.weights import DRIVESUPRIM_V2, HYDRA_LOSS, InferenceWeights
from navforge.models.panorama import PanoramaConfig
from navforge.models.planner_config import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.vocabulary.vocabulary import Vocabulary

SMALL_HEAD = HydraMdpConfig(width=16, attention_heads=2, feed_forward=16, decoder_layers=1)


def vocabulary_of(size: int) -> Vocabulary:
    return Vocabulary(np.random.default_rng(0).normal(size=(size, 40, 3)).astype(np.float32))


@pytest.mark.parametrize(("name", "size"), [("hydra_mdp_v8192_w_ep", 8192), ("x_v256", 256), ("net_v2", None)])
def test_size_stated_by_a_name(name: str, size: int | None) -> None:
    assert PlannerConfig(name=name, encoder=EgoStatusConfig(), head=SMALL_HEAD).stated_vocabulary_size == size


def test_name_must_match_the_vocabulary() -> None:
    config = PlannerConfig(name="hydra_v20", encoder=EgoStatusConfig(), head=SMALL_HEAD)
    config.build(vocabulary_of(20))
    with pytest.raises(ConfigError, match="says 20 vocabulary entries, the vocabulary given has 21"):
        config.build(vocabulary_of(21))


def test_vocabulary_is_required_where_it_is_needed() -> None:
    with pytest.raises(ConfigError, match="vocabulary=FILE"):
        PlannerConfig(name="hydra", encoder=EgoStatusConfig(), head=SMALL_HEAD).build()
    PlannerConfig(name="mlp", encoder=EgoStatusConfig(), head=MlpHeadConfig()).build()


def test_ego_mlp_has_the_published_layers() -> None:
    planner = PlannerConfig(name="ego_mlp", encoder=EgoStatusConfig(), head=MlpHeadConfig()).build()
    shapes = [tuple(p.shape) for n, p in planner.named_parameters() if n.endswith("weight")]
    assert shapes == [(512, 8), (512, 512), (512, 512), (24, 512)]


def test_plan_is_the_entry_of_highest_value() -> None:
    config = PlannerConfig(name="any", encoder=EgoStatusConfig(), head=SMALL_HEAD)
    planner = config.build(vocabulary_of(7)).eval()
    plan = planner.plan({"status": torch.randn(4, 8)})
    assert plan.scores is not None and plan.chosen is not None
    assert torch.equal(plan.chosen, plan.scores.argmax(dim=1))
    assert torch.equal(plan.trajectories, planner.get_buffer("head.vocabulary")[plan.chosen])
    assert plan.interval_s == 0.1


def test_heads_follow_the_protocol() -> None:
    v1, v2 = replace(SMALL_HEAD, protocol="pdms_v1"), SMALL_HEAD
    assert "comfort" in v1.teacher_columns and "history_comfort" not in v1.teacher_columns
    assert "lane_keeping" in v2.teacher_columns and "two_frame_extended_comfort" not in v2.teacher_columns
    assert tuple(v2.build(16, vocabulary_of(4)).sub_scores) == v2.teacher_columns


def test_untaught_sub_scores_have_no_head() -> None:
    loss = replace(HYDRA_LOSS, history_comfort=0.0)
    with pytest.raises(ConfigError, match="history_comfort"):
        replace(SMALL_HEAD, loss=loss)
    config = replace(SMALL_HEAD, loss=loss, inference=replace(DRIVESUPRIM_V2, history_comfort=0.0))
    assert "history_comfort" not in config.build(16, vocabulary_of(4)).sub_scores


def test_choosing_by_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no entry can be chosen"):
        replace(SMALL_HEAD, inference=InferenceWeights(imitation=0.0))


def test_widths_must_divide() -> None:
    with pytest.raises(ConfigError, match="attention_heads=3"):
        replace(SMALL_HEAD, attention_heads=3)


def test_unknown_kind_and_key_are_refused() -> None:
    values = planner_to_dict(PlannerConfig(name="any", encoder=EgoStatusConfig(), head=SMALL_HEAD))
    with pytest.raises(ConfigError, match="unknown kind 'lidar'"):
        planner_from_dict({**values, "encoder": {"kind": "lidar"}})
    with pytest.raises(ConfigError, match="unknown key"):
        planner_from_dict({**values, "head": {**values["head"], "colour": 1}})


def tiny_camera(**changes: object) -> TimmCameraConfig:
    base = TimmCameraConfig(
        network="resnet10t", panorama=PanoramaConfig(height=32, width=64), token_rows=1, token_columns=2, channels=8
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_unknown_network_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="resnet_nope"):
        tiny_camera(network="resnet_nope").build()


def test_widths_on_a_network_without_them_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="mobilenetv3_small_050"):
        tiny_camera(network="mobilenetv3_small_050", stage_widths=(8, 8, 8, 8)).build()


def test_vision_transformer_takes_the_panorama_size() -> None:
    encoder = tiny_camera(network="vit_tiny_patch16_224").build()
    tokens = encoder({"panorama": torch.zeros(1, 3, 32, 64, dtype=torch.uint8)}).tokens
    assert tokens.shape == (1, 2, 8)


def test_weights_are_loaded_from_a_file(tmp_path: Path) -> None:
    import timm  # noqa: PLC0415

    source = timm.create_model("resnet10t", stem_width=8, channels=(8, 8, 8, 8))
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    config = tiny_camera(stem_width=8, stage_widths=(8, 8, 8, 8), weights=tmp_path / "weights.pth")
    state = source.state_dict()
    loaded = config.build().network.state_dict()
    assert loaded and all(torch.equal(state[name], value) for name, value in loaded.items())
    fresh = config.build(pretrained=False).network.state_dict()
    assert not all(torch.equal(state[name], value) for name, value in fresh.items())


def test_weights_that_do_not_fit_or_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        tiny_camera(weights=tmp_path / "none.pth").build()
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="do not fit"):
        tiny_camera(weights=tmp_path / "other.pth").build()

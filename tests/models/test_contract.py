"""Every encoder and head, under one contract: shapes, gradients, overfitting one batch, configs to dict and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from navforge.core.errors import ConfigError
from navforge.models.contract import STATUS_SIZE, EncoderConfig, HeadConfig, HeadInput, Inputs, Targets
from navforge.models.encoders.configs import ENCODERS, TimmCameraConfig, TransfuserConfig, VisionConfig
from navforge.models.heads.configs import (
    HEADS,
    GruHeadConfig,
    HydraMdpConfig,
    MlpHeadConfig,
    QueriesHeadConfig,
    TransfuserHeadConfig,
)
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import PanoramaConfig
from navforge.models.perception import PerceptionConfig
from navforge.models.planner_config import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.vocabulary.vocabulary import Vocabulary

BATCH = 3
HISTORY = 4
"""Frames of ego status, for the heads that read more than one."""
ENTRIES = 12

SMALL = {
    TimmCameraConfig: TimmCameraConfig(
        network="resnet10t",
        panorama=PanoramaConfig(height=32, width=96),
        stem_width=8,
        stage_widths=(8, 8, 16, 16),
        token_rows=2,
        token_columns=3,
        channels=16,
    ),
    TransfuserConfig: TransfuserConfig(
        panorama=PanoramaConfig(height=32, width=96),
        histogram=HistogramConfig(pixels_per_metre=1),
        network="resnet10t",
        stem_width=8,
        stage_widths=(8, 8, 16, 16),
        fusion_layers=1,
        fusion_heads=2,
        dropout=0.0,
        channels=16,
        bev_channels=8,
    ),
    VisionConfig: VisionConfig(
        network="ijepa",
        architecture='{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, '
        '"qkv_bias": false, "image_size": 32}',
        view="panorama",
        height=32,
        width=96,
        tune="full",
    ),
    HydraMdpConfig: HydraMdpConfig(width=16, attention_heads=2, feed_forward=32, decoder_layers=2, standardise=True),
    MlpHeadConfig: MlpHeadConfig(hidden=32, layers=2, append_status=True, layer_norm=True),
    QueriesHeadConfig: QueriesHeadConfig(
        width=32, attention_heads=2, feed_forward=32, decoder_layers=1, status_history=HISTORY
    ),
    GruHeadConfig: GruHeadConfig(hidden=32, status_history=HISTORY, acceleration_penalty=1e-3, jerk_penalty=1e-3),
    TransfuserHeadConfig: TransfuserHeadConfig(attention_heads=2, feed_forward=32, decoder_layers=1),
}


def small(cls: type) -> EncoderConfig | HeadConfig:
    return SMALL.get(cls) or cls()


def planner_of(encoder_class: type[EncoderConfig], head_class: type[HeadConfig]) -> PlannerConfig:
    """A planner of both, bird's-eye-view features made and read by both or by none."""
    encoder, head = small(encoder_class), small(head_class)
    assert isinstance(encoder, EncoderConfig) and isinstance(head, HeadConfig)
    makes, reads = hasattr(encoder, "bev_channels"), isinstance(head, TransfuserHeadConfig)
    if makes and not reads:
        encoder = replace(encoder, bev_channels=0)  # type: ignore[call-arg]
    if reads and not makes:
        head = replace(head, perception=PerceptionConfig(bev_semantics=False))  # type: ignore[call-arg]
    return PlannerConfig(name="any", encoder=encoder, head=head)


def some_vocabulary() -> Vocabulary:
    steps = np.arange(1, 41) / 10
    poses = np.zeros((ENTRIES, 40, 3), np.float32)
    poses[..., 0] = np.linspace(0, 14, ENTRIES)[:, None] * steps
    return Vocabulary(poses)


def some_inputs() -> Inputs:
    generator = torch.Generator().manual_seed(0)
    return {
        "status": torch.randn(BATCH, STATUS_SIZE, generator=generator),
        "status_history": torch.randn(BATCH, HISTORY, STATUS_SIZE, generator=generator),
        "panorama": torch.randint(0, 256, (BATCH, 3, 32, 96), dtype=torch.uint8, generator=generator),
        "lidar": torch.rand(BATCH, 1, 64, 64, generator=generator),
    }


def some_targets(head: HeadConfig) -> Targets:
    generator = torch.Generator().manual_seed(1)
    human = torch.from_numpy(some_vocabulary().plans[[2, 5, 9]].copy())
    columns = {name: torch.rand(BATCH, ENTRIES, generator=generator).round() for name in head.teacher_columns}
    agents = torch.zeros(BATCH, 30, 5)
    agents[:, :2] = torch.tensor([[5.0, 1.0, 0.0, 4.0, 2.0], [-9.0, -3.0, 1.0, 5.0, 2.0]])
    semantics = torch.arange(7).repeat_interleave(37)[:256].expand(BATCH, 128, 256)
    return Targets(human, columns, agents, agents[..., 3] > 0, semantics)


@pytest.mark.parametrize("cls", ENCODERS, ids=lambda c: c.kind)
def test_encoder_makes_tokens_of_its_width(cls: type[EncoderConfig]) -> None:
    encoder = small(cls).build()
    features = encoder(some_inputs())
    tokens, bev = features.tokens, features.bev
    assert tokens.ndim == 3 and tokens.shape[0] == BATCH and tokens.shape[2] == encoder.channels
    assert tokens.isfinite().all()
    assert (0 if bev is None else bev.shape[1]) == encoder.bev_channels


@pytest.mark.parametrize("cls", ENCODERS, ids=lambda c: c.kind)
def test_encoder_reads_only_what_its_config_asks_for(cls: type[EncoderConfig]) -> None:
    config = small(cls)
    assert isinstance(config, EncoderConfig)
    asked = {"status"} | ({"panorama"} if config.cameras else set()) | ({"lidar"} if config.lidar else set())
    config.build()({name: value for name, value in some_inputs().items() if name in asked})


def test_features_nobody_reads_are_refused() -> None:
    encoder = small(TransfuserConfig)
    with pytest.raises(ConfigError, match=r"bev_channels: the mlp head of any does not read"):
        PlannerConfig(name="any", encoder=encoder, head=small(MlpHeadConfig)).build()


@pytest.mark.parametrize("cls", HEADS, ids=lambda c: c.kind)
def test_head_plans_and_has_losses(cls: type[HeadConfig]) -> None:
    config = small(cls)
    head = config.build(16, some_vocabulary(), bev_channels=8).eval()
    history = some_inputs()["status_history"] if config.status_frames > 1 else None
    bev = torch.randn(BATCH, 8, 4, 4)
    output = head(HeadInput(torch.randn(BATCH, 6, 16), torch.randn(BATCH, STATUS_SIZE), bev, history))
    plan = head.plan(output)
    assert plan.trajectories.shape[0] == BATCH and plan.trajectories.shape[2] == 3
    assert plan.trajectories.shape[1] * plan.interval_s == pytest.approx(4.0)
    losses = head.loss(output, some_targets(config))
    terms = [value for name, value in losses.items() if name != "total"]
    assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
    assert losses["total"].item() == pytest.approx(sum(t.item() for t in terms), rel=1e-5)


@pytest.mark.parametrize("head", HEADS, ids=lambda c: c.kind)
@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda c: c.kind)
def test_gradients_reach_every_parameter(encoder: type[EncoderConfig], head: type[HeadConfig]) -> None:
    torch.manual_seed(0)
    planner = planner_of(encoder, head).build(some_vocabulary())
    with torch.no_grad():  # ResNets start with residual branches switched off by zeros
        for parameter in planner.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    planner.loss(planner(some_inputs()), some_targets(planner.config.head))["total"].backward()
    without = [name for name, p in planner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A constant added to every imitation logit changes nothing: its gradient is rounding or nought.
    assert not [name for name in without if name != "head.imitation.4.bias"]


@pytest.mark.parametrize("head", HEADS, ids=lambda c: c.kind)
@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda c: c.kind)
def test_one_batch_overfits(encoder: type[EncoderConfig], head: type[HeadConfig]) -> None:
    torch.manual_seed(0)
    planner = planner_of(encoder, head).build(some_vocabulary())
    inputs, targets = some_inputs(), some_targets(planner.config.head)
    optimiser = torch.optim.Adam(planner.parameters(), lr=3e-3)
    first = last = float("inf")
    for step in range(400):
        loss = planner.loss(planner(inputs), targets)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = loss.item()
        first = last if step == 0 else first
        if last < 0.35 * first:
            break
    assert last < 0.35 * first


@pytest.mark.parametrize("head", HEADS, ids=lambda c: c.kind)
@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda c: c.kind)
def test_config_survives_plain_values(encoder: type[EncoderConfig], head: type[HeadConfig]) -> None:
    config = planner_of(encoder, head)
    assert planner_from_dict(planner_to_dict(config)) == config


@pytest.mark.parametrize("cls", HEADS, ids=lambda c: c.kind)
def test_plans_do_not_depend_on_the_rest_of_the_batch(cls: type[HeadConfig]) -> None:
    planner = planner_of(TimmCameraConfig, cls).build(some_vocabulary())
    planner.eval()
    inputs = some_inputs()
    together = planner.plan(inputs).trajectories
    alone = planner.plan({name: value[1:2] for name, value in inputs.items()}).trajectories
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_uint8_and_float_panoramas_are_the_same_input() -> None:
    encoder = small(TimmCameraConfig).build().eval()
    inputs = some_inputs()
    as_float = {**inputs, "panorama": inputs["panorama"].float() / 255}
    assert torch.equal(encoder(inputs).tokens, encoder(as_float).tokens)


def test_without_cameras_blind_planners_ask_for_none() -> None:
    blind = PlannerConfig(name="any", encoder=small(ENCODERS[0]), head=small(MlpHeadConfig))
    assert blind.panorama is None
    seeing = replace(blind, encoder=SMALL[TimmCameraConfig])
    assert seeing.panorama == SMALL[TimmCameraConfig].panorama

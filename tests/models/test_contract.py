"""Every encoder and head, under one contract: shapes, gradients, overfitting one batch, configs to dict and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from navforge.models.contract import STATUS_SIZE, EncoderConfig, HeadConfig, HeadInput, Inputs, Targets
from navforge.models.encoders import ENCODERS
from navforge.models.encoders.timm_camera import TimmCameraConfig
from navforge.models.heads import HEADS
from navforge.models.heads.hydra_mdp import HydraMdpConfig
from navforge.models.heads.mlp import MlpHeadConfig
from navforge.models.panorama import PanoramaConfig
from navforge.models.planner import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.vocabulary.vocabulary import Vocabulary

BATCH = 3
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
    HydraMdpConfig: HydraMdpConfig(width=16, attention_heads=2, feed_forward=32, decoder_layers=2, standardise=True),
    MlpHeadConfig: MlpHeadConfig(hidden=32, layers=2, append_status=True),
}


def small(cls: type) -> EncoderConfig | HeadConfig:
    return SMALL.get(cls) or cls()


def some_vocabulary() -> Vocabulary:
    steps = np.arange(1, 41) / 10
    poses = np.zeros((ENTRIES, 40, 3), np.float32)
    poses[..., 0] = np.linspace(0, 14, ENTRIES)[:, None] * steps
    return Vocabulary(poses)


def some_inputs() -> Inputs:
    generator = torch.Generator().manual_seed(0)
    return {
        "status": torch.randn(BATCH, STATUS_SIZE, generator=generator),
        "panorama": torch.randint(0, 256, (BATCH, 3, 32, 96), dtype=torch.uint8, generator=generator),
    }


def some_targets(head: HeadConfig) -> Targets:
    generator = torch.Generator().manual_seed(1)
    human = torch.from_numpy(some_vocabulary().plans[[2, 5, 9]].copy())
    columns = {name: torch.rand(BATCH, ENTRIES, generator=generator).round() for name in head.teacher_columns}
    return Targets(human, columns)


@pytest.mark.parametrize("cls", ENCODERS, ids=lambda c: c.kind)
def test_encoder_makes_tokens_of_its_width(cls: type[EncoderConfig]) -> None:
    encoder = small(cls).build()
    tokens = encoder(some_inputs()).tokens
    assert tokens.ndim == 3 and tokens.shape[0] == BATCH and tokens.shape[2] == encoder.channels
    assert tokens.isfinite().all()


@pytest.mark.parametrize("cls", HEADS, ids=lambda c: c.kind)
def test_head_plans_and_has_losses(cls: type[HeadConfig]) -> None:
    config = small(cls)
    head = config.build(16, some_vocabulary()).eval()
    output = head(HeadInput(torch.randn(BATCH, 6, 16), torch.randn(BATCH, STATUS_SIZE)))
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
    planner = PlannerConfig(name="any", encoder=small(encoder), head=small(head)).build(some_vocabulary())
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
    planner = PlannerConfig(name="any", encoder=small(encoder), head=small(head)).build(some_vocabulary())
    inputs, targets = some_inputs(), some_targets(planner.config.head)
    optimiser = torch.optim.Adam(planner.parameters(), lr=3e-3)
    first = last = 0.0
    for step in range(100):
        losses = planner.loss(planner(inputs), targets)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        last = losses["total"].item()
        first = first or last
    assert last < 0.35 * first


@pytest.mark.parametrize("head", HEADS, ids=lambda c: c.kind)
@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda c: c.kind)
def test_config_survives_plain_values(encoder: type[EncoderConfig], head: type[HeadConfig]) -> None:
    config = PlannerConfig(name="any", encoder=small(encoder), head=small(head))
    assert planner_from_dict(planner_to_dict(config)) == config


@pytest.mark.parametrize("cls", HEADS, ids=lambda c: c.kind)
def test_plans_do_not_depend_on_the_rest_of_the_batch(cls: type[HeadConfig]) -> None:
    planner = PlannerConfig(name="any", encoder=small(TimmCameraConfig), head=small(cls)).build(some_vocabulary())
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

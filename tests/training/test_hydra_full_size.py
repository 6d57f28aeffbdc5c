"""Hydra-MDP at full size: 8192 entries, whole networks, one training step of one scene.

Shapes are those of the full panorama. Numbers of the two largest networks are computed on a smaller one, which changes
no layer: on the full one a step takes minutes of a CPU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from navforge.models.contract import Inputs, Targets
from navforge.models.encoders.configs import TimmCameraConfig
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.vocabulary import Vocabulary

ENTRIES = 8192
NAMES = ("hydra_mdp_v8192_w_ep", "hydra_mdp_v8192_w_ep_v2_99", "hydra_mdp_v8192_w_ep_vit_l")


def some_vocabulary() -> Vocabulary:
    """Constant speeds and curvatures."""
    rng = np.random.default_rng(0)
    time = np.arange(1, 41) / 10
    speed, bend = rng.uniform(0, 15, (ENTRIES, 1)), rng.normal(0, 0.02, (ENTRIES, 1))
    heading = speed * bend * time
    steps = speed * 0.1
    poses = np.stack([np.cumsum(steps * np.cos(heading), 1), np.cumsum(steps * np.sin(heading), 1), heading], axis=-1)
    return Vocabulary(poses.astype(np.float32))


def some_inputs(planner: PlannerConfig) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    inputs = {"status": torch.randn(1, 8, generator=generator)}
    if planner.panorama is not None:
        size = (1, 3, planner.panorama.height, planner.panorama.width)
        inputs["panorama"] = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    if planner.lidar is not None:
        inputs["lidar"] = torch.rand(1, *planner.lidar.shape, generator=generator)
    return inputs


def some_targets(planner: PlannerConfig, vocabulary: Vocabulary) -> Targets:
    generator = torch.Generator().manual_seed(1)
    teacher = {name: torch.rand(1, ENTRIES, generator=generator).round() for name in planner.head.teacher_columns}
    human = torch.from_numpy(vocabulary.plans[:1].copy())
    if not planner.auxiliary_targets:
        return Targets(human, teacher)
    boxes, labels = torch.zeros(1, 30, 5), torch.zeros(1, 30, dtype=torch.bool)
    boxes[0, 0], labels[0, 0] = torch.tensor([8.0, 1, 0, 4, 2]), True
    return Targets(human, teacher, boxes, labels, torch.randint(0, 7, (1, 128, 256), generator=generator))


class Total(nn.Module):
    """The loss of a planner, as a function of its parameters (`functional_call`)."""

    def __init__(self, planner: Planner) -> None:
        super().__init__()
        self.planner = planner

    def forward(self, inputs: Inputs, targets: Targets) -> Tensor:
        return self.planner.loss(self.planner(inputs), targets)["total"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[1:])
def test_shapes_of_a_step_on_the_full_panorama(name: str) -> None:
    config, vocabulary = recipe(name).planner, some_vocabulary()
    total = Total(config.build(vocabulary))
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    shapes: dict[str, Any] = {n: mode.from_tensor(p) for n, p in total.named_parameters()}
    with mode:
        loss = functional_call(total, shapes, (some_inputs(config), some_targets(config, vocabulary)))
        loss.backward()
    assert loss.shape == () and [n for n, p in shapes.items() if p.grad is None or p.grad.shape != p.shape] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_step(name: str) -> None:
    torch.manual_seed(0)
    config, vocabulary = recipe(name).planner, some_vocabulary()
    if isinstance(config.encoder, TimmCameraConfig):
        smaller = replace(config.encoder.panorama, height=128, width=512)
        config = replace(config, encoder=replace(config.encoder, panorama=smaller))
    planner = config.build(vocabulary)
    with torch.no_grad():  # ResNets and transformers start with branches switched off
        for parameter in planner.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
    losses = planner.loss(planner(some_inputs(config)), some_targets(config, vocabulary))
    losses["total"].backward()
    dead = [n for n, p in planner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a constant added to every imitation logit changes nothing
    assert [n for n in dead if n != "head.imitation.4.bias"] == []
    before = planner.head.get_parameter("imitation.0.weight").detach().clone()
    torch.optim.SGD(planner.parameters(), lr=1e-4).step()
    assert not torch.equal(before, planner.head.get_parameter("imitation.0.weight"))
    assert all(value.isfinite() for value in losses.values())
    assert all(p.isfinite().all() for p in planner.parameters())

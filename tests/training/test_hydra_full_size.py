"""Hydra-MDP at full size: 8192 entries, full panoramas, one training step of one scene."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from navforge.models.contract import Inputs, Targets
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.vocabulary import Vocabulary

ENTRIES = 8192


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["hydra_mdp_v8192_w_ep", "hydra_mdp_v8192_w_ep_v2_99", "hydra_mdp_v8192_w_ep_vit_l"],
)
def test_one_step_at_full_size(name: str) -> None:
    torch.manual_seed(0)
    config, vocabulary = recipe(name).planner, some_vocabulary()
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

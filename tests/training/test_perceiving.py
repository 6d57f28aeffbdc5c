"""TransFuser and LTF learn town at reduced size: plan, boxes and ground fall together on a batch of real targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.inputs.dataset import SceneDataset, collate
from navforge.models.contract import Targets
from navforge.models.perception import LTF_VIEW_ANGLE, PerceptionConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe

BATCH = 4
TINY = recipe("transfuser_tiny").planner


def planner_config(latent: bool) -> PlannerConfig:
    encoder = replace(TINY.encoder, latent=latent)  # type: ignore[call-arg]
    view_angle = LTF_VIEW_ANGLE if latent else torch.pi
    head = replace(TINY.head, perception=PerceptionConfig(view_angle=view_angle))  # type: ignore[call-arg]
    return replace(TINY, name="ltf_tiny" if latent else "transfuser_tiny", encoder=encoder, head=head)


@pytest.mark.parametrize("latent", [False, True], ids=["transfuser", "ltf"])
def test_one_batch_of_town_is_learned(latent: bool, tiny_town: Path) -> None:
    torch.manual_seed(0)
    config = planner_config(latent)
    data = DataConfig(logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps")
    dataset = SceneDataset(load_split("train", data), config, data, keep_inputs=False)
    batch = collate([dataset[index] for index in range(0, len(dataset), len(dataset) // BATCH)][:BATCH])
    assert ("lidar" in batch["inputs"]) is not latent
    targets = Targets(batch["human_poses"], {}, batch["agents"], batch["agent_labels"], batch["bev_semantics"])
    assert targets.agent_labels is not None and targets.agent_labels.any(), "no vehicle in the batch"
    planner = config.build()
    with torch.no_grad():  # ResNets start with residual branches switched off by zeros
        for parameter in planner.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
    optimiser = torch.optim.Adam(planner.parameters(), lr=2e-3)
    first: dict[str, float] = {}
    shares: dict[str, float] = {}
    for step in range(60):
        losses = planner.loss(planner(batch["inputs"]), targets)
        optimiser.zero_grad()
        losses["total"].backward()
        if step == 0:
            dead = [name for name, p in planner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert not dead
            first = {term: value.item() for term, value in losses.items()}
        optimiser.step()
        shares = {term: value.item() / first[term] for term, value in losses.items()}
        if learned(shares):
            break
    assert learned(shares), shares


def learned(shares: dict[str, float]) -> bool:
    """Whether every term is down to its bound, as a share of what it was."""
    bounds = {"total": 0.35, "trajectory": 0.6, "agent_class": 0.6, "bev_semantics": 0.6, "agent_box": 0.8}
    return all(shares[term] < bound for term, bound in bounds.items())

"""Hydra-MDP with TransFuser's trunk learns a tiny town: imitation, teacher, boxes and ground fall together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.inputs.dataset import SceneDataset, collate
from navforge.models.contract import Targets
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.harvest import human_trajectories
from navforge.vocabulary.vocabulary import Vocabulary

BATCH = 4
AUXILIARIES = ("agent_class", "agent_box", "bev_semantics")


def reduced(name: str) -> PlannerConfig:
    """The recipe with the encoder of the small TransFuser and a small head."""
    head = recipe(name).planner.head
    assert isinstance(head, HydraMdpConfig)
    small = replace(head, width=64, attention_heads=4, feed_forward=64, decoder_layers=1, standardise=True)
    return PlannerConfig(name=name.replace("8192", "32"), encoder=recipe("transfuser_tiny").planner.encoder, head=small)


@pytest.mark.parametrize("name", ["hydra_mdp_v8192_w_ep", "hydra_mdp_v8192_pdm"])
def test_one_batch_of_town_is_learned(name: str, tiny_town: Path) -> None:
    torch.manual_seed(0)
    config = reduced(name)
    data = DataConfig(logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps")
    split = load_split("train", data)
    driven = human_trajectories(split, data, workers=1)
    vocabulary = Vocabulary(driven[np.linspace(0, len(driven) - 1, 32).astype(int)])
    dataset = SceneDataset(split, config, data, keep_inputs=False)
    batch = collate([dataset[index] for index in range(0, len(dataset), len(dataset) // BATCH)][:BATCH])
    far = torch.from_numpy(vocabulary.plans[:, -1, 0]).clamp(0, 20).expand(BATCH, 32) / 20  # alike in every scene
    teacher = {
        column: far if column == "ego_progress" else (far > 0.3).float() for column in config.head.teacher_columns
    }
    targets = Targets(batch["human_poses"], teacher, batch["agents"], batch["agent_labels"], batch["bev_semantics"])
    planner = config.build(vocabulary)
    with torch.no_grad():  # ResNets start with residual branches switched off by zeros
        for parameter in planner.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
    optimiser = torch.optim.Adam(planner.parameters(), lr=2e-3)
    first: dict[str, float] = {}
    shares: dict[str, float] = {}
    for step in range(150):
        losses = planner.loss(planner(batch["inputs"]), targets)
        optimiser.zero_grad()
        losses["total"].backward()
        if step == 0:
            dead = [n for n, p in planner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert [n for n in dead if n != "head.imitation.4.bias"] == []
            first = {term: value.item() for term, value in losses.items()}
        optimiser.step()
        shares = {term: value.item() / first[term] for term, value in losses.items()}
        if learned(shares):
            break
    distilled = {"overall_score"} if name.endswith("pdm") else set(config.head.teacher_columns)
    assert set(first) == {"total", "imitation", *distilled, *AUXILIARIES}
    assert learned(shares), shares


def learned(shares: dict[str, float]) -> bool:
    """Whether every term fell; those that cannot reach 0, soft targets' cross-entropies and boxes, less far."""
    return all(
        share < (0.9 if term in ("imitation", "ego_progress", "agent_box") else 0.7) for term, share in shares.items()
    )

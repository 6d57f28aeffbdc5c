"""What training computes, in numbers: a change of losses, gradients or weights does not pass unnoticed.

`golden.json` holds losses, gradient norms and weights of a few steps. Where a change of them is meant, write the file
anew with `WRITE_GOLDEN=1 pytest -n0 tests/training/test_golden.py`, and give the reason in the commit message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import seed_everything

from navforge.models.contract import AGENTS, BEV_SEMANTICS
from navforge.models.perception import BEV_CLASSES, BEV_SHAPE, MOST_AGENTS
from navforge.models.planner_config import PlannerConfig
from navforge.teacher.store import SCORE
from navforge.training.config import AugmentConfig
from navforge.training.loop.curves import read_curves
from navforge.training.loop.module import PlannerModule
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import alone
from navforge.training.ranks.strategy import fabric_of, wrap
from navforge.training.recipes.catalog import recipe
from navforge.training.run import train
from navforge.training.run_config import RunConfig
from navforge.vocabulary.vocabulary import Vocabulary

GOLDEN = Path(__file__).parent / "golden.json"
STEPS = 3
SCENES = 2
ENTRIES = 16
CHOSEN = ("score", "oracle")
"""Values of entries that are chosen: between two of nearly equal confidence, rounding decides."""
TOLERANCES = {"ego_mlp": 1e-5, "transfuser_tiny": 2e-5, "hydra_mdp_tiny": 2e-3, "run": 2e-5}
"""Relative. Other kernels of torch (ATEN_CPU_CAPABILITY=default), convolutions without oneDNN, and two threads change
numbers by up to 1e-6, 2e-6, 5e-4 and 3e-6: Adam makes whole steps of gradients that are nothing but rounding."""
AUGMENT = AugmentConfig(brightness=0.1, contrast=0.1, saturation=0.1, noise=0.01, status_dropout=0.5)


def vocabulary() -> Vocabulary:
    poses = np.zeros((ENTRIES, 40, 3), np.float32)
    poses[..., 0] = np.linspace(0, 12, ENTRIES)[:, None] * np.arange(1, 41) / 10
    return Vocabulary(poses)


def batch_of(planner: PlannerConfig) -> dict[str, Any]:
    """Scenes whose every number is drawn."""
    random = np.random.Generator(np.random.PCG64(1))

    def uniform(*shape: int) -> torch.Tensor:
        return torch.from_numpy(random.random((SCENES, *shape), np.float32))

    def whole(high: int, *shape: int) -> torch.Tensor:
        return torch.from_numpy(random.integers(0, high, (SCENES, *shape), np.uint8))

    inputs = {"status": uniform(8)}
    if planner.panorama is not None:
        inputs["panorama"] = whole(256, *planner.panorama.shape)
    if planner.lidar is not None:
        inputs["lidar"] = uniform(*planner.lidar.shape)
    batch = {"inputs": inputs, "human_poses": uniform(8, 3).cumsum(1), "token": ["a", "b"], "teacher": {}}
    if AGENTS in planner.auxiliary_targets:
        labels = torch.arange(MOST_AGENTS) < 2  # of many boxes, rounding decides which query is nearest to which
        batch |= {"agents": uniform(MOST_AGENTS, 5) * 10, "agent_labels": labels.expand(SCENES, -1)}
    if BEV_SEMANTICS in planner.auxiliary_targets:
        batch["bev_semantics"] = whole(len(BEV_CLASSES), *BEV_SHAPE)
    if columns := planner.head.teacher_columns:
        batch["teacher"] = {name: uniform(ENTRIES) for name in (*columns, SCORE)}
    return batch


def weights_of(state: dict[str, torch.Tensor]) -> dict[str, float]:
    """Sum of squares of all numbers of the encoder, and of the head."""
    return {
        part: sum(float(value.double().square().sum()) for name, value in state.items() if f"{part}." in name)
        for part in ("encoder", "head")
    }


def steps_of(name: str) -> dict[str, Any]:
    """Loss terms and gradients of steps of a recipe's planner, and how far its matrices have moved."""
    torch.set_num_threads(1)
    chosen = recipe(name)
    config = replace(chosen.train, accelerator="cpu")
    fabric = fabric_of(config, alone())
    seed_everything(config.seed, verbose=False)
    planner = chosen.planner.build(vocabulary() if chosen.planner.head.needs_vocabulary else None)
    began = {name: value.detach().clone() for name, value in planner.named_parameters() if value.ndim > 1}
    learner = PlannerModule(planner, AUGMENT)
    wrapped = wrap(fabric, learner)
    optimiser = learner.optimiser(config)
    stepper = Stepper(fabric, wrapped, optimiser, learner.schedule(optimiser, config, STEPS), config, Ranks(0, 1))
    batch, losses, norms = batch_of(chosen.planner), [], []
    for step in range(STEPS):
        values = stepper.round(batch, number=0, step=step)
        losses.append({name: float(value) for name, value in values.items() if name not in CHOSEN})
        norms.append(stepper.finish(epoch=0, step=step).norm)
    now = dict(planner.named_parameters())
    moved = {name: now[name].detach() - value for name, value in began.items()}
    return {"losses": losses, "norms": norms, "began": weights_of(began), "moved": weights_of(moved)}


def run_of(config: RunConfig) -> dict[str, Any]:
    """A whole run: order of scenes, augmentation, schedule, validation."""
    last = train(config).parent / "last.ckpt"
    steps, epochs = (read_curves(config.out / name) for name in ("steps.csv", "epochs.csv"))
    weights = torch.load(last, weights_only=True)["state_dict"]
    return {
        "steps": [{name: float(row[name]) for name in ("loss", "gradient_norm", "learning_rate")} for row in steps],
        "epochs": [{name: float(row[name]) for name in ("train/loss", "val/loss")} for row in epochs],
        "weights": weights_of(weights),
    }


def numbers_of(value: Any, where: str = "") -> dict[str, float]:
    """Every number of nested plain values, by where it stands."""
    if isinstance(value, int | float):
        return {where: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {name: number for key, item in items for name, number in numbers_of(item, f"{where}.{key}").items()}


def compare(values: dict[str, Any], name: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps({**golden, name: values}, indent=1) + "\n")
        return
    assert numbers_of(values) == pytest.approx(numbers_of(golden[name]), rel=TOLERANCES[name], abs=0)


@pytest.mark.parametrize("name", ["ego_mlp", "transfuser_tiny", "hydra_mdp_tiny"])
def test_steps_of_a_recipe(name: str) -> None:
    compare(steps_of(name), name)


def test_a_whole_run(make_run: Callable[..., RunConfig]) -> None:
    config = make_run()
    compare(run_of(replace(config, train=replace(config.train, epochs=2))), "run")

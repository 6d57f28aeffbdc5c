"""Planners as agents: the checkpoint's weights, training's input path, the camera switched off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from navforge import agents
from navforge.agents.planner import PlannerAgent
from navforge.core.errors import ConfigError
from navforge.data.paths import DataConfig
from navforge.data.scenes import EgoStatus
from navforge.inputs import read as inputs
from navforge.models import checkpoints
from navforge.models.loading import load_planner
from navforge.models.planner import Planner
from navforge.models.planner_config import planner_to_dict
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.vocabulary import Vocabulary

DATA = DataConfig(logs=None, sensors=None, maps=None)


@dataclass(frozen=True)
class PaintedScene:
    """A scene whose cameras show one colour."""

    token: str
    colour: int

    def ego_status(self, frame: int = -1) -> EgoStatus:
        return EgoStatus(np.array([5, 0], np.float32), np.zeros(2, np.float32), np.array([0, 1, 0, 0]))


SCENES = [PaintedScene("a", 40), PaintedScene("b", 250), PaintedScene("c", 120)]


def saved(path: Path, name: str) -> Path:
    """An untrained planner's checkpoint."""
    torch.manual_seed(0)
    config = recipe(name).planner
    vocabulary = None
    if config.head.needs_vocabulary:
        speeds = np.linspace(0, 15, 12)[:, None] * np.linspace(0.1, 4, 40)
        vocabulary = Vocabulary(np.stack([speeds, 0.1 * speeds, 0.02 * speeds], axis=2).astype(np.float32))
    planner = config.build(vocabulary, pretrained=False)
    state = {checkpoints.PREFIX + key: value for key, value in planner.state_dict().items()}
    facts = {"fingerprints": {"vocabulary": vocabulary.fingerprint if vocabulary else None}}
    about = checkpoints.contents(planner_to_dict(config), facts)
    torch.save({"state_dict": state, checkpoints.KEY: about}, path)
    return path


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Serve painted images; remember who was looked at."""
    seen: list[str] = []

    def read(path: Path) -> np.ndarray:
        token, colour, name = path.name.split()
        seen.append(f"{token} {name}")
        return np.full((90, 160, 3), int(colour), np.uint8)

    monkeypatch.setattr(
        inputs, "camera_path", lambda scene, name, data, frame=-1: Path(f"{scene.token} {scene.colour} {name}")
    )
    monkeypatch.setattr(inputs, "read_camera", read)
    return seen


def values(planner: Planner, scenes: list[PaintedScene], *, blank: bool = False) -> torch.Tensor:
    given = inputs.read_inputs(scenes, planner.config, DATA)  # type: ignore[arg-type]
    if blank:
        given["panorama"] = torch.zeros_like(given["panorama"])
    scores = planner.plan(given).scores
    assert scores is not None
    return scores


def test_plans_are_the_planners_own_in_any_batch(tmp_path: Path, looked: list[str]) -> None:
    path = saved(tmp_path / "h.ckpt", "hydra_mdp_tiny")
    planner = load_planner(path)
    expected = planner.plan(inputs.read_inputs(SCENES, planner.config, DATA)).trajectories.numpy()  # type: ignore[arg-type]
    for batch_size in (1, 2, 8):
        agent = agents.build("hydra_mdp_tiny", path, data=DATA, device="cpu", batch_size=batch_size)
        poses, interval_s = agent.plan(SCENES)  # type: ignore[arg-type]
        assert interval_s == 0.1
        assert poses.dtype == np.float64
        np.testing.assert_array_equal(poses, expected.astype(np.float64))
    assert agent.fingerprint is not None
    assert looked


def test_blanked_camera_is_black_for_the_planner(tmp_path: Path, looked: list[str]) -> None:
    path = saved(tmp_path / "h.ckpt", "hydra_mdp_tiny")
    agent = agents.build("hydra_mdp_tiny", path, data=DATA, device="cpu", blank_camera=True)
    assert isinstance(agent, PlannerAgent)
    assert "blanked" in agent.name
    seeing = load_planner(path)
    torch.testing.assert_close(values(agent.planner, SCENES), values(seeing, SCENES, blank=True))
    assert not torch.allclose(values(agent.planner, SCENES), values(seeing, SCENES))


def test_an_agent_without_cameras_reads_none(tmp_path: Path, looked: list[str]) -> None:
    path = saved(tmp_path / "e.ckpt", "ego_mlp")
    agent = agents.build("ego_mlp", path, data=DATA, device="cpu")
    poses, interval_s = agent.plan(SCENES)  # type: ignore[arg-type]
    assert (poses.shape, interval_s) == ((3, 8, 3), 0.5)
    assert not looked
    with pytest.raises(ConfigError, match="ego_mlp reads no camera"):
        agents.build("ego_mlp", path, data=DATA, device="cpu", blank_camera=True)


def test_the_checkpoint_must_hold_the_named_planner(tmp_path: Path) -> None:
    path = saved(tmp_path / "e.ckpt", "ego_mlp")
    with pytest.raises(ConfigError, match="holds planner ego_mlp, not hydra_mdp_tiny"):
        agents.build("hydra_mdp_tiny", path, data=DATA)


def test_the_network_is_timed_without_reading(tmp_path: Path, looked: list[str]) -> None:
    path = saved(tmp_path / "h.ckpt", "hydra_mdp_tiny")
    agent = agents.build("hydra_mdp_tiny", path, data=DATA, device="cpu")
    assert isinstance(agent, PlannerAgent) and agent.device == "cpu"
    planned: list[Any] = []
    agent.planner.register_forward_hook(lambda planner, args, output: planned.append(args[0]["panorama"]))
    forward = agent.forward_of(SCENES[0])  # type: ignore[arg-type]
    read = len(looked)
    assert read and not planned
    forward()
    assert len(looked) == read, "inputs were read before"
    assert len(planned) == 1 and len(planned[0]) == 1

"""Checkpoints of planners with frozen encoders: what they hold, what they ask for, what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from navforge import agents
from navforge.agents.planner import PlannerAgent
from navforge.cli.main import main
from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.models import checkpoints
from navforge.models.encoders.configs import VisionConfig
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.loading import load_planner
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig, planner_to_dict
from navforge.training.frozen import FrozenState
from tests.models.test_vision import NATIVE, images, saved

TUNINGS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "last_blocks": {"blocks": 1},
    "lora": {"lora_rank": 2},
    "full": {},
}


def trained(weights: Path, tune: str = "frozen") -> Planner:
    """A planner all of whose learnable numbers have been changed."""
    torch.manual_seed(3)
    encoder = VisionConfig(weights=str(weights), height=NATIVE, width=NATIVE, tune=tune, **TUNINGS[tune])
    planner = PlannerConfig(name="seeing", encoder=encoder, head=MlpHeadConfig(hidden=16)).resolved().build()
    with torch.no_grad():
        for parameter in planner.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return planner.eval()


def written(planner: Planner, path: Path) -> Path:
    state = {f"{checkpoints.PREFIX}{name}": value for name, value in planner.learned_state().items()}
    about = checkpoints.contents(planner_to_dict(planner.config), {})
    checkpoints.write_values(path, {"state_dict": state, checkpoints.KEY: about})
    return path


def plans(planner: Planner) -> Tensor:
    return planner.plan({"panorama": images(), "status": torch.ones(2, 8)}).trajectories


@pytest.mark.parametrize("tune", TUNINGS)
def test_a_checkpoint_and_the_weights_file_give_the_planner(tune: str, tmp_path: Path) -> None:
    saved("ijepa", tmp_path / "weights")
    planner = trained(tmp_path / "weights", tune)
    path = written(planner, tmp_path / "seeing.ckpt")
    held = checkpoints.read_checkpoint(path).state
    learning = {name for name, parameter in planner.named_parameters() if parameter.requires_grad}
    assert set(held) == (set(planner.state_dict()) if tune == "full" else learning)
    assert torch.equal(plans(load_planner(path)), plans(planner))


def test_a_planner_that_learned_whole_needs_no_other_file(tmp_path: Path) -> None:
    saved("ijepa", tmp_path / "weights")
    planner = trained(tmp_path / "weights", "full")
    path = written(planner, tmp_path / "seeing.ckpt")
    with pytest.raises(ConfigError, match=r"seeing.ckpt needs no other file; drop weights="):
        load_planner(path, weights=str(tmp_path / "weights"))
    shutil.rmtree(tmp_path / "weights")
    assert torch.equal(plans(load_planner(path)), plans(planner))


def test_weights_that_moved_are_asked_for_by_name(tmp_path: Path) -> None:
    saved("ijepa", tmp_path / "weights")
    planner = trained(tmp_path / "weights")
    path = written(planner, tmp_path / "seeing.ckpt")
    (tmp_path / "weights").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=rf"file, which is not here: planner\.encoder\.weights: {tmp_path}/weights"):
        load_planner(path)
    moved = str(tmp_path / "moved")
    assert torch.equal(plans(load_planner(path, weights=moved)), plans(planner))
    agent = agents.build("seeing", path, data=DataConfig(), device="cpu", weights=moved)
    assert isinstance(agent, PlannerAgent) and torch.equal(plans(agent.planner), plans(planner))
    with pytest.raises(ConfigError, match="weights: agent human has no encoder of navforge; drop weights=moved"):
        agents.check_name("human", weights="moved")


def test_other_weights_in_their_place_are_refused(tmp_path: Path) -> None:
    saved("ijepa", tmp_path / "weights")
    path = written(trained(tmp_path / "weights"), tmp_path / "seeing.ckpt")
    content = bytearray((tmp_path / "weights" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights" / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"has fingerprint \w+, expected is \w+: these are other weights"):
        load_planner(path)


@pytest.mark.parametrize("tune", ("frozen", "lora"))
def test_an_exported_checkpoint_stands_alone(tune: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved("ijepa", tmp_path / "weights")
    planner = trained(tmp_path / "weights", tune)
    path, out = written(planner, tmp_path / "seeing.ckpt"), tmp_path / "alone.ckpt"
    assert main(["export", f"checkpoint={path}", f"out={out}"]) == 0
    assert f"from {tmp_path / 'weights'}" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "weights")
    assert torch.equal(plans(load_planner(out)), plans(planner))
    assert main(["export", f"checkpoint={out}", f"out={tmp_path / 'again.ckpt'}"]) == 2
    assert "needs no other file; nothing to export" in capsys.readouterr().err


def test_a_frozen_value_that_changes_is_named(tmp_path: Path) -> None:
    saved("ijepa", tmp_path / "weights")
    planner = trained(tmp_path / "weights", "last_blocks")
    frozen = FrozenState(planner)
    with torch.no_grad():
        planner.encoder.trunk.network.layers[2].mlp.fc1.weight.add_(1)  # type: ignore[union-attr,index,operator]
    assert frozen.error() is None
    with torch.no_grad():
        planner.encoder.trunk.network.layers[0].mlp.fc1.bias[3].add_(1e-6)  # type: ignore[union-attr,index,operator]
    assert "encoder.trunk.network.layers.0.mlp.fc1.bias is frozen and changed" in str(frozen.error())

"""Agents by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge import agents
from navforge.core.errors import ConfigError, DataError


def test_names_cover_reference_agents_and_planners() -> None:
    assert agents.names()[:2] == ("constant_velocity", "human")
    assert {"ego_mlp", "hydra_mdp_tiny", "hydra_mdp_v8192_w_ep"} <= set(agents.names())
    assert len(set(agents.names())) == len(agents.names())


@pytest.mark.parametrize(
    ("name", "checkpoint", "blank", "message"),
    [
        ("humann", None, False, "expected one of constant_velocity, human, .*got 'humann'"),
        ("human", Path("x.ckpt"), False, "agent human has no weights"),
        ("human", None, True, "agent human reads no camera"),
        ("ego_mlp", None, False, "ego_mlp is a planner; give the file"),
    ],
)
def test_impossible_agents(name: str, checkpoint: Path | None, blank: bool, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        agents.build(name, checkpoint, blank_camera=blank)


def test_missing_checkpoint_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.ckpt not found"):
        agents.build("ego_mlp", tmp_path / "none.ckpt")

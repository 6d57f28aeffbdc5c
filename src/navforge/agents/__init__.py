"""Agents by name: the two reference agents, and every planner with its checkpoint."""

from __future__ import annotations

from pathlib import Path

from navforge.agents.constant_velocity import ConstantVelocity
from navforge.agents.contract import Agent
from navforge.agents.human import Human
from navforge.agents.planner import PlannerAgent
from navforge.core.errors import ConfigError
from navforge.data.paths import DataConfig
from navforge.training.recipes.catalog import RECIPES

REFERENCE_AGENTS: tuple[type[Agent], ...] = (ConstantVelocity, Human)
"""Agents without weights."""


def names() -> tuple[str, ...]:
    """Every name `build` knows."""
    return (*(kind.name for kind in REFERENCE_AGENTS), *(recipe.name for recipe in RECIPES))


def check_name(name: str, checkpoint: Path | None = None, *, blank_camera: bool = False) -> None:
    """Raise ConfigError unless the name is known and has a checkpoint just where it needs one."""
    if name not in names():
        raise ConfigError(f"agent: expected one of {', '.join(names())}, got {name!r}")
    reference = name in (kind.name for kind in REFERENCE_AGENTS)
    if reference and checkpoint is not None:
        raise ConfigError(f"checkpoint: agent {name} has no weights; drop checkpoint={checkpoint}")
    if reference and blank_camera:
        raise ConfigError(f"blank_camera: agent {name} reads no camera")
    if not reference and checkpoint is None:
        raise ConfigError(f"checkpoint: agent {name} is a planner; give the file navforge train wrote")


def build(
    name: str,
    checkpoint: Path | None = None,
    *,
    data: DataConfig | None = None,
    device: str = "auto",
    batch_size: int = 32,
    blank_camera: bool = False,
) -> Agent:
    """The agent of this name.

    Args:
        name: one of `names()`.
        checkpoint: trained weights, for planners.
        data: where sensor files are, for planners that read them; None takes the environment's.
        device: auto, cpu or cuda, for planners.
        batch_size: scenes per forward pass, for planners.
        blank_camera: show a planner black images.

    Raises:
        ConfigError: unknown name, a checkpoint missing or too many, or one of another planner.
        DataError: the checkpoint cannot be read.
    """
    check_name(name, checkpoint, blank_camera=blank_camera)
    for kind in REFERENCE_AGENTS:
        if kind.name == name:
            return kind()
    assert checkpoint is not None
    return PlannerAgent(
        name, checkpoint, data or DataConfig(), device=device, batch_size=batch_size, blank_camera=blank_camera
    )

"""Agents by name: the two reference agents, and every planner with its checkpoint."""

from __future__ import annotations

from pathlib import Path

from navforge.agents.constant_velocity import ConstantVelocity
from navforge.agents.contract import Agent
from navforge.agents.human import Human
from navforge.core.errors import ConfigError

REFERENCE_AGENTS: tuple[type[Agent], ...] = (ConstantVelocity, Human)
"""Agents without a checkpoint."""


def build(name: str, checkpoint: Path | None = None) -> Agent:
    """The agent of this name.

    Raises:
        ConfigError: unknown name, or a checkpoint for an agent without weights.
    """
    for kind in REFERENCE_AGENTS:
        if kind.name == name:
            if checkpoint is not None:
                raise ConfigError(f"agent={name} has no weights; drop checkpoint={checkpoint}")
            return kind()
    raise ConfigError(f"no agent {name}")

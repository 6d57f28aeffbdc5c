"""Checkpoints that stand alone: with the frozen weights that training leaves in their own file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError
from navforge.models import checkpoints
from navforge.models.checkpoints import read_checkpoint, write_values
from navforge.models.loading import load_planner
from navforge.models.planner_config import planner_to_dict


@dataclass(frozen=True)
class Exported:
    """What was written."""

    name: str
    parameters: int
    """Numbers of all parameters and buffers."""
    added: int
    """Those that the checkpoint did not hold."""
    source: str
    """Where these came from."""


def export_planner(checkpoint: Path, out: Path, *, weights: str | None = None) -> Exported:
    """Write a planner with every number it needs.

    Args:
        checkpoint: of `navforge train`.
        out: file to write.
        weights: where the encoder's weights lie; None: where the checkpoint says.

    Raises:
        ConfigError: the checkpoint stands alone already.
        DataError: the checkpoint or the weights are missing, damaged, or other weights than it was trained with.
    """
    held = read_checkpoint(checkpoint)
    planner = load_planner(held, weights=weights)
    outside = planner.outside_names()
    if not outside:
        raise ConfigError(f"checkpoint: {checkpoint} needs no other file; nothing to export")
    state = planner.state_dict()
    config = planner.config
    facts = {**held.facts, "exported": {"encoder_weights": planner_to_dict(config)["encoder"]}}
    values = {
        "state_dict": {f"{checkpoints.PREFIX}{name}": value for name, value in state.items()},
        checkpoints.KEY: checkpoints.contents(planner_to_dict(config.standing_alone()), facts),
    }
    write_values(out, values)
    total = sum(value.numel() for value in state.values())
    source = planner_to_dict(config)["encoder"]["weights"]
    return Exported(config.name, total, sum(state[name].numel() for name in outside), source)

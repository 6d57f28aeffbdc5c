"""`navforge pretrain`: an encoder trained on camera frames without labels, on this machine or by Slurm."""

from __future__ import annotations

from navforge.cli import train
from navforge.cli.keys.pretrain import Config


def run(config: Config) -> int:
    """As `navforge train` runs a planner's training."""
    return train.run(config)

"""`navforge export`: a checkpoint that needs no other file."""

from __future__ import annotations

from navforge.cli.keys.export import Config
from navforge.core.screen import say
from navforge.models.exporting import export_planner


def run(config: Config) -> None:
    """Write and say what was put in."""
    done = export_planner(config.checkpoint, config.out, weights=config.weights)
    say(
        f"{config.out}: {done.name} with all of its {done.parameters:,} numbers, {done.added:,} of them from "
        f"{done.source}"
    )

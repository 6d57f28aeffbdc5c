"""Keys of `navforge train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from navforge.cli.keys import by_agent
from navforge.cli.keys.launching import LaunchKeys
from navforge.training.run_config import RunConfig

PURPOSE = "planner to train"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig, LaunchKeys):
    """Keys of `navforge train`: those of the run, and how it is started."""


def configure(words: Sequence[str]) -> Config:
    """The run's config: the recipe of `agent=NAME` with the other words over it."""
    return by_agent.configure(Config, words, PURPOSE)


def template(words: Sequence[str]) -> type[Config]:
    """What `--help` describes: the keys of the named recipe, or of the first one if none is named."""
    return by_agent.template(Config, words, PURPOSE)

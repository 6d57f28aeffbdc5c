"""Keys of `navforge pack`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys import by_agent
from navforge.cli.keys.executors import ExecutorKeys
from navforge.core.config import key
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.models.planner_config import PlannerConfig

PURPOSE = "planner whose inputs and targets are packed"


@dataclass(frozen=True, kw_only=True)
class Config(ExecutorKeys):
    """Keys of `navforge pack`; `planner` comes from the recipe of `agent` and may be overridden."""

    agent: str = key(help="planner whose inputs and targets are packed; others with the same sensors share the store")
    split: str = key(help=SPLIT_HELP)
    out: Path = key(help="folder of the store; give it to navforge train as store=")
    val_split: str | None = key(None, "another split to hold in the same store")
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    planner: PlannerConfig = key(help="the planner")
    data: DataConfig = key(DataConfig)


def configure(words: Sequence[str]) -> Config:
    """The recipe of `agent=NAME` with the other words over it."""
    return by_agent.configure(Config, words, PURPOSE)


def template(words: Sequence[str]) -> type[Config]:
    """What `--help` describes: the keys of the named recipe, or of the first one if none is named."""
    return by_agent.template(Config, words, PURPOSE)

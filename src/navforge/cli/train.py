"""`navforge train`: a planner by name, trained on a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.models.planner import PlannerConfig
from navforge.training import run as training
from navforge.training.config import TrainConfig
from navforge.training.recipes import RECIPES, Recipe, recipe
from navforge.training.run import RunConfig

SELF_CHECK = True

Config = RunConfig


def configure(words: Sequence[str]) -> RunConfig:
    """The run's config: the recipe of `agent=NAME` with the other words over it."""
    chosen = _recipe(words)
    if chosen is None:
        raise ConfigError(f"missing required key(s): agent=TEXT, one of {', '.join(r.name for r in RECIPES)}")
    return configs.merge(_with_recipe(chosen), words)


def template(words: Sequence[str]) -> type[RunConfig]:
    """What `--help` describes: the keys of the named recipe, or of the first one if none is named."""
    return _with_recipe(_recipe(words) or RECIPES[0])


def run(config: RunConfig) -> None:
    """Train and say where the result is."""
    best = training.train(config)
    print(f"{best}: best checkpoint; learning curves in {config.out / 'epochs.csv'}")


def _recipe(words: Sequence[str]) -> Recipe | None:
    named = [word.partition("=")[2] for word in words if word.startswith("agent=")]
    return recipe(named[0]) if named else None


def _with_recipe(chosen: Recipe) -> type[RunConfig]:
    """`RunConfig` whose planner and training default to the recipe's."""
    names = [known.name for known in RECIPES]
    fields = [
        ("agent", str, key(help=f"planner to train: {', '.join(names)}", choices=names)),
        ("planner", PlannerConfig, key(lambda: chosen.planner)),
        ("train", TrainConfig, key(lambda: chosen.train)),
    ]
    return dataclasses.make_dataclass("Config", fields, bases=(RunConfig,), frozen=True, kw_only=True)

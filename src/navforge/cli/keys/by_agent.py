"""Configs whose defaults come from the recipe that `agent=` names: of navforge, or in a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.recipes.catalog import RECIPES, recipe

ConfigT = TypeVar("ConfigT")
PARTS = {"planner": PlannerConfig, "train": TrainConfig}
"""Fields that a recipe gives."""


def configure(base: type[ConfigT], words: Sequence[str], purpose: str) -> ConfigT:
    """A config of class `base`: the recipe of `agent=` with the other words over it.

    Its `agent` is the planner's name, also where a file was given.

    Raises:
        ConfigError: no agent named, an unknown one, or a wrong key or value.
    """
    if _named(words) is None:
        configs.require_known(template(base, words, purpose), words)
        raise ConfigError(
            f"missing required key(s): agent=TEXT, one of {', '.join(known.name for known in RECIPES)}, or a recipe in "
            "FILE.yaml"
        )
    return configs.merge(template(base, words, purpose), by_name(words))


def by_name(words: Sequence[str]) -> list[str]:
    """The words, with the planner's name in the place of a recipe file: a run is called by its planner."""
    return [f"agent={recipe(word[6:]).name}" if word.startswith("agent=") else word for word in words]


def template(base: type[ConfigT], words: Sequence[str], purpose: str) -> type[ConfigT]:
    """`base` whose planner, and training if it has that field, default to the named recipe's, else the first one's.

    Args:
        base: config class with the fields `agent` and `planner`.
        words: `key=value` as typed.
        purpose: what the agent is for, in the help of `agent`.
    """
    name = _named(words)
    chosen = RECIPES[0] if name is None else recipe(name)
    names = [known.name for known in RECIPES]
    own = {field.name for field in dataclasses.fields(base)}  # type: ignore[arg-type]
    fields = [("agent", str, key(help=f"{purpose}: a recipe in FILE.yaml, or one of {', '.join(names)}"))]
    fields += [
        (part, kind, key(lambda part=part: getattr(chosen, part))) for part, kind in PARTS.items() if part in own
    ]
    return dataclasses.make_dataclass("Config", fields, bases=(base,), frozen=True, kw_only=True)


def agents(words: Sequence[str]) -> list[str]:
    """Names of the agents: of `agent=NAME` one, of `agent=[NAME,NAME]` several."""
    texts = [word.partition("=")[2] for word in words if word.startswith("agent=")]
    listed = [text[1:-1].split(",") if text.startswith("[") and text.endswith("]") else [text] for text in texts]
    return [name.strip() for names in listed for name in names]


def _named(words: Sequence[str]) -> str | None:
    names = agents(words)
    return names[0] if names else None

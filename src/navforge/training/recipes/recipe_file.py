"""Recipes in YAML files: encoder, head and training of a planner.

name: wide_mlp                      # default: the file's name
summary: what it is, in a line      # may be left out
encoder:
  kind: ego_status                  # navforge's own, an entry point's, or package.module:Class
head:
  kind: mlp
  hidden: 1024
train:                              # keys as in navforge train, without `train.`
  epochs: 50
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from navforge.core import config as configs
from navforge.core.errors import ConfigError
from navforge.core.outside.text import read_yaml
from navforge.models.planner_config import planner_from_dict
from navforge.training.config import TrainConfig
from navforge.training.recipes.recipe import Recipe

SUFFIXES = (".yaml", ".yml")
KEYS = ("name", "summary", "encoder", "head", "train")
_NAME = re.compile(r"\w[\w.-]*")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or kind, or a wrong value; names the file and the key.
    """
    values = read_yaml(path, "recipe", missing="give its path, or the name of a planner", error=ConfigError)
    try:
        return _recipe(values, path.stem)
    except ConfigError as error:
        raise ConfigError(f"recipe {path}: {error}") from error


def _recipe(values: Any, stem: str) -> Recipe:
    if not isinstance(values, dict):
        raise ConfigError(f"expected a mapping with the keys {', '.join(KEYS)}")
    for name in values:
        if name not in KEYS:
            raise ConfigError(f"unknown key {name!r}{configs.did_you_mean(str(name), KEYS)} Keys: {', '.join(KEYS)}")
    parts = {part: values.get(part) for part in ("encoder", "head")}
    for part, keys in parts.items():
        if not isinstance(keys, dict) or not isinstance(keys.get("kind"), str):
            raise ConfigError(f"{part}: expected a mapping with the key kind, the name of the {part}")
    train = values.get("train") or {}
    if not isinstance(train, dict):
        raise ConfigError("train: expected a mapping of training keys, such as epochs: 20")
    name = values.get("name", stem)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"name: expected letters, digits, _, . and -, got {name!r}")
    planner = planner_from_dict({"name": name, **parts})
    try:
        return Recipe(
            planner=planner, train=configs.from_dict(TrainConfig, train), summary=str(values.get("summary", ""))
        )
    except ConfigError as error:
        raise ConfigError(f"train: {error}") from error

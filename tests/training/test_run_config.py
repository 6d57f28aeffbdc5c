"""The config file of a run folder: whole without its recipe, and strict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.training.config import TrainConfig
from navforge.training.recipes.catalog import RECIPES, Recipe
from navforge.training.run_config import RunConfig, read_run_config, write_run_config


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_written_and_read_back(recipe: Recipe, tmp_path: Path) -> None:
    config = RunConfig(
        agent=recipe.name,
        split="a split",
        out=tmp_path / "run",
        cache=Path("cache"),
        planner=recipe.planner,
        train=replace(recipe.train, batch_size=None, loggers=("wandb",), learning_rate=1.23456789e-5),
        nodes=2,
        devices=4,
    )
    write_run_config(tmp_path / "train.config.yaml", config)
    assert read_run_config(tmp_path / "train.config.yaml") == config


def test_damaged_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "train.config.yaml"
    with pytest.raises(DataError, match="navforge train writes it"):
        read_run_config(path)
    path.write_text("agent: x")
    with pytest.raises(DataError, match="has no planner"):
        read_run_config(path)
    write_run_config(
        path,
        RunConfig(agent="a", split="s", out=tmp_path, cache=tmp_path, planner=RECIPES[0].planner, train=TrainConfig()),
    )
    path.write_text(path.read_text().replace("epochs:", "epoch:"))
    with pytest.raises(ConfigError, match=r"train\.epoch"):
        read_run_config(path)

"""A tiny world with cameras and LiDAR, and stores packed of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import pack
from navforge.inputs.store import InputStore
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe
from tests.built_once import built_once

PLANNER = "transfuser_tiny"
"""Reads cameras and LiDAR and learns boxes and the ground."""


@pytest.fixture(scope="session")
def data(tiny_town: Path) -> DataConfig:
    return DataConfig(logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps")


@pytest.fixture(scope="session")
def split(data: DataConfig) -> Split:
    return load_split("train", data, workers=1)


@pytest.fixture(scope="session")
def planner() -> PlannerConfig:
    return recipe(PLANNER).planner


@pytest.fixture(scope="session")
def packed(
    tmp_path_factory: pytest.TempPathFactory, planner: PlannerConfig, split: Split, data: DataConfig
) -> InputStore:
    """The store of the training split; do not write into it."""

    def build(folder: Path) -> None:
        assert not pack([split], InputSpec.of(planner), data, folder / "store", workers=1).failures

    return InputStore.open(built_once(tmp_path_factory, "inputs", build) / "store")


def few(split: Split, count: int) -> Split:
    """The first scenes of each log."""
    return replace(split, logs={log: tokens[:count] for log, tokens in split.logs.items()})

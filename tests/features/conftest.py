"""A planner with a frozen trunk and stores of its tokens on a tiny town."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import seed_everything

from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.features.encode import plan
from navforge.features.store import FeatureStore
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.run_config import RunConfig
from tests.built_once import built_once
from tests.conftest import town_data

from .parts import PatchConfig

BATCH = 4
"""Scenes that the trunk takes at once, here and in training: see `equal to encoding on the fly`."""


@pytest.fixture(scope="session")
def data(tiny_town: Path) -> DataConfig:
    return town_data(tiny_town)


@pytest.fixture(scope="session")
def split(data: DataConfig) -> Split:
    return load_split("train", data, workers=1)


@pytest.fixture(scope="session")
def val_split(data: DataConfig) -> Split:
    return load_split("val", data, workers=1)


def patches(**keys: object) -> PlannerConfig:
    return PlannerConfig(name="patches", encoder=PatchConfig(**keys), head=MlpHeadConfig(hidden=16, layers=1))  # type: ignore[arg-type]


def seeded(**keys: object) -> Planner:
    """The planner with the weights that training begins with."""
    seed_everything(0, verbose=False)
    return patches(**keys).build()


@pytest.fixture
def images_run(data: DataConfig, town_files: dict[str, Path], tmp_path: Path) -> RunConfig:
    """Of a run that reads camera images, with one thread as ranks have it; `train` is the test's."""
    torch.set_num_threads(1)
    return RunConfig(
        agent="patches",
        split="train",
        val_split="val",
        out=tmp_path / "run",
        cache=town_files["cache"],
        planner=patches(),
        train=TrainConfig(epochs=1, accelerator="cpu"),
        data=data,
    )


def from_store(run: RunConfig, store: FeatureStore) -> RunConfig:
    """The run reads the store; there is no sensor file it could read."""
    return replace(run, features=store.path, data=replace(run.data, sensors=None))


def encoded(
    splits: list[Split], data: DataConfig, out: Path, planner: PlannerConfig | None = None, dtype: str = "float32"
) -> FeatureStore:
    """The store of some splits."""
    report = plan(splits, planner or patches(), data, out, dtype=dtype, batch_size=BATCH).build(workers=1)
    assert report.complete, report.failures
    return FeatureStore.open(out)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, split: Split, val_split: Split, data: DataConfig) -> FeatureStore:
    """Tokens of both splits in float32; do not write into it."""
    out = built_once(tmp_path_factory, "features", lambda folder: encoded([split, val_split], data, folder / "store"))
    return FeatureStore.open(out / "store")

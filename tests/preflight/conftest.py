"""A run config that needs nothing on disk, and a real small town with caches for the tests that probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from navforge.data.paths import DataConfig
from navforge.models.encoders.ego_status import EgoStatusConfig
from navforge.models.heads.mlp import MlpHeadConfig
from navforge.models.planner import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.run_config import RunConfig

BLIND = PlannerConfig(name="blind", encoder=EgoStatusConfig(), head=MlpHeadConfig(hidden=16, layers=1))


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., RunConfig]:
    """A run of a blind planner; keys of `TrainConfig` go there, others into the run."""
    (tmp_path / "cache").mkdir(exist_ok=True)

    def make(**changes: Any) -> RunConfig:
        names = set(TrainConfig.__dataclass_fields__)
        train = TrainConfig(
            **{"accelerator": "cpu", "batch_size": 4, **{k: v for k, v in changes.items() if k in names}}
        )
        base = RunConfig(
            agent="blind",
            split="train",
            out=tmp_path / "run",
            cache=tmp_path / "cache",
            planner=BLIND,
            train=train,
            data=DataConfig(logs=None, sensors=None, maps=None),
        )
        return replace(base, **{k: v for k, v in changes.items() if k not in names})

    return make


@pytest.fixture(scope="session")
def town_files(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Metric cache of tiny town's training split, a vocabulary of 8 entries, and its teacher store."""
    from navforge.cache_builder.pool import cache_split  # noqa: PLC0415 (imports what most tests here do not need)
    from navforge.cli import teach, vocab  # noqa: PLC0415
    from navforge.data.splits import load_split  # noqa: PLC0415

    out, data = tmp_path_factory.mktemp("town_files"), town_data(tiny_town)
    cache_split(load_split("train", data), data, out / "cache", workers=1)
    vocab.run(vocab.Config(split="train", out=out / "v8.npy", size=8, data=data, workers=1))
    teach.run(
        teach.Config(
            vocabulary=out / "v8.npy",
            split="train",
            cache=out / "cache",
            out=out / "teacher",
            protocol="epdms_v2",
            data=data,
            workers=1,
        )
    )
    return {"cache": out / "cache", "vocabulary": out / "v8.npy", "teacher": out / "teacher"}


def town_data(town: Path) -> DataConfig:
    return DataConfig(logs=town / "navsim_logs", sensors=town / "sensor_blobs", maps=town / "maps")

"""A run config that needs nothing on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from navforge.data.paths import DataConfig
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.run_config import RunConfig
from tests.conftest import town_data

__all__ = ["town_data"]

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

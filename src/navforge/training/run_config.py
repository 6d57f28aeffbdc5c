"""What a training run is asked for, and its file in the run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import yaml

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import write_text
from navforge.core.outside.text import read_yaml
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.models.planner_config import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Keys of `navforge train`; `planner` and `train` come from the recipe of `agent` and may be overridden."""

    agent: str = key(help="planner to train")
    split: str = key(help=f"what to train on: {SPLIT_HELP}")
    out: Path = key(help="run folder: checkpoints, learning curves, config, provenance")
    cache: Path = key(help="metric cache of the training split (for the evaluation before the first step)")
    val_split: str | None = key(None, "split to validate on after each epoch")
    vocabulary: Path | None = key(None, "vocabulary file (.npy), for planners that choose from one")
    teacher: Path | None = key(None, "teacher store of the training split, for planners that distil")
    val_teacher: Path | None = key(None, "teacher store of the validation split")
    nodes: int = key(1, "machines to train on", low=1)
    devices: int = key(1, "ranks per machine, each with a GPU where there are any", low=1)
    store: Path | None = key(None, "input store of the splits (navforge pack); none: decode sensor files")
    features: Path | None = key(
        None, "feature store of the splits (navforge encode), for planners with a frozen encoder; none: encode images"
    )
    allow_missing: bool = key(False, "go on when scenes of a split are not on disk")
    planner: PlannerConfig = key(help="the planner")
    train: TrainConfig = key(TrainConfig)
    data: DataConfig = key(DataConfig)


def write_run_config(path: Path, config: RunConfig) -> None:
    """Write a run's config with the kinds of its encoder and head, so that it is whole without its recipe."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(RunConfig)}
    plain = configs.to_dict(RunConfig(**values))
    write_text(path, yaml.safe_dump({**plain, "planner": planner_to_dict(config.planner)}, sort_keys=False))


def read_run_config(path: Path) -> RunConfig:
    """Inverse of `write_run_config`.

    Raises:
        DataError: there is no such file, or it is no YAML mapping.
        ConfigError: an unknown key or a wrong value.
    """
    values = read_yaml(path, "run config", missing="navforge train writes it before ranks start")
    if not isinstance(values, dict) or not isinstance(values.get("planner"), dict):
        raise DataError(f"{path} is not a run config: it has no planner; navforge train writes one")
    try:
        planner = planner_from_dict(values.pop("planner"))
        field = ("planner", PlannerConfig, key(lambda: planner))
        template = dataclasses.make_dataclass("RunConfig", [field], bases=(RunConfig,), frozen=True, kw_only=True)
        found = configs.from_dict(template, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return RunConfig(**{f.name: getattr(found, f.name) for f in dataclasses.fields(RunConfig)})

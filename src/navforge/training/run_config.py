"""What a training run is asked for, and its file in the run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import write_text
from navforge.core.outside.text import read_yaml
from navforge.models.planner_config import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.runs.folder import BEST, RunFolder
from navforge.training.config import AlignConfig, LabelConfig, TrainConfig
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.run_base import RunBase


@dataclass(frozen=True, kw_only=True)
class RunConfig(RunBase):
    """Keys of `navforge train`; `planner` and `train` come from the recipe of `agent` and may be overridden."""

    agent: str = key(help="planner to train")
    cache: Path = key(help="metric cache of the training split (for the evaluation before the first step)")
    vocabulary: Path | None = key(None, "vocabulary file (.npy), for planners that choose from one")
    teacher: Path | None = key(None, "teacher store of the training split, for planners that distil")
    val_teacher: Path | None = key(None, "teacher store of the validation split")
    val_cache: Path | None = key(
        None, "metric cache of the validation split, on which plans of planners without a teacher are scored each epoch"
    )
    store: Path | None = key(None, "input store of the splits (navforge pack); null: decode sensor files")
    features: Path | None = key(
        None, "feature store of the splits (navforge encode), for planners with a frozen encoder; null: encode images"
    )
    labels: LabelConfig = key(LabelConfig)
    planner: PlannerConfig = key(help="the planner")
    train: TrainConfig = key(TrainConfig)
    align: AlignConfig = key(AlignConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for keys that an alignment does not go with."""
        super().__post_init__()
        if self.align.features is None:
            return
        if self.features is not None:
            raise ConfigError(
                "align.features: features= stands for an encoder that never learns, so nothing can be drawn towards "
                "another; drop one of the two"
            )
        if self.train.compile:
            raise ConfigError("train.compile: with align.features= the planner is not compiled; give false")
        if self.align.target == "random" and self.train.batch_size == 1:
            raise ConfigError("align.target: random takes tokens of another scene of the batch; it has one scene only")

    def resolved(self) -> Self:
        """With the encoder's files here."""
        return dataclasses.replace(self, planner=self.planner.resolved())

    @property
    def title(self) -> str:
        """The agent."""
        return self.agent

    @property
    def subject(self) -> dict[str, Any]:
        """The planner."""
        return planner_to_dict(self.planner)

    @property
    def learned_from(self) -> dict[str, dict[str, Any]]:
        """The label subset and the alignment."""
        align = {name: value for name, value in configs.to_dict(self.align).items() if name != "features"}
        return {"labels": configs.to_dict(self.labels), "align": align}

    @property
    def files(self) -> dict[str, Path | None]:
        """Files and folders that are read, by key."""
        names = ("cache", "vocabulary", "teacher", "val_teacher", "val_cache", "store", "features")
        read = {name: getattr(self, name) for name in names}
        read |= {"align.features": self.align.features, "data.logs": self.data.logs}
        images = self.store is None and self.features is None and self.planner.panorama is not None
        return {**read, "data.sensors": self.data.sensors} if images else read

    @property
    def result(self) -> Path:
        """The best checkpoint."""
        return RunFolder(self.out).checkpoints / BEST

    @property
    def result_name(self) -> str:
        """In words."""
        return "best checkpoint"

    @property
    def classes(self) -> tuple[type, ...]:
        """Of encoder and head."""
        return self.planner.classes


def run_part(config: RunBase) -> RunBase:
    """The part of a verb's keys that describes the run: a plain `RunConfig` or `PretrainConfig`."""
    cls = PretrainConfig if isinstance(config, PretrainConfig) else RunConfig
    return cls(**{f.name: getattr(config, f.name) for f in dataclasses.fields(cls)})


def run_config_to_dict(config: RunBase) -> dict[str, Any]:
    """A run's config as plain values with the kinds of its encoder and head, so that it is whole without its recipe."""
    plain = configs.to_dict(run_part(config))
    if isinstance(config, RunConfig):
        plain["planner"] = planner_to_dict(config.planner)
    return plain


def write_run_config(path: Path, config: RunBase) -> None:
    """Write a run's config; see `run_config_to_dict`."""
    write_text(path, yaml.safe_dump(run_config_to_dict(config), sort_keys=False))


def read_run_config(path: Path) -> RunBase:
    """Inverse of `write_run_config`.

    Raises:
        DataError: there is no such file, or it is not a YAML mapping.
        ConfigError: an unknown key or a wrong value.
    """
    return run_config_from_dict(
        read_yaml(path, "run config", missing="navforge train writes it before ranks start"), path
    )


def run_config_from_dict(values: Any, path: Path) -> RunBase:
    """Inverse of `run_config_to_dict`.

    Args:
        values: what was read.
        path: file it was read from, for errors.

    Raises:
        DataError: it is not a mapping of a run's keys.
        ConfigError: an unknown key or a wrong value.
    """
    if isinstance(values, dict) and "method" in values:
        try:
            return configs.from_dict(PretrainConfig, values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("planner"), dict):
        raise DataError(f"{path} is not a run config: it has no planner; navforge train writes one")
    try:
        planner = planner_from_dict(values["planner"])
        field = ("planner", PlannerConfig, key(lambda: planner))
        template = dataclasses.make_dataclass("RunConfig", [field], bases=(RunConfig,), frozen=True, kw_only=True)
        config = configs.from_dict(template, {name: value for name, value in values.items() if name != "planner"})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return RunConfig(**{f.name: getattr(config, f.name) for f in dataclasses.fields(RunConfig)})

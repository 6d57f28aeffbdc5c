"""Keys of `navforge cluster plan`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path

from navforge.cli.keys import by_agent, train
from navforge.cli.keys.jobs import EXPERIMENTS
from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.slurm.profile import CLUSTER_HELP
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.run_base import RunBase
from navforge.training.run_config import RunConfig, run_part

POSITIONAL = ("agent",)


@dataclass(frozen=True, kw_only=True)
class PlanKeys:
    """Keys beside those of the run."""

    clusters: tuple[str, ...] = key((), f"where it might run, each a {CLUSTER_HELP}; []: all that have a name")
    shapes: tuple[str, ...] = key(("1x1", "1x8", "2x4", "4x4"), "nodes x ranks per node to compare")
    root: Path | None = key(
        None, f"folder of run folders and preflight reports whose speeds count; null: ${EXPERIMENTS}, else runs"
    )
    probe: bool = key(True, "measure on this machine where it has the device and nothing is recorded of it")
    json: Path | None = key(None, "file for the options as JSON")


@dataclass(frozen=True, kw_only=True)
class TrainKeys(PlanKeys, RunConfig):
    """Keys of a planner's training, and of the plan."""


@dataclass(frozen=True, kw_only=True)
class PretrainKeys(PlanKeys, PretrainConfig):
    """Keys of a pre-training, and of the plan."""


@dataclass(frozen=True, kw_only=True)
class Config(PlanKeys):
    """What is planned."""

    run: RunBase = key(help="the run, on one rank")
    words: tuple[str, ...] = key(help="keys of the run as the user gave them")

    def __post_init__(self) -> None:
        """Raise ConfigError for a shape that is none, and for a batch size that is not known."""
        for shape in self.shapes:
            if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", shape):
                raise ConfigError(f"shapes: expected NODESxRANKS such as 2x4, got {shape!r}")
        if self.run.train.batch_size is None:
            raise ConfigError("train.batch_size: speeds hold for one batch size; give a number instead of auto")


def configure(words: Sequence[str]) -> Config:
    """The run that the keys of `train`, or with `method=` of `pretrain`, describe, and the plan's own.

    Raises:
        ConfigError: a wrong key or value, or a key that the plan itself chooses.
    """
    given = [word.partition("=")[0] for word in words]
    for name in ("launch", "cluster", "nodes", "devices"):
        if name in given:
            raise ConfigError(f"{name}: is what the plan is about; give clusters= and shapes= to limit the choice")
    if "method" in given:
        keys = configs.merge(PretrainKeys, words)
    else:
        keys = by_agent.configure(TrainKeys, words, train.PURPOSE)
    own = {field.name for field in fields(PlanKeys)}
    return Config(
        run=run_part(keys),
        words=tuple(word for word in words if word.partition("=")[0] not in own),
        **{name: getattr(keys, name) for name in own},
    )


def template(words: Sequence[str]) -> type[TrainKeys | PretrainKeys]:
    """What `--help` describes: with `method=` the keys of a pre-training."""
    if any(word.startswith("method=") for word in words):
        return PretrainKeys
    bases = (by_agent.template(TrainKeys, words, train.PURPOSE),)
    return make_dataclass("Keys", [], bases=bases, frozen=True, kw_only=True)

"""Keys of `navforge encode`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys import by_agent
from navforge.cli.keys.executors import ExecutorKeys
from navforge.core.config import key
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.models.planner_config import PlannerConfig

PURPOSE = "planner whose frozen encoder computes the tokens"


@dataclass(frozen=True, kw_only=True)
class Config(ExecutorKeys):
    """Keys of `navforge encode`; `planner` comes from the recipe of `agent` and may be overridden."""

    agent: str = key(help=f"{PURPOSE}; others with the same encoder share the store")
    split: str = key(help=SPLIT_HELP)
    out: Path = key(help="folder of the store; give it to navforge train as features=")
    val_split: str | None = key(None, "another split to hold in the same store")
    store: Path | None = key(None, "input store of the splits (navforge pack); null: decode sensor files")
    dtype: str = key("float16", "type of the stored tokens", choices=("float32", "float16", "bfloat16"))
    batch_size: int = key(32, "scenes that the encoder takes at once", unit="scenes", low=1)
    device: str = key(
        "auto",
        "where the encoder runs; auto: on a GPU if there is one and executor=local; cuda: one GPU per task or worker",
        choices=("auto", "cpu", "cuda"),
    )
    seed: int = key(0, "of weights that are drawn and not read from a file: the train.seed of the planner", low=0)
    workers: int = key(
        0, "processes at once on CPUs, each with the encoder in memory, with Slurm per task; 0: one per CPU", low=0
    )
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    planner: PlannerConfig = key(help="the planner")
    data: DataConfig = key(DataConfig)


def configure(words: Sequence[str]) -> Config:
    """The recipe of `agent=NAME` with the other words over it."""
    return by_agent.configure(Config, words, PURPOSE)


def template(words: Sequence[str]) -> type[Config]:
    """What `--help` describes: the keys of the named recipe, or of the first one if none is named."""
    return by_agent.template(Config, words, PURPOSE)

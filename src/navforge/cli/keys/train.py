"""Keys of `navforge train`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from navforge.cli.keys import by_agent
from navforge.cli.keys.launching import LaunchKeys
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.training.run_config import RunConfig

PURPOSE = "planner to train, several as [A,B] from one feature store"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig, LaunchKeys):
    """Keys of `navforge train`: those of the run, and how it is started."""

    seeds: tuple[int, ...] = key((), "train.seed of several runs from one feature store, in folders below out", low=0)


@dataclasses.dataclass(frozen=True)
class Together:
    """Runs that are trained in one process, those with the same order of scenes side by side."""

    runs: tuple[Config, ...]


def configure(words: Sequence[str]) -> Config | Together:
    """The run's config: the recipe of `agent=NAME` with the other words over it; of several agents or seeds, each.

    Raises:
        ConfigError: a wrong key or value; several runs that have no feature store, would share a folder, or are to be
            started otherwise than in one process here.
    """
    agents = by_agent.agents(words)
    others = [word for word in words if not word.startswith("agent=")]
    runs = [by_agent.configure(Config, [f"agent={agent}", *others], PURPOSE) for agent in agents]
    if not runs or (len(runs) == 1 and not runs[0].seeds):
        return runs[0] if runs else by_agent.configure(Config, words, PURPOSE)
    if runs[0].seeds and any(word.startswith("train.seed=") for word in words):
        raise ConfigError("seeds: they take the place of train.seed; give one of the two")
    seeded = [_seeded(run, seed) for seed in runs[0].seeds for run in runs]
    seeded = seeded or [_below(run, run.agent) for run in runs]
    _check_together(seeded)
    return Together(tuple(seeded))


def template(words: Sequence[str]) -> type[Config]:
    """What `--help` describes: the keys of the named recipe, or of the first one if none is named."""
    return by_agent.template(Config, words, PURPOSE)


def _seeded(run: Config, seed: int) -> Config:
    return _below(dataclasses.replace(run, train=dataclasses.replace(run.train, seed=seed)), f"{run.agent}-seed{seed}")


def _below(run: Config, name: str) -> Config:
    return dataclasses.replace(run, out=run.out / name)


def _check_together(runs: Sequence[Config]) -> None:
    first = runs[0]
    twice = [out for out, count in Counter(run.out for run in runs).items() if count > 1]
    if twice:
        raise ConfigError(f"agent: two runs would be in {twice[0]}; give each agent and seed once, under its own name")
    if first.features is None:
        raise ConfigError(
            "features: several planners train together from a feature store (navforge encode); give features=FOLDER or "
            "train one at a time"
        )
    if first.launch != "local" or first.nodes * first.devices > 1:
        raise ConfigError(
            "launch: several planners train together in one process, on one device; leave out launch=, nodes= and "
            "devices=, on a cluster inside a job of one task"
        )

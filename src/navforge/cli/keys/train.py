"""Keys of `navforge train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from navforge.cli.keys import by_agent
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.slurm.profile import CLUSTER_HELP
from navforge.training.run_config import RunConfig

PURPOSE = "planner to train"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    """Keys of `navforge train`: those of the run, and how it is started."""

    launch: str = key("local", "where ranks run: on this machine, or by Slurm", choices=("local", "slurm"))
    cluster: str | None = key(None, f"{CLUSTER_HELP}; for launch=slurm")
    time_limit: str | None = key(None, "time limit of the Slurm job instead of the profile's")
    code: str = key("keep", "when resuming: keep the code snapshot or take a new one", choices=("keep", "new"))
    preflight: bool = key(True, "check everything before the start; false where navforge preflight just did")
    force: tuple[str, ...] = key((), "checks of the preflight whose refusal is accepted, by name")

    def __post_init__(self) -> None:
        if (self.launch == "slurm") != (self.cluster is not None):
            raise ConfigError(
                "cluster: launch=slurm needs a profile: cluster=NAME or FILE (see docs/clusters.md)"
                if self.cluster is None
                else "cluster: a profile is for launch=slurm; give launch=slurm too or drop it"
            )
        if self.launch == "local" and self.nodes > 1:
            raise ConfigError(f"nodes: launch=local starts ranks on this machine only, not on {self.nodes}")
        if self.launch == "local" and self.time_limit is not None:
            raise ConfigError("time_limit: only Slurm jobs have one; drop it or give launch=slurm")


def configure(words: Sequence[str]) -> Config:
    """The run's config: the recipe of `agent=NAME` with the other words over it."""
    return by_agent.configure(Config, words, PURPOSE)


def template(words: Sequence[str]) -> type[Config]:
    """What `--help` describes: the keys of the named recipe, or of the first one if none is named."""
    return by_agent.template(Config, words, PURPOSE)

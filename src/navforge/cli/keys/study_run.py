"""Keys of `navforge study run`."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.cli.keys.studies import LOCAL, POSITIONAL, StudyLaunchKeys
from navforge.core.config import key
from navforge.core.errors import ConfigError

__all__ = ["POSITIONAL", "Config"]


@dataclass(frozen=True, kw_only=True)
class Config(StudyLaunchKeys):
    """Keys of `navforge study run`."""

    wait: bool = key(False, "wait until no job of the study is left; off: submit only, for launch=slurm")

    def __post_init__(self) -> None:
        """Raise ConfigError for keys of Slurm without Slurm."""
        super().__post_init__()
        if self.wait and self.launch == LOCAL:
            raise ConfigError("wait: only for launch=slurm; give that too or drop it")

"""`navforge import-checkpoint`: a published checkpoint as one that `navforge evaluate` loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.screen import say
from navforge.models.importing import import_checkpoint
from navforge.training.recipes.catalog import RECIPES, recipe
from navforge.vocabulary.vocabulary import Vocabulary

NAMES = tuple(known.name for known in RECIPES)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge import-checkpoint`."""

    source: Path = key(help="published checkpoint: a Lightning .ckpt or a state dict")
    agent: str = key(help=f"planner it holds: a recipe in FILE.yaml, or one of {', '.join(NAMES)}")
    out: Path = key(help="checkpoint file to write")
    vocabulary: Path | None = key(None, "vocabulary (.npy) of a planner whose checkpoint holds none")

    def __post_init__(self) -> None:
        """Raise ConfigError if the source would be overwritten."""
        if self.source.resolve() == self.out.resolve():
            raise ConfigError("out: is the source itself; give another file")


def run(config: Config) -> None:
    """Convert, write and say what it was."""
    vocabulary = None if config.vocabulary is None else Vocabulary.load(config.vocabulary)
    planner = recipe(config.agent).planner
    done = import_checkpoint(config.source, planner, config.out, vocabulary=vocabulary)
    say(
        f"{config.out}: {planner.name} from a checkpoint of {done.conversion} (keys under {done.prefix!r}), "
        f"{done.parameters:,} parameters; navforge evaluate agent={planner.name} checkpoint={config.out} loads it"
    )

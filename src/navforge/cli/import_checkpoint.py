"""`navforge import-checkpoint`: a published checkpoint as one that `navforge evaluate` loads."""

from __future__ import annotations

from navforge.cli.keys.import_checkpoint import Config
from navforge.core.screen import say
from navforge.models.importing import import_checkpoint
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.vocabulary import Vocabulary


def run(config: Config) -> None:
    """Convert, write and say what it was."""
    vocabulary = None if config.vocabulary is None else Vocabulary.load(config.vocabulary)
    planner = recipe(config.agent).planner
    done = import_checkpoint(config.source, planner, config.out, vocabulary=vocabulary)
    say(
        f"{config.out}: {planner.name} from a checkpoint of {done.conversion} (keys under {done.prefix!r}), "
        f"{done.parameters:,} parameters; navforge evaluate agent={planner.name} checkpoint={config.out} loads it"
    )

"""What may be tuned on: scenes the planner was not trained on and will not be tested on."""

from __future__ import annotations

import re

from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.models.checkpoints import Checkpoint

TEST_NAME = re.compile(r"(^|[^a-z])(nav)?test|navhard|private|warmup", re.IGNORECASE)
"""Names of splits, and of folders of logs, that hold benchmark scenes."""


def check_not_test(split: Split) -> None:
    """Refuse a split that is, or lies in a folder that is, of a benchmark.

    Raises:
        ConfigError: naming what tells so.
    """
    told = next((name for name in (split.name, *sorted(set(split.folders.values()))) if TEST_NAME.search(name)), None)
    if told is not None:
        raise ConfigError(
            f"split: {split.name} belongs to a test set ({told!r}); weights tuned on it would make every later score "
            "on it meaningless. Tune on a validation split, such as the logs of navtrain that were not trained on"
        )


def training_split(checkpoint: Checkpoint, given: str | None, data: DataConfig) -> Split:
    """The split a checkpoint was trained on, found again and checked by its hash.

    Args:
        checkpoint: its facts name the split.
        given: folder or YAML of the split, where the name alone does not find it.
        data: where the logs are.

    Raises:
        ConfigError: it cannot be found, or what is found is not what the planner was trained on.
    """
    name = given or checkpoint.facts.get("split")
    remedy = "give train_split=FOLDER or train_split=FILE.yaml, so that shared scenes can be ruled out"
    if name is None:
        raise ConfigError(f"train_split: {checkpoint.path} does not say what it was trained on; {remedy}")
    try:
        split = load_split(name, data, allow_missing=True)
    except DataError as error:
        raise ConfigError(
            f"train_split: the training split {name!r} of {checkpoint.path} is needed: {error}; {remedy}"
        ) from error
    stated = checkpoint.facts.get("fingerprints", {}).get("split")
    if stated is not None and split.hash != stated:
        raise ConfigError(
            f"train_split: {name} on disk has hash {split.hash}, the planner was trained on {stated}; {remedy}"
        )
    return split


def check_apart(split: Split, trained_on: Split) -> None:
    """Refuse scenes, and logs, that the planner was trained on.

    Raises:
        ConfigError: naming one.
    """
    shared = set(split.tokens) & set(trained_on.tokens)
    if shared:
        raise ConfigError(
            f"split: {split.name} shares {len(shared)} scenes with the training split {trained_on.name}, {min(shared)} "
            "for one; the planner was trained on them. Tune on scenes it has not seen"
        )
    logs = set(split.logs) & set(trained_on.logs)
    if logs:
        raise ConfigError(
            f"split: {split.name} shares {len(logs)} logs with the training split {trained_on.name}, {min(logs)} for "
            "one; scenes of one drive are alike. Tune on other logs"
        )

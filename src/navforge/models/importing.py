"""A published checkpoint made into one of ours, which `load_planner` and so `navforge evaluate` read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navforge.core import provenance
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint
from navforge.models import checkpoints
from navforge.models.conversion import Recognised, State, convert, recognise
from navforge.models.conversions import CONVERSIONS
from navforge.models.plain_files import load_plain
from navforge.models.planner_config import PlannerConfig, planner_to_dict
from navforge.vocabulary.vocabulary import Vocabulary

STATE_KEY = "state_dict"
"""Where Lightning keeps parameters."""


@dataclass(frozen=True)
class Imported:
    """What was recognised and written."""

    conversion: str
    prefix: str
    parameters: int
    """Trainable and frozen numbers of our planner, buffers left out."""


def import_checkpoint(
    source: Path, config: PlannerConfig, out: Path, *, vocabulary: Vocabulary | None = None
) -> Imported:
    """Convert `source` to a planner of `config` and write it to `out`, whole or not at all.

    Args:
        source: a published checkpoint: a Lightning file or a plain state dict.
        config: the planner it is of.
        out: checkpoint file to write.
        vocabulary: for a file that holds none; where it holds one, the two must be the same, unless the published code
            exchanges them too (`Conversion.any_vocabulary`).

    Raises:
        DataError: unreadable, of no known network, or its keys and shapes are not exactly those of `config`.
        ConfigError: another vocabulary than the file's, or none where one is needed.
    """
    recognised = recognise(read_published(source), CONVERSIONS)
    if vocabulary is not None and recognised.vocabulary is not None and recognised.conversion.any_vocabulary:
        exchanged = {str(recognised.conversion.vocabulary): torch.from_numpy(vocabulary.poses.copy())}
        recognised = replace(recognised, state={**recognised.state, **exchanged})
    vocabulary = _vocabulary(recognised, vocabulary, source)
    planner = config.build(vocabulary, pretrained=False)
    try:
        state = convert(recognised, planner.state_dict())
    except DataError as error:
        raise DataError(f"{source} is not the planner {config.name}: {error}") from error
    facts = {
        "imported": {
            "conversion": recognised.conversion.name,
            "file": source.name,
            "fingerprint": file_fingerprint(source),
            "prefix": recognised.prefix,
        },
        "fingerprints": {"vocabulary": None if vocabulary is None else vocabulary.fingerprint},
        "provenance": json.loads(json.dumps(provenance.collect(classes=config.classes))),
    }
    values: dict[str, Any] = {
        STATE_KEY: {checkpoints.PREFIX + name: value for name, value in state.items()},
        checkpoints.KEY: checkpoints.contents(planner_to_dict(config), facts),
    }
    checkpoints.write_values(out, values)
    return Imported(recognised.conversion.name, recognised.prefix, sum(p.numel() for p in planner.parameters()))


def read_published(path: Path) -> State:
    """The state dict of a published file, read without running code.

    Raises:
        DataError: missing, damaged, holding more than tensors and plain values, or no state dict.
    """
    remedy = (
        "navforge runs no code from a checkpoint: if you trust it, save its 'state_dict' alone with torch.save "
        "where the objects it names are known, and import that file"
    )
    values = load_plain(path, what="checkpoint", remedy=remedy, missing="download it and name it here")
    state = values.get(STATE_KEY, values) if isinstance(values, dict) else None
    if isinstance(values, dict) and checkpoints.KEY in values:
        raise DataError(f"{path} is a navforge checkpoint already; evaluate it as it is")
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path} holds no state dict: a dict of tensors, or one under the key {STATE_KEY!r}")
    return state


def _vocabulary(recognised: Recognised, given: Vocabulary | None, source: Path) -> Vocabulary | None:
    if recognised.vocabulary is None:
        return given
    held = Vocabulary(recognised.vocabulary.numpy())
    if given is not None and given.fingerprint != held.fingerprint:
        raise ConfigError(
            f"vocabulary: {source} holds one of {held.size} entries (fingerprint {held.fingerprint}), the one given "
            f"has {given.size} ({given.fingerprint}); leave the key out"
        )
    return held

"""Trained planners from checkpoints."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from navforge.core import extensions
from navforge.core.errors import ConfigError, DataError
from navforge.core.screen import say
from navforge.models.checkpoints import Checkpoint, read_checkpoint
from navforge.models.planner import VOCABULARY_KEY, Planner
from navforge.models.planner_config import PlannerConfig, planner_from_dict
from navforge.models.size_limit import parameters_at_most
from navforge.vocabulary.vocabulary import Vocabulary

_UNFIT = (
    RuntimeError,
    ValueError,
    TypeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    AttributeError,
    MemoryError,
)
"""What building a network raises of a config that no network was trained with."""


def load_planner(
    checkpoint: Path | str | Checkpoint, device: str | torch.device = "cpu", *, weights: str | None = None
) -> Planner:
    """The trained planner of a checkpoint, in `eval()` mode.

    The checkpoint holds config, vocabulary and all weights but frozen ones that came from a file: these are read from
    there, and only if they are the same. Encoders and heads of other packages it names only: they are imported, and if
    their code is not that of the training, a warning says so.

    Args:
        checkpoint: file, or what was read of it.
        device: to put the planner on.
        weights: where the file of frozen weights lies, if not where the checkpoint says.

    Raises:
        DataError: not a navforge checkpoint, damaged, holding anything but plain values and tensors, weights that do
            not fit its own config exactly, a class that cannot be imported, or a vocabulary that is not the one it was
            trained with.
        ConfigError: `weights` are given and it needs none.
    """
    opened = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    recorded = _extensions(opened)
    try:
        config = planner_from_dict(opened.planner)
    except _UNFIT as error:
        places = ", ".join(f"{facts['module']} in {facts['file']}" for facts in recorded.values())
        text = str(error) if isinstance(error, ConfigError) else str(error)[:500]
        raise DataError(f"{opened.path}: {text}" + (f"; it was trained with {places}" if places else "")) from error
    if changed := extensions.changes(config.classes, recorded):
        say(
            f"navforge: warning: {opened.path} was trained with other code of {', '.join(changed)}; plans may differ",
            file=sys.stderr,
        )
    if weights is not None:
        config = replace(config, encoder=config.encoder.with_weights(weights))
    outside = _outside(opened, config)
    if weights is not None and not outside:
        raise ConfigError(f"weights: {opened.path} needs no other file; drop weights={weights}")
    try:
        with parameters_at_most(outside + sum(tensor.numel() for tensor in opened.state.values())):
            planner = config.build(_vocabulary(opened), pretrained=outside > 0)
        planner.load_learned(opened.state)
    except _UNFIT as error:
        trace = extensions.users_traceback(error, *(c.__module__ for c in config.classes if not extensions.is_own(c)))
        raise DataError(
            f"{opened.path}: the weights do not fit the config stored with them: {str(error)[:500]}"
            + (f"\n{trace}" if trace else "")
        ) from error
    return planner.eval().to(device)


def _outside(checkpoint: Checkpoint, config: PlannerConfig) -> int:
    try:
        return config.encoder.outside_weights
    except DataError as error:
        raise DataError(
            f"{checkpoint.path} holds what {config.name} learned; the frozen weights of its encoder are in a separate "
            f"file, which is not here: {error}; or give weights=PATH, where they are (navforge export "
            f"checkpoint={checkpoint.path} weights=PATH out=FILE.ckpt writes a checkpoint that holds them)"
        ) from error


def _extensions(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """What a checkpoint says of the classes of other packages that it was trained with, as far as it is well-formed."""
    provenance = checkpoint.facts.get("provenance")
    recorded = provenance.get("extensions") if isinstance(provenance, dict) else None
    kinds = {"module": str, "file": (str, type(None)), "sources": dict}
    return {
        name: facts
        for name, facts in (recorded.items() if isinstance(recorded, dict) else ())
        if isinstance(facts, dict) and all(isinstance(facts.get(key), kind) for key, kind in kinds.items())
    }


def _vocabulary(checkpoint: Checkpoint) -> Vocabulary | None:
    poses = checkpoint.state.get(VOCABULARY_KEY)
    if poses is None:
        return None
    vocabulary = Vocabulary(poses.numpy())
    stated = checkpoint.facts.get("fingerprints", {}).get("vocabulary")
    if stated != vocabulary.fingerprint:
        raise DataError(
            f"{checkpoint.path}: the vocabulary inside has fingerprint {vocabulary.fingerprint}, the planner was "
            f"trained with {stated}; the file is damaged"
        )
    return vocabulary

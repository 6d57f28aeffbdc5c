"""Checkpoint files: a planner's config, weights, vocabulary and the fingerprints of all it was trained on.

A checkpoint holds weights under `state_dict`, the state of training, and the key `navforge`. It is read with
`weights_only=True`: tensors and plain values, no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navforge.core.errors import DataError
from navforge.core.files import atomic_path
from navforge.core.outside.files import shown
from navforge.core.outside.records import record
from navforge.models.plain_files import load_plain

KEY = "navforge"
FORMAT = 1
PREFIX = "planner."
"""Before every parameter of the planner in the state dict."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file's contents."""

    path: Path
    planner: dict[str, Any]
    """The planner's config as plain values."""
    state: dict[str, Tensor]
    """Parameters and buffers of the planner, the vocabulary among them."""
    facts: dict[str, Any]
    """`fingerprints` of vocabulary, teacher, cache and split, `train` config, `provenance`."""


@dataclass(frozen=True)
class _About:
    """What is written under `KEY`."""

    format: int
    planner: dict[str, Any]
    facts: dict[str, Any]


def contents(planner: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The value to write under `KEY`."""
    return {"format": FORMAT, "planner": planner, "facts": facts}


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read and check a checkpoint without running anything in it.

    Raises:
        DataError: missing, damaged, not of navforge, or holding more than tensors and plain values.
    """
    return planner_part(Path(path), read_values(path))


def planner_part(path: Path, values: dict[str, Any]) -> Checkpoint:
    """What of a checkpoint's values makes a planner."""
    try:
        about = record(_About, values[KEY])
        fingerprints = about.facts.get("fingerprints", {})
        if not isinstance(fingerprints, dict):
            raise ValueError(f"fingerprints are {shown(fingerprints)}")
        state = values["state_dict"]
        if not isinstance(state, dict) or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
        ):
            raise ValueError("state_dict holds more than tensors by name")
    except ValueError as error:
        raise DataError(f"checkpoint {path} is damaged: {error}") from error
    state = {name[len(PREFIX) :]: value for name, value in state.items() if name.startswith(PREFIX)}
    return Checkpoint(path, about.planner, state, about.facts)


def read_values(path: Path | str) -> dict[str, Any]:
    """Everything in a checkpoint, the state of training included.

    Raises:
        DataError: as `read_checkpoint`.
    """
    path = Path(path)
    remedy = (
        "navforge runs no code from a checkpoint: use one that navforge train wrote, or convert a published one with "
        f"navforge import-checkpoint source={path} agent=NAME out=FILE.ckpt"
    )
    values = load_plain(
        path, what="checkpoint", remedy=remedy, missing="navforge train writes checkpoints/best.ckpt in its out folder"
    )
    if not isinstance(values, dict) or KEY not in values or "state_dict" not in values:
        raise DataError(
            f"{path} is not a navforge checkpoint (key {KEY!r} is missing); a published one is converted by "
            f"navforge import-checkpoint source={path} agent=NAME out=FILE.ckpt"
        )
    if not isinstance(values[KEY], dict) or values[KEY].get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of navforge; train again or use that version")
    return values


def write_values(path: Path | str, values: dict[str, Any]) -> None:
    """Write a checkpoint: whole or not at all, with a CRC-32 of every record (torch's format is a zip archive).

    Raises:
        OSError: the disk is full; what was there before is untouched.
    """
    with atomic_path(path) as partial, open(partial, "wb") as file:
        try:
            torch.save(values, file)
        except RuntimeError as error:  # torch's writer says that it failed, the error of the file says why
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise

"""Checkpoint files: a planner's config, weights, vocabulary and the fingerprints of all it was trained on.

A checkpoint is what Lightning writes, plus one key, `navforge`. It is read with `weights_only=True`: tensors and
plain values, no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from navforge.core.errors import DataError
from navforge.models.plain_files import load_plain

KEY = "navforge"
FORMAT = 1
PREFIX = "planner."
"""Before every parameter of the planner in Lightning's state dict."""


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


def contents(planner: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The value to write under `KEY`."""
    return {"format": FORMAT, "planner": planner, "facts": facts}


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read and check a checkpoint without running anything in it.

    Raises:
        DataError: missing, damaged, not of navforge, or holding more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"checkpoint {path} not found; navforge train writes checkpoints/best.ckpt in its out folder")
    remedy = "navforge runs no code from a checkpoint: use one that navforge train wrote"
    values = load_plain(path, what="checkpoint", remedy=remedy)
    if not isinstance(values, dict) or KEY not in values or "state_dict" not in values:
        raise DataError(f"{path} is no navforge checkpoint (it lacks the key {KEY!r})")
    about = values[KEY]
    if about.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version of navforge; train again or use that version")
    state = {name[len(PREFIX) :]: value for name, value in values["state_dict"].items() if name.startswith(PREFIX)}
    return Checkpoint(path, about["planner"], state, about["facts"])

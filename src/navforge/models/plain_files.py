"""PyTorch files read without running anything in them: tensors and plain values only."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from navforge.core.errors import DataError


def load_plain(path: Path, *, what: str, remedy: str) -> Any:
    """What `torch.save` wrote, on the CPU.

    Args:
        path: the file.
        what: what it is to the user, such as "checkpoint".
        remedy: what to do about a file that is refused.

    Raises:
        DataError: damaged, or holding more than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{what} {path} is refused: it is damaged or holds more than tensors and plain values{_named(error)}; "
            f"{remedy}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{what} {path} cannot be read: {error}") from error


def _named(error: pickle.UnpicklingError) -> str:
    """What the file asked for, without torch's advice to load it all the same."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({found.group(1)})" if found else ""

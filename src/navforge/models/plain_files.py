"""PyTorch files read without running anything in them: tensors and plain values only.

torch refuses code, but believes the sizes that a file states; they are checked before torch sees the file.
"""

from __future__ import annotations

import os
import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navforge.core.errors import DataError
from navforge.core.outside import pickle_limits
from navforge.core.outside.files import but_is, open_regular
from navforge.geometry.compiled import kernel

LARGEST_PICKLE = 1 << 26
"""Bytes of the part of a file that holds no tensors."""
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_PICKLES = 5
"""Pickles at the beginning of a file from before torch 1.6: magic number, protocol, system, values, keys of tensors."""
_measure = kernel(pickle_limits.measure)


def load_plain(path: Path, *, what: str, remedy: str, missing: str = "") -> Any:
    """What `torch.save` wrote, on the CPU.

    Args:
        path: the file.
        what: what it is to the user, such as "checkpoint".
        remedy: what to do about a file that is refused.
        missing: how to get it where it is not there.

    Raises:
        DataError: as `check_plain`, or holding more than tensors and plain values.
    """
    check_plain(path, what=what, missing=missing)
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{what} {path} is refused: it is damaged or holds more than tensors and plain values{_named(error)}; "
            f"{remedy}"
        ) from error
    except Exception as error:  # whatever torch's reader stumbles over
        raise DataError(f"{what} {path} cannot be read: {type(error).__name__}: {str(error)[:200]}") from error
    _check_tensors(values, f"{what} {path}")
    return values


def check_plain(path: Path, *, what: str, missing: str = "") -> None:
    """Check a file of `torch.save` before torch reads it: its checksums, and the sizes it states.

    Raises:
        DataError: not there, not such a file, cut off, a bit is wrong, or it asks for more memory than it has bytes.
    """
    with open_regular(path, what, missing=missing) as file:
        head = file.read(16)
        if not head.startswith((_ZIP, _PICKLE)):
            raise DataError(f"{what} {path} is not a file of torch.save{but_is(head)}")
        file.seek(0)
        try:
            if head.startswith(_ZIP):
                _check_archive(path)
                return
            content, start = file.read(min(LARGEST_PICKLE, os.fstat(file.fileno()).st_size)), 0
            for _ in range(_PICKLES):
                start = pickle_limits.check(content, start, compiled=_measure)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, zlib.error) as error:
            raise DataError(f"{what} {path} is refused: it is cut off or damaged ({error})") from error


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        stored = sum(entry.file_size for entry in entries)
        if stored > path.stat().st_size:
            raise ValueError(f"its {len(entries)} parts would unpack to {stored} bytes")
        # torch itself does not look at checksums.
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                if entry.file_size > LARGEST_PICKLE:
                    raise ValueError(f"{entry.filename} has {entry.file_size} bytes")
                pickle_limits.check(archive.read(entry), compiled=_measure)


def _check_tensors(values: Any, what: str) -> None:
    """Raise DataError for a tensor that states more elements than it holds; values are no deeper than was measured."""
    if isinstance(values, Tensor):
        if values.layout != torch.strided or values.is_meta or values.is_quantized:
            raise DataError(f"{what} is refused: it holds a tensor that is not plain")
        if values.numel() * values.element_size() > values.untyped_storage().nbytes():
            raise DataError(
                f"{what} is refused: a tensor of shape {tuple(values.shape)} has fewer numbers than it states"
            )
    elif isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            _check_tensors(value, what)


def _named(error: pickle.UnpicklingError) -> str:
    """What the file asked for, without torch's advice to load it anyway."""
    match = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({match.group(1)})" if match else ""

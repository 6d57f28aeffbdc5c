"""Which checkpoints a run has and how far each of them is, read without loading torch or a single tensor."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core.outside import pickle_limits
from navforge.runs.folder import RunFolder

_LARGEST = 1 << 24
"""Bytes of the part of a checkpoint that holds no tensors; a larger one is not looked into."""


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """A checkpoint file."""

    name: str
    bytes: int
    written: float
    """s since 1970."""
    epoch: int | None
    """Epochs done; None where the file does not tell."""
    step: int | None
    """Optimiser steps done in all."""


def saved_states(folder: RunFolder) -> list[SavedState]:
    """Every checkpoint of a run, newest first."""
    states = []
    for path in folder.checkpoints.glob("*.ckpt"):
        if path.name.startswith("."):
            continue
        place = position(path)
        facts = path.stat()
        states.append(
            SavedState(
                name=path.name,
                bytes=facts.st_size,
                written=facts.st_mtime,
                epoch=place.get("epoch"),
                step=place.get("total"),
            )
        )
    return sorted(states, key=lambda state: (-state.written, state.name))


def position(path: Path) -> dict[str, int]:
    """`epoch`, `step` in it and `total` steps of a checkpoint; empty where it does not tell or is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if archive.getinfo(name).file_size > _LARGEST:
                return {}
            content = archive.read(name)
        pickle_limits.check(content)
        found = _PlainUnpickler(io.BytesIO(content)).load()["training"]["position"]
        return {key: value for key, value in found.items() if isinstance(value, int)}
    except Exception:  # whatever the readers of archives and pickles stumble over
        return {}


class _Blank:
    """Stands for every value that is not plain: accepts anything and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Blank:
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        return

    def __setitem__(self, _: Any, __: Any) -> None:
        return

    def append(self, _: Any) -> None:
        """Nothing."""

    extend = append

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class _PlainUnpickler(pickle.Unpickler):
    """Plain values only: no class of the file is ever looked up, so nothing in it runs."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """A blank, whatever is asked for."""
        return _Blank

    def persistent_load(self, pid: Any, /) -> Any:
        """A blank in place of a tensor's memory."""
        return _Blank()

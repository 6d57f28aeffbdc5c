"""`Vocabulary`: the fixed trajectories a planner chooses from, in the public `.npy` layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.files import atomic_path, fingerprint, write_json
from navforge.core.outside.arrays import read_npy
from navforge.core.outside.text import read_json

STEPS = 40
_SIDECAR_REMEDY = "delete it or build the vocabulary again"
INTERVAL_S = 0.1
PLAN_STEPS = np.arange(4, STEPS, 5)
"""Indices of the 8 poses at 2 Hz (0.5 s .. 4.0 s) among the 40 at 10 Hz."""


@dataclass(frozen=True)
class Vocabulary:
    """Trajectories of 4 s at 10 Hz, the current pose left out."""

    poses: NDArray[np.float32]
    """(N, 40, 3) x m, y m, heading rad in the ego rear-axle frame of the current pose."""

    def __post_init__(self) -> None:
        """Raise DataError unless the poses are finite float32 of shape (N, 40, 3)."""
        poses = self.poses
        if poses.ndim != 3 or poses.shape[1:] != (STEPS, 3) or len(poses) == 0:
            raise DataError(f"a vocabulary has shape (N, {STEPS}, 3) with N >= 1, this one {poses.shape}")
        if poses.dtype != np.float32:
            raise DataError(f"a vocabulary is float32, this one {poses.dtype}; convert it")
        wrong = np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))
        if len(wrong):
            raise DataError(f"{len(wrong)} vocabulary entries are not finite, the first is entry {wrong[0]}")
        far = np.flatnonzero(np.abs(poses[..., :2]).max(axis=(1, 2)) > 1000.0)
        if len(far):
            raise DataError(f"vocabulary entry {far[0]} is more than 1 km away; are these global poses?")

    @property
    def size(self) -> int:
        """Number of entries N."""
        return len(self.poses)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits naming the exact poses in their order, since scores are indexed by row."""
        return fingerprint(self.poses)

    @cached_property
    def plans(self) -> NDArray[np.float32]:
        """(N, 8, 3) the entries' poses at 2 Hz, which the imitation target compares with the human's."""
        return np.ascontiguousarray(self.poses[:, PLAN_STEPS])

    def save(self, path: Path | str, **facts: Any) -> None:
        """Write `path` (.npy) and beside it `path` + .json with size, fingerprint and `facts`; both atomically.

        Raises:
            DataError: `path` does not end in .npy.
        """
        path = Path(path)
        if path.suffix != ".npy":
            raise DataError(f"a vocabulary file ends in .npy, got {path}")
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, self.poses, allow_pickle=False)
        about = {"size": self.size, "fingerprint": self.fingerprint, "interval_s": INTERVAL_S, **facts}
        write_json(sidecar_path(path), about)

    @staticmethod
    def load(path: Path | str) -> Vocabulary:
        """Read a `.npy` vocabulary; a JSON file beside it, if there is one, must name the same fingerprint.

        Raises:
            DataError: missing, truncated, of another layout, or not the file its JSON describes.
        """
        path = Path(path)
        poses = read_npy(
            path,
            "vocabulary",
            missing=f"build one with: navforge vocab split=... out={path}",
            remedy="it must be a plain .npy array of float32",
        )
        try:
            vocabulary = Vocabulary(poses)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        _check_sidecar(path, vocabulary)
        return vocabulary


def sidecar_path(path: Path) -> Path:
    """The JSON file of facts beside a vocabulary."""
    return path.with_name(path.name + ".json")


def _check_sidecar(path: Path, vocabulary: Vocabulary) -> None:
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return
    stated = read_json(sidecar, "facts", remedy=_SIDECAR_REMEDY).get("fingerprint")
    if not isinstance(stated, str):
        raise DataError(f"facts {sidecar} are damaged: no fingerprint; {_SIDECAR_REMEDY}")
    if stated != vocabulary.fingerprint:
        raise DataError(
            f"{path} has fingerprint {vocabulary.fingerprint} but {sidecar.name} describes {stated}: one of the two "
            "was replaced; put the matching pair back or delete the JSON file"
        )

"""References of many scenes as flat arrays: light enough for 100,000 scenes, shared between processes after a fork."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.read import Reference, refer
from navforge.inputs.targets import Surroundings

Texts = NDArray[np.bytes_]


@dataclass(frozen=True)
class _Objects:
    """Surroundings of many scenes, one after the other."""

    boxes: NDArray[np.float64] = field(repr=False)
    classes: NDArray[np.uint8] = field(repr=False)
    first: NDArray[np.int64]
    """(S + 1,) first row of each scene."""
    poses: NDArray[np.float64]
    location: Texts

    def one(self, row: int) -> Surroundings:
        part = slice(self.first[row], self.first[row + 1])
        return Surroundings(self.boxes[part], self.classes[part], self.poses[row], self.location[row].decode())


@dataclass(frozen=True)
class References:
    """A sequence of `Reference`s."""

    tokens: Texts
    """(S,)"""
    _status: NDArray[np.float32] = field(repr=False)
    """(S, K, 8)"""
    _human_poses: NDArray[np.float32] | None = field(repr=False)
    _cameras: Texts = field(repr=False)
    """(S, C) paths."""
    _lidar: Texts | None = field(repr=False)
    _objects: _Objects | None = field(repr=False)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> Reference:
        return Reference(
            token=self.tokens[row].decode(),
            status=self._status[row],
            human_poses=None if self._human_poses is None else self._human_poses[row],
            cameras=tuple(Path(name.decode()) for name in self._cameras[row]),
            lidar=None if self._lidar is None else Path(self._lidar[row].decode()),
            around=None if self._objects is None else self._objects.one(row),
        )

    @staticmethod
    def gather(scenes: Iterable[Scene], spec: InputSpec, data: DataConfig) -> References:
        """References of scenes, which are let go one by one; raises as `read.refer`, and for no scene at all."""
        references = [refer(scene, spec, data) for scene in scenes]
        if not references:
            raise DataError("no scenes to read")
        around = [one.around for one in references if one.around is not None]
        poses = [one.human_poses for one in references if one.human_poses is not None]
        lidar = [str(one.lidar).encode() for one in references if one.lidar is not None]
        return References(
            tokens=np.array([one.token.encode() for one in references]),
            _status=np.stack([one.status for one in references]),
            _human_poses=np.stack(poses) if poses else None,
            _cameras=np.array([[str(file).encode() for file in one.cameras] for one in references]),
            _lidar=np.array(lidar) if lidar else None,
            _objects=_flatten(around) if around else None,
        )


def _flatten(around: list[Surroundings]) -> _Objects:
    return _Objects(
        boxes=np.concatenate([one.boxes for one in around]),
        classes=np.concatenate([one.classes for one in around]),
        first=np.cumsum([0, *(len(one.boxes) for one in around)]),
        poses=np.stack([one.pose for one in around]),
        location=np.array([one.location.encode() for one in around]),
    )

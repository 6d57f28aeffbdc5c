"""Scenes: windows of consecutive log frames around a current frame, cut as NAVSIM's `SceneLoader` cuts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.logs import Frame, read_log
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.data.windows import windows
from navforge.geometry.se2 import poses_to_local


@dataclass(frozen=True, slots=True)
class EgoStatus:
    """What the ego knows of itself at one frame, in the frame's own ego frame."""

    velocity: NDArray[np.float32]
    """(2,) m/s at the rear axle."""
    acceleration: NDArray[np.float32]
    """(2,) m/s2 at the rear axle."""
    command: NDArray[np.int64]
    """(4,) one-hot `geometry.columns.Command`."""


@dataclass(frozen=True)
class Scene:
    """A current frame with its history and future; typed and lazy, as its frames are."""

    frames: tuple[Frame, ...] = field(repr=False)
    """History, current and future, 2 Hz."""
    num_history_frames: int
    """Past frames and the current one."""
    token: str
    """The current frame's token."""
    split_folder: str
    """Name of the folder under the log root and the sensor root."""

    @property
    def current(self) -> Frame:
        """The frame plans start from."""
        return self.frames[self.num_history_frames - 1]

    @property
    def history(self) -> tuple[Frame, ...]:
        """Past frames, oldest first, the current one last."""
        return self.frames[: self.num_history_frames]

    @property
    def future(self) -> tuple[Frame, ...]:
        """Frames after the current one."""
        return self.frames[self.num_history_frames :]

    @property
    def log_name(self) -> str:
        """Log the scene was cut from, as the current frame says."""
        return self.current.log_name

    @property
    def map_location(self) -> str:
        """Name of the map, aliases resolved."""
        return self.current.map_location

    def human_poses(self, n: int = 8) -> NDArray[np.float64]:
        """(n, 3) logged future poses at 2 Hz, ego frame of the current pose.

        Raises:
            DataError: the scene has fewer than n future frames.
        """
        if n > len(self.future):
            raise DataError(f"scene {self.token}: {n} future poses requested, {len(self.future)} frames available")
        return self._local(self.future[:n])

    def history_poses(self) -> NDArray[np.float64]:
        """(H, 3) poses of the history frames in the ego frame of the current pose; the last is zero."""
        return self._local(self.history)

    def ego_status(self, frame: int = -1) -> EgoStatus:
        """Ego status of a history frame.

        Args:
            frame: index into `history`; -1 the current frame.
        """
        ego_frame = self.history[frame]
        return EgoStatus(ego_frame.velocity, ego_frame.acceleration, ego_frame.driving_command)

    def _local(self, frames: Sequence[Frame]) -> NDArray[np.float64]:
        poses = np.array([frame.pose for frame in frames], np.float64).reshape(-1, 3)
        return poses_to_local(self.current.pose, poses)


def read_scenes(split: Split, data: DataConfig, log_name: str) -> list[Scene]:
    """All scenes of a split in one log, in time order; reads that log's pickle once.

    Raises:
        DataError: the split has no such log, the log cannot be read, or it changed since the split was loaded.
    """
    if log_name not in split.logs:
        raise DataError(f"split {split.name} has no log {log_name!r}")
    wanted = set(split.logs[log_name])
    path = split.log_path(data, log_name)
    size = split.filter.num_history_frames
    scenes = [
        Scene(frames, size, frames[size - 1].token, split.folders[log_name])
        for frames in windows(read_log(path).frames, split.filter)
        if frames[size - 1].token in wanted
    ]
    if len(scenes) != len(wanted):
        raise DataError(f"{path} changed since split {split.name} was loaded: {len(scenes)} of {len(wanted)} scenes")
    return scenes

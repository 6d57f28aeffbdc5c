"""Camera frames of logs as examples without labels: also those no scene plans from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.data.logs import Frame, read_log
from navforge.data.paths import DataConfig
from navforge.data.sensors import camera_parameters, sensor_file
from navforge.data.splits import Split
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.dataset import Example, Examples, Kept, Source
from navforge.inputs.jpeg import read_camera
from navforge.inputs.stored import Arrays

FRAME = "frame"


@dataclass(frozen=True)
class FrameFiles:
    """Image files of frames, as flat arrays that are light to hand to loader workers."""

    tokens: NDArray[np.bytes_] = field(repr=False)
    """(N,) token of the log's frame and camera, as `TOKEN.CAM_F0`."""
    files: NDArray[np.bytes_] = field(repr=False)
    """(N,) paths."""
    logs: int
    """Logs they are of."""
    absent: int
    """Frames of these logs and cameras without a file."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens, in order."""
        return fingerprint("frames", [token.decode() for token in self.tokens])

    def part(self, count: int) -> FrameFiles:
        """The first of them."""
        return FrameFiles(self.tokens[:count], self.files[:count], self.logs, self.absent)

    def describe(self) -> str:
        """How many there are."""
        without = f"; {self.absent} more have no image file" if self.absent else ""
        return f"{len(self)} frames of {self.logs} logs{without}"


def frame_files(split: Split, data: DataConfig, cameras: Sequence[str], *, scenes_only: bool) -> FrameFiles:
    """Frames of the logs of a split, log by log and in time order.

    Data sets come with fewer images than frames: those whose file is not there are counted and left out.

    Args:
        split: the logs.
        data: where logs and images are.
        cameras: of each frame.
        scenes_only: only current frames of the split's scenes, instead of all frames of its logs.

    Raises:
        DataError: a log cannot be read or has no such camera, or no frame has an image.
    """
    there = _Listing()
    tokens, files, absent = [], [], 0
    for log_name, wanted in split.logs.items():
        for frame, camera in _views(split, data, log_name, cameras, set(wanted) if scenes_only else None):
            file = sensor_file(data, split.folders[log_name], camera_parameters(frame, camera).path)
            if file in there:
                tokens.append(f"{frame.token}.{camera}".encode())
                files.append(str(file).encode())
            else:
                absent += 1
    if not tokens:
        raise DataError(
            f"none of the {absent} frames of split {split.name} has an image of {', '.join(cameras)} under "
            f"{data.sensor_root()}; navforge data check split={split.name} says what is there"
        )
    return FrameFiles(np.array(tokens), np.array(files), len(split.logs), absent)


class FrameDataset(Dataset[Example]):
    """Frames brought to a square, as examples: `token` and `frame` (3, size, size) uint8."""

    def __init__(self, frames: FrameFiles, size: int, *, keep_inputs: bool) -> None:
        """Decode all frames now with `keep_inputs`.

        Raises:
            ConfigError: the kept frames would take more than half of the free memory.
            CorruptSample: with `keep_inputs`, an image is damaged.
        """
        self.frames = frames
        self.source: Source = _FromFiles(frames, size)
        if keep_inputs:
            self.source = Kept(self.source, len(frames))

    @property
    def in_memory(self) -> bool:
        """Whether frames are held."""
        return isinstance(self.source, Kept)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Example:
        """One example; raises `CorruptSample`."""
        return {"token": self.frames.tokens[index].decode(), **self.source[index]}

    def __getitems__(self, indices: Sequence[int]) -> Examples:
        """Examples of a batch, each read when `collate` comes to it."""
        return Examples(self, indices)


class _FromFiles:
    """Decodes and scales each time."""

    def __init__(self, frames: FrameFiles, size: int) -> None:
        self.frames = frames
        self.size = size

    def __getitem__(self, index: int) -> Arrays:
        file = Path(self.frames.files[index].decode())
        try:
            pixels = read_camera(file)
        except DataError as error:
            raise CorruptSample(self.frames.tokens[index].decode(), file, str(error)) from error
        square = Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return {FRAME: np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))}


class _Listing:
    """Whether files exist, by listing each folder once: asking for each of many files is slow on shared disks."""

    def __init__(self) -> None:
        self._names: dict[Path, frozenset[str]] = {}

    def __contains__(self, file: Path) -> bool:
        folder = file.parent
        if folder not in self._names:
            found = (entry.name for entry in folder.iterdir()) if folder.is_dir() else ()
            self._names[folder] = frozenset(found)
        return file.name in self._names[folder]


def _views(
    split: Split, data: DataConfig, log_name: str, cameras: Sequence[str], wanted: Collection[str] | None
) -> Iterator[tuple[Frame, str]]:
    for frame in read_log(split.log_path(data, log_name)).frames:
        if wanted is None or frame.token in wanted:
            yield from ((frame, camera) for camera in cameras)

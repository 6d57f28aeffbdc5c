"""Frames that contradict each other: times, ego states, boxes and images of a log that cannot all be true.

Nothing here changes a scene or a score: the benchmark takes frames as they are, 0.5 s apart. What is implausible is
counted and named, because human trajectories, targets and scores of such scenes do not mean what they say.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.logs import FRAME_INTERVAL_S, Frame, LogBox
from navforge.geometry.se2 import wrap_angle

SPACING_TOLERANCE = 0.1
"""Share of 0.5 s by which frames may be closer or farther apart."""
_UNITS = {"nanoseconds": 1e3, "milliseconds": 1e-3}
"""Units in which times may have been written, with what a second in them is if they are read as microseconds, s."""
_JUMP_M = 3.0
_JUMP_MPS2 = 16.0
"""A position may differ from what the speeds before and after explain by 3 m and half this acceleration times dt^2."""
_TURN_RADPS = 2.0
"""No car turns faster."""
_TURN_S = 1.0
"""Over longer gaps a heading says nothing about the turn."""


class Doubt(StrEnum):
    """What is implausible; the value says it of a scene."""

    SPACING = "frames that are not 0.5 s apart"
    EGO_JUMP = "an ego that jumps"
    EMPTY_BOX = "boxes of zero size"
    SAME_IMAGE = "a camera image or time that another frame has too"
    UNANNOTATED = "no annotations"


@dataclass(frozen=True)
class Finding:
    """One implausible frame of a log."""

    doubt: Doubt
    index: int
    """Position of the frame in the log; for `SPACING` and `EGO_JUMP` of the later frame of two."""
    text: str

    @property
    def between(self) -> bool:
        """Whether the finding is about this frame and the one before it."""
        return self.doubt in (Doubt.SPACING, Doubt.EGO_JUMP)

    def within(self, frames: slice) -> bool:
        """Whether it concerns the frames of a window."""
        return frames.start + self.between <= self.index < frames.stop


def findings(frames: Sequence[Frame]) -> list[Finding]:
    """Everything implausible in a log's frames, in the order of `Doubt` and of time.

    A value that is missing or malformed is left for whoever needs it to refuse.
    """
    return [
        *_spacing(frames),
        *_jumps(frames),
        *_empty_boxes(frames),
        *_same_images(frames),
        *_unannotated(frames),
    ]


def _spacing(frames: Sequence[Frame]) -> Iterator[Finding]:
    for before, frame in itertools.pairwise(frames):
        seconds = _seconds_between(before, frame)
        if seconds is None or abs(seconds - FRAME_INTERVAL_S) <= SPACING_TOLERANCE * FRAME_INTERVAL_S:
            continue
        unit = next((name for name, size in _UNITS.items() if abs(seconds / size - FRAME_INTERVAL_S) < 0.25), None)
        looks = f"; times are microseconds, these look like {unit}" if unit else ""
        text = f"{seconds:g} s between frames {before.index} and {frame.index}{looks}"
        yield Finding(Doubt.SPACING, frame.index, text)


def _jumps(frames: Sequence[Frame]) -> Iterator[Finding]:
    for before, frame in itertools.pairwise(frames):
        seconds = _seconds_between(before, frame)
        states = [_ego(before), _ego(frame)]
        if seconds is None or seconds <= 0 or states[0] is None or states[1] is None:
            continue
        (start, speed), (end, speed_after) = states  # type: ignore[misc]
        moved = float(np.hypot(*(end - start)[:2]))
        driven = 0.5 * (speed + speed_after) * seconds
        turned = abs(float(wrap_angle(end[2] - start[2])))
        where = f"between frames {before.index} and {frame.index}"
        if abs(moved - driven) > _JUMP_M + 0.5 * _JUMP_MPS2 * seconds**2:
            text = f"moves {moved:.1f} m {where}, its speeds say {driven:.1f} m"
            yield Finding(Doubt.EGO_JUMP, frame.index, text)
        elif seconds <= _TURN_S and turned > _TURN_RADPS * seconds:
            yield Finding(Doubt.EGO_JUMP, frame.index, f"turns by {turned:.2f} rad {where}")


def _empty_boxes(frames: Sequence[Frame]) -> Iterator[Finding]:
    for frame in frames:
        anns = frame.raw.get("anns")
        boxes = _table(anns.get("gt_boxes")) if isinstance(anns, Mapping) else None
        if boxes is None:
            continue
        empty = np.flatnonzero((boxes[:, [LogBox.LENGTH, LogBox.WIDTH]] <= 0).any(axis=1))
        if len(empty):
            yield Finding(Doubt.EMPTY_BOX, frame.index, f"{len(empty)} of {len(boxes)} boxes of frame {frame.index}")


def _same_images(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Frames that share the file or the time stamp of a camera with another; both frames are named."""
    users: dict[tuple[str, str, Any], list[int]] = defaultdict(list)
    for frame in frames:
        cameras = frame.raw.get("cams")
        for name, camera in cameras.items() if isinstance(cameras, Mapping) else ():
            for key in ("data_path", "timestamp"):
                value = camera.get(key) if isinstance(camera, Mapping) else None
                if isinstance(value, str | int | float | np.number):
                    users[(str(name), key, value)].append(frame.index)
    shared: dict[int, str] = {}
    for (name, key, _), indices in users.items():
        if len(indices) > 1:
            what = "image file" if key == "data_path" else "time stamp"
            for index in indices:
                other = next(i for i in indices if i != index)
                shared.setdefault(index, f"{name} of frame {index} has the {what} of frame {other}")
    yield from (Finding(Doubt.SAME_IMAGE, index, text) for index, text in sorted(shared.items()))


def _unannotated(frames: Sequence[Frame]) -> Iterator[Finding]:
    for frame in frames:
        if not frame.annotated:
            yield Finding(Doubt.UNANNOTATED, frame.index, f"frame {frame.index}")


def _seconds_between(before: Frame, frame: Frame) -> float | None:
    try:
        return (frame.timestamp_us - before.timestamp_us) * 1e-6
    except DataError:
        return None


def _ego(frame: Frame) -> tuple[NDArray[np.float64], float] | None:
    """Pose (3,) and speed in m/s."""
    try:
        return frame.pose, float(np.hypot(*frame.velocity))
    except DataError:
        return None


def _table(value: Any) -> NDArray[np.float64] | None:
    """(O, 7) boxes, or None where they are malformed."""
    try:
        return np.asarray(value, np.float64).reshape(-1, len(LogBox))
    except (TypeError, ValueError):
        return None

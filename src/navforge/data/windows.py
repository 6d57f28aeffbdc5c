"""How a log's frames are cut into scenes, and why a frame is the current frame of none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from navforge.data.filters import SceneFilter
from navforge.data.logs import Frame


class Dropped(StrEnum):
    """Why the window around a frame is not a scene, in the order in which the conditions are looked at."""

    TOO_SHORT = "too short"
    """The log begins or ends within the window."""
    OFF_INTERVAL = "off the interval"
    """No window of the filter's `frame_interval` starts there."""
    NO_ROUTE = "no route"
    """The filter asks for a route, and the current frame has none."""


def outcomes(frames: Sequence[Frame], scene_filter: SceneFilter) -> list[Dropped | None]:
    """For each frame, why the window around it is dropped; None where it is a scene.

    As in the devkit's `filter_scenes`, frames count by their position in the log, gaps in time are not looked for, and
    a window that the end of the log cuts short is dropped. Tokens and `max_scenes` are the split's business.
    """
    before = scene_filter.num_history_frames - 1
    last = len(frames) - scene_filter.num_frames
    dropped: list[Dropped | None] = []
    for index, frame in enumerate(frames):
        start = index - before
        if not 0 <= start <= last:
            dropped.append(Dropped.TOO_SHORT)
        elif start % scene_filter.interval:
            dropped.append(Dropped.OFF_INTERVAL)
        elif scene_filter.has_route and not frame.roadblock_ids:
            dropped.append(Dropped.NO_ROUTE)
        else:
            dropped.append(None)
    return dropped


def window(index: int, scene_filter: SceneFilter) -> slice:
    """Frames of the window whose current frame is at `index`."""
    start = index - (scene_filter.num_history_frames - 1)
    return slice(start, start + scene_filter.num_frames)


def windows(frames: Sequence[Frame], scene_filter: SceneFilter) -> Iterator[tuple[Frame, ...]]:
    """Windows of a log that are scenes (see `outcomes`), in time order."""
    for index, dropped in enumerate(outcomes(frames, scene_filter)):
        if dropped is None:
            yield tuple(frames[window(index, scene_filter)])

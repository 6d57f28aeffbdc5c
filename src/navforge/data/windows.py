"""How a log's frames are cut into scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from navforge.data.filters import SceneFilter
from navforge.data.logs import Frame


def windows(frames: Sequence[Frame], scene_filter: SceneFilter) -> Iterator[tuple[Frame, ...]]:
    """Windows of a log that the filter's frame numbers, interval and route rule admit, in time order.

    As in the devkit's `filter_scenes`, frames count by their position in the log, gaps in time are not looked for, and
    a window that the end of the log cuts short is dropped. Tokens and `max_scenes` are the split's business.
    """
    size = scene_filter.num_frames
    for start in range(0, len(frames) - size + 1, scene_filter.interval):
        current = frames[start + scene_filter.num_history_frames - 1]
        if scene_filter.has_route and not current.roadblock_ids:
            continue
        yield tuple(frames[start : start + size])

"""What the metric cache takes from a scene's log; the rest comes from the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data import ego_states as ego
from navforge.data.observed_objects import global_objects
from navforge.data.scenes import Scene
from navforge.geometry.columns import State
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import FrameObjects, sightings
from navforge.metric_cache.scene import SCORED_STEPS
from navforge.metric_cache.tracks import ObjectTracks, interpolate

FUTURE_FRAMES = (SCORED_STEPS - 1) // 5
"""Future frames that every protocol needs: 4 s."""


@dataclass(frozen=True)
class LoggedScene:
    """The logged part of a cached scene."""

    log_name: str
    time_us: int
    """Of the current frame."""
    states: NDArray[np.float64]
    """(F, 11) ego states of the history, the current one last."""
    comfort_history: NDArray[np.float64]
    """(H, 11) ego states at 10 Hz (`ego_states.comfort_history`)."""
    objects_v1: ObjectTracks | None
    """None where the scene's future is too short for it."""
    objects_v2: ObjectTracks
    roadblocks: tuple[int, ...]
    """Route as logged."""


def read_logged(scene: Scene, frame_objects: dict[int, FrameObjects]) -> LoggedScene:
    """Read and check what scores need of a scene's log.

    Args:
        scene: at least 4 frames up to the current one and `FUTURE_FRAMES` after it, with annotations.
        frame_objects: objects of frames by their position in the log; those of the scene's frames are added.

    Raises:
        DataError: frames are missing or malformed, times do not ascend, an object is of an unknown class, has a box
            that is not finite or occurs twice, or a roadblock id is not a number.
    """
    if len(scene.future) < FUTURE_FRAMES:
        raise DataError(f"{FUTURE_FRAMES} future frames are needed, there are {len(scene.future)}")
    ahead = (scene.current, *scene.future)
    for frame in ahead:
        if frame.index not in frame_objects:
            frame_objects[frame.index] = global_objects(frame, ego.states([frame])[0, : State.HEADING + 1])
    seen = sightings([frame_objects[frame.index] for frame in ahead])
    states = ego.states(scene.history)
    times_us = np.array([frame.timestamp_us for frame in scene.history], np.int64)
    return LoggedScene(
        log_name=scene.log_name,
        time_us=scene.current.timestamp_us,
        states=states,
        comfort_history=ego.comfort_history(states, times_us),
        objects_v1=interpolate(seen, Devkit.V1) if len(ahead) > (Devkit.V1.observation_steps - 1) // 5 else None,
        objects_v2=interpolate(seen, Devkit.V2),
        roadblocks=_roadblocks(scene),
    )


def _roadblocks(scene: Scene) -> tuple[int, ...]:
    try:
        return tuple(int(block) for block in scene.current.roadblock_ids)
    except ValueError as error:
        raise DataError(f"route with a roadblock id that is not a number: {scene.current.roadblock_ids}") from error

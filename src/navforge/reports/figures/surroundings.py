"""What a picture shows of a scene beyond its cached arrays: lane centre lines and where objects came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.data.scenes import Scene
from navforge.geometry.se2 import points_to_global
from navforge.maps.map import Map
from navforge.maps.schema import Layer

Line = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Lines in the global frame."""

    lane_centers: tuple[Line, ...] = ()
    """(K, 2) each, in driving direction."""
    past_tracks: tuple[Line, ...] = ()
    """(K, 2) past positions of each object up to now, oldest first."""
    past_ego: Line | None = None
    """(H, 2) past positions of the rear axle, the current one last."""


def surroundings_of(scene: Scene, town: Map | None, radius: float = 80.0) -> Surroundings:
    """Lane centre lines of the map within `radius` m of ego, and the history of objects and ego.

    Args:
        scene: the scene; its history frames are read.
        town: map of the scene's location; None draws no lane centre lines.
        radius: half side of the square of the map that is taken, m.
    """
    x, y, _ = scene.current.pose.tolist()
    centers: Sequence[Line] = ()
    if town is not None:
        table = town.layer(Layer.BASELINE_PATH)
        rows = [table.row(int(fid)) for fid in town.near(Layer.BASELINE_PATH, x, y, radius)]
        centers = [table.lines.line(row)[:, :2] for row in rows]
    ego = np.array([frame.pose[:2] for frame in scene.history])
    return Surroundings(tuple(centers), tuple(_past_tracks(scene)), ego)


def _past_tracks(scene: Scene) -> list[Line]:
    seen: dict[str, list[NDArray[np.float64]]] = {}
    for frame in scene.history:
        annotations = frame.annotations
        places = points_to_global(frame.pose, np.asarray(annotations.boxes[:, :2], np.float64))
        for token, place in zip(annotations.track_tokens, places, strict=True):
            seen.setdefault(token, []).append(place)
    current = set(scene.current.annotations.track_tokens)
    return [np.array(places) for token, places in seen.items() if token in current and len(places) > 1]

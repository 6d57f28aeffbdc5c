"""A made-up drive over the tiny map: the ego goes east along lane 31 behind a slower car."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from navforge.data.paths import DataConfig
from navforge.maps.schema import Layer
from tests.data import tiny_log
from tests.maps.tiny_map import ORIGIN, box, tiny_features, write_map

FRAMES = 16
"""Three scenes of 4 + 10 frames."""

Box = tuple[str, str, float, float, float]
"""Track token, class, x, y (m from `ORIGIN`), speed eastwards."""

PARKED: Box = ("parked", "vehicle", 30.0, -1.5, 0.0)
CONE: Box = ("cone", "traffic_cone", 20.0, 2.9, 0.0)


def frame(index: int, log: int = 0, *, start: float = 5.0, speed: float = 4.0, boxes: Sequence[Box] = ()) -> Any:
    """The ego at `start + 2 m * index`, heading east; boxes move on from where they are at frame 0."""
    raw = tiny_log.raw_frame(index, log, speed=speed)
    x, y = start + 0.5 * speed * index, 1.5
    raw["ego2global_translation"] = np.array([ORIGIN[0] + x, ORIGIN[1] + y, 3.0])
    raw["ego2global_rotation"] = np.array([1.0, 0.0, 0.0, 0.0])
    rows = [[bx + 0.5 * vx * index - x, by - y, 0.0, 4.5, 2.0, 1.6, 0.0] for _, _, bx, by, vx in boxes]
    raw["anns"] = {
        "gt_boxes": np.array(rows, np.float64).reshape(-1, 7),
        "gt_names": np.array([name for _, name, _, _, _ in boxes], dtype=np.str_),
        "gt_velocity_3d": np.array([[vx, 0.0, 0.0] for *_, vx in boxes], np.float64).reshape(-1, 3),
        "instance_tokens": [f"{token}{index}" for token, *_ in boxes],
        "track_tokens": [token for token, *_ in boxes],
    }
    return raw


def write_world(root: Path, logs: int = 1, *, folder: str = "tiny", frames: int = FRAMES) -> DataConfig:
    """A map and some logs under `root`."""
    lead: Box = ("lead", "vehicle", 25.0, 1.5, 3.0)
    write_map(root / "maps", tiny_features() | {Layer.CARPARK_AREA: [(71, box(0, -12, 20, -8), {})]})
    for log in range(logs):
        content = [frame(i, log, start=5.0 + 0.1 * log, boxes=(lead, PARKED, CONE)) for i in range(frames)]
        tiny_log.write_log(root, folder, content, log)
    return DataConfig(logs=root / "navsim_logs", sensors=None, maps=root / "maps")

"""One scene's pictures for the report: read what is stored of it, draw it from above and through the front camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.data.sensors import camera_calibration, load_camera
from navforge.maps.map import Map
from navforge.metric_cache.scene import CachedScene
from navforge.reports.choose import Choice
from navforge.reports.figures import Style, Trajectory, draw_bev, draw_camera, surroundings_of
from navforge.reports.page import ScenePicture

FRONT_CAMERA = "CAM_F0"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A trajectory of one scene with its scores."""

    label: str
    poses: NDArray[np.floating]
    """(T, 3) ego frame."""
    style: Style
    score: float
    subscores: Mapping[str, float | None]
    """By column of the result table."""


def scene_picture(
    choice: Choice,
    scene: Scene,
    cached: CachedScene,
    plans: Sequence[Plan],
    *,
    protocol: str,
    data: DataConfig,
    town: Map | None = None,
    sensors: bool = True,
) -> ScenePicture:
    """Draw one chosen scene.

    Args:
        choice: the scene and why it is shown.
        scene: its log frames, for object histories and the camera.
        cached: its cached arrays.
        plans: trajectories to draw, the widest first.
        protocol: rules of the plans' scores.
        data: where sensor files are.
        town: map of the location, for lane centre lines.
        sensors: read the front camera; False where a split has no sensor files.

    Raises:
        DataError: the parts belong to different scenes, or the camera image is missing or damaged.
    """
    tokens = {choice.token, scene.token, cached.token}
    if len(tokens) > 1:
        raise DataError(f"pictures of different scenes were mixed: {', '.join(sorted(tokens))}")
    drawn = [Trajectory(plan.label, np.asarray(plan.poses, np.float64), plan.style) for plan in plans]
    camera = None
    if sensors:
        image = load_camera(scene, FRONT_CAMERA, data)
        camera = draw_camera(image, camera_calibration(scene.current, FRONT_CAMERA), drawn)
    return ScenePicture(
        token=scene.token,
        log_name=scene.log_name,
        reason=choice.reason,
        bev=draw_bev(cached, drawn, surroundings_of(scene, town)),
        camera=camera,
        protocol=protocol,
        scores=tuple((plan.label, plan.score, dict(plan.subscores)) for plan in plans),
    )

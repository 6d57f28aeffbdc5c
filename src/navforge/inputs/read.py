"""The one way from scenes to a planner's inputs, in training and in evaluation alike.

Only the sensors a planner's config asks for are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.data.sensors import load_camera
from navforge.models.contract import Inputs
from navforge.models.panorama import PanoramaConfig, stitch
from navforge.models.planner import PlannerConfig


def read_status(scene: Scene) -> NDArray[np.float32]:
    """(8,) driving command one-hot, vx, vy m/s, ax, ay m/s2 of the current frame."""
    status = scene.ego_status()
    return np.concatenate([status.command, status.velocity, status.acceleration]).astype(np.float32)


def read_panorama(scene: Scene, panorama: PanoramaConfig, data: DataConfig) -> NDArray[np.uint8]:
    """(3, height, width) the current frame's cameras, stitched.

    Raises:
        DataError: an image is missing or damaged.
    """
    return stitch({name: load_camera(scene, name, data) for name in panorama.names}, panorama)


def read_inputs(scenes: Sequence[Scene], planner: PlannerConfig, data: DataConfig) -> Inputs:
    """A batch of inputs (see `models.contract`) for consecutive scenes of the list.

    Raises:
        DataError: a sensor file a planner needs is missing or damaged.
    """
    inputs = {"status": torch.from_numpy(np.stack([read_status(scene) for scene in scenes]))}
    if planner.panorama is not None:
        images = np.stack([read_panorama(scene, planner.panorama, data) for scene in scenes])
        inputs["panorama"] = torch.from_numpy(images)
    return inputs

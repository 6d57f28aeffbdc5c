"""Who plans are compared with, simulated: the PDM-Closed reference and the human driver of a scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import SCORED_STEPS, CachedScene
from navforge.scoring.prepare.scene import check_finite
from navforge.simulation.plans import prepare_plans
from navforge.simulation.rollout import drive, simulate

Float = NDArray[np.float64]

HUMAN_POSES = 8
HUMAN_INTERVAL_S = 0.5


def drive_references(scene: CachedScene, devkits: Sequence[Devkit]) -> Float:
    """(D, 41, 11) simulated states, global frame, of the PDM-Closed reference of each release.

    Raises:
        DataError: a wrong shape, or numbers that are not finite.
    """
    _check(scene, "the ego state", scene.ego_state, (STATE_SIZE,))
    inputs = scene.pdm_reference_input[devkits]
    _check(scene, "the PDM-Closed reference", inputs, (len(devkits), SCORED_STEPS, 3))
    return simulate(scene.ego_state, inputs)


def drive_human(scene: CachedScene) -> Float | None:
    """(1, 41, 11) simulated states of the human driver; None for a synthetic scene, which has none.

    Raises:
        DataError: a wrong shape, or numbers that are not finite.
    """
    if scene.human_poses is None or scene.synthetic:
        return None
    _check(scene, "the human driver's poses", scene.human_poses, (HUMAN_POSES, 3))
    return drive(scene.ego_state, scene.time_us, prepare_plans(scene.human_poses[None], HUMAN_INTERVAL_S))


def _check(scene: CachedScene, what: str, array: Float, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise DataError(f"scene {scene.token}: {what} must have shape {shape}, got {array.shape}")
    check_finite(scene, what, array)

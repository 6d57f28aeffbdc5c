"""Scenes prepared together: what cannot be scored is refused by the name of its scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.batch.scenes import prepare_batch
from tests.scoring.scenes import Sketch, random_scene, two_lane_road

TOKEN = "fedcba9876543210"


def made() -> list[CachedScene]:
    return [random_scene(np.random.default_rng(0)), Sketch(polygons=two_lane_road(), token=TOKEN).scene()]


def with_reference(scene: CachedScene, value: float) -> CachedScene:
    reference = scene.pdm_reference_input.copy()
    reference[:, 20, 0] = value
    return replace(scene, pdm_reference_input=reference)


def with_human(scene: CachedScene, value: float) -> CachedScene:
    assert scene.human_poses is not None
    human = scene.human_poses.copy()
    human[3, 0] = value
    return replace(scene, human_poses=human)


def with_ego(scene: CachedScene, value: float) -> CachedScene:
    ego = scene.ego_state.copy()
    ego[3] = value
    return replace(scene, ego_state=ego)


DRIVERS = [
    (with_ego, "the ego state"),
    (with_reference, "the PDM-Closed reference"),
    (with_human, "the human driver's poses"),
]


@pytest.mark.parametrize("name", ["epdms_v2", "pdms_v1"])
@pytest.mark.parametrize(("spoil", "what"), DRIVERS)
def test_drivers_that_are_not_finite_are_refused(
    spoil: Callable[[CachedScene, float], CachedScene], what: str, name: str
) -> None:
    first, second = made()
    for value in (np.nan, np.inf):
        with pytest.raises(DataError, match=f"scene {TOKEN}: NaN or infinite numbers in {what}"):
            prepare_batch([first, spoil(second, value)], name)


@pytest.mark.parametrize(("spoil", "who"), [(with_reference, "PDM-Closed reference"), (with_human, "human driver")])
def test_drivers_whose_simulation_overflows_are_refused(
    spoil: Callable[[CachedScene, float], CachedScene], who: str
) -> None:
    first, second = made()
    with pytest.raises(DataError, match=f"scene {TOKEN}: a simulated state of the {who} is not finite"):
        prepare_batch([first, spoil(second, 1e250)])


@pytest.mark.parametrize("count", [1, 4, 9])
def test_human_drivers_of_another_length_are_refused(count: int) -> None:
    first, second = made()
    human = np.zeros((count, 3))
    with pytest.raises(DataError, match=rf"scene {TOKEN}: the human driver's poses must have shape \(8, 3\), got"):
        prepare_batch([first, replace(second, human_poses=human)])

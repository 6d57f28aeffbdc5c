"""Scenes with NaN or infinity do not get into a cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navforge.cache_builder.build import build_log, check_finite
from navforge.core.errors import DataError
from navforge.data.splits import load_split
from navforge.maps.map import read_map
from navforge.maps.schema import SCENE_LAYERS
from navforge.metric_cache.scene import CachedScene
from tests.cache_builder import tiny_scene
from tests.data import tiny_log
from tests.maps.tiny_map import LOCATION


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> CachedScene:
    data = tiny_scene.write_world(tmp_path_factory.mktemp("world"))
    built = build_log(load_split("tiny", data), data, "log0")
    assert not built.failures
    return built.record.scenes[0].scene


def spoilt(values: np.ndarray, wrong: float = np.nan) -> np.ndarray:
    values = values.copy()
    values.flat[-1] = wrong
    return values


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["ego_state", "history_states", "human_poses", "pdm_reference", "centerline"])
def test_values_that_are_not_finite_are_refused_by_name(cached: CachedScene, name: str, wrong: float) -> None:
    check_finite(cached)
    with pytest.raises(DataError, match=rf"scene {cached.token} of log log0: '{name}' holds NaN or infinity"):
        check_finite(replace(cached, **{name: spoilt(getattr(cached, name), wrong)}))


@pytest.mark.parametrize("name", ["pose", "extent", "first_heading", "first_velocity"])
def test_objects_that_are_not_finite_are_refused_by_name(cached: CachedScene, name: str) -> None:
    tracks = replace(cached.objects_v2, **{name: spoilt(getattr(cached.objects_v2, name))})
    with pytest.raises(DataError, match=rf"'objects_v2\.{name}' holds NaN or infinity"):
        check_finite(replace(cached, objects_v2=tracks))


def test_velocities_that_no_score_reads_may_be_unknown(cached: CachedScene) -> None:
    tracks = replace(cached.objects_v2, velocity=spoilt(cached.objects_v2.velocity))
    check_finite(replace(cached, objects_v2=tracks))


@pytest.mark.parametrize("key", ["ego2global_translation", "ego_dynamic_state"])
def test_a_log_with_nan_loses_the_scenes_that_need_the_frame(tmp_path, key: str) -> None:
    data = tiny_scene.write_world(tmp_path)
    frames = [tiny_scene.frame(index) for index in range(tiny_scene.FRAMES)]
    frames[5][key] = spoilt(np.array(frames[5][key], np.float64))
    tiny_log.write_log(tmp_path, "tiny", frames)
    built = build_log(load_split("tiny", data), data, "log0")
    assert built.failures
    assert all(f"log0.pkl, frame 5: '{key}' holds NaN or infinity" in failure.error for failure in built.failures)


def test_the_layers_that_scenes_need_are_those_that_are_read(tmp_path) -> None:
    """`data check` looks at this list: a layer less would pass a map on which every scene fails."""
    data = tiny_scene.write_world(tmp_path)
    assert not build_log(load_split("tiny", data), data, "log0").failures
    read = read_map(data.map_root(), LOCATION)._layers.keys()
    assert read == set(SCENE_LAYERS)

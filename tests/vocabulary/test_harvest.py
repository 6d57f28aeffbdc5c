"""Human trajectories of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split, load_split
from navforge.vocabulary.clustering import upsample
from navforge.vocabulary.harvest import human_trajectories, sampled, scene_trajectories


@pytest.fixture(scope="module")
def town(tiny_town: Path) -> tuple[Split, DataConfig]:
    data = DataConfig(logs=tiny_town / "navsim_logs", sensors=None, maps=tiny_town / "maps")
    return load_split("train", data), data


def test_rows_are_the_scenes_in_the_order_of_the_split(town: tuple[Split, DataConfig]) -> None:
    split, data = town
    found = human_trajectories(split, data, workers=1)
    scenes = [scene for log_name in split.logs for scene in read_scenes(split, data, log_name)]
    assert tuple(scene.token for scene in scenes) == split.tokens
    each = [upsample(scene.human_poses(10), scene.ego_status().velocity.astype(np.float64)) for scene in scenes]
    assert found.dtype == np.float32 and np.array_equal(found, np.stack(each))
    assert np.allclose(found[0, 4::5], scenes[0].human_poses(8), atol=1e-4)


def test_scenes_with_less_future_are_shaped_by_what_they_have(town: tuple[Split, DataConfig]) -> None:
    split, data = town
    (first, *_), long = (read_scenes(split, data, next(iter(split.logs))) for _ in range(2))
    short = type(first)(first.frames[:12], first.num_history_frames, first.token, first.split_folder)
    found = scene_trajectories([long[1], short, long[2]])
    assert np.array_equal(found[1], upsample(short.human_poses(8), short.current.velocity.astype(np.float64)))
    assert np.array_equal(found[[0, 2]], scene_trajectories(long[1:3]))


def test_a_sample_is_a_part_of_the_split_and_its_seed_decides(town: tuple[Split, DataConfig]) -> None:
    split, data = town
    part = sampled(split, 5, seed=3)
    assert len(part) == 5 and set(part.tokens) <= set(split.tokens) and all(part.logs.values())
    assert part == sampled(split, 5, seed=3) != sampled(split, 5, seed=4)
    whole = human_trajectories(split, data, workers=1)
    rows = [split.tokens.index(token) for token in part.tokens]
    assert rows == sorted(rows) and np.array_equal(human_trajectories(part, data, workers=1), whole[rows])
    assert sampled(split, len(split), seed=0) is split

"""What type checkers see of the public API: pyright reads this file too (pyproject.toml)."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray

import navforge
import navforge.scoring
from navforge.scoring import Scores
from tests.scoring.scenes import Sketch


def test_scores_are_arrays_of_the_kind_of_the_trajectories() -> None:
    scenes, poses = [Sketch().scene()], np.zeros((1, 2, 8, 3))
    arrays = navforge.score(scenes, poses)
    assert_type(arrays, Scores[NDArray[Any]])
    assert_type(arrays.score, NDArray[Any])
    assert_type(arrays.values["ego_progress"], NDArray[Any])
    assert isinstance(arrays.score, np.ndarray)
    tensors = navforge.score(navforge.prepare_batch(scenes), torch.from_numpy(poses), human_filter=False)
    assert_type(tensors, Scores[torch.Tensor])
    assert_type(tensors.collision_step, torch.Tensor)
    assert isinstance(tensors.collision_step, torch.Tensor)
    of_scene = navforge.scoring.score(scenes, poses, "pdms_v1", interval_s=0.5).map(lambda array: array[0].tolist())
    assert_type(of_scene, Scores[Any])

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from navforge.core.errors import DataError
from navforge.scoring.batch.arrays import SceneArrays, join_scenes, leaves, scene_of
from navforge.scoring.prepare.scene import prepare
from tests.scoring.scenes import Sketch, random_scene


def scenes(count: int) -> list[SceneArrays]:
    rng = np.random.default_rng(3)
    empty = Sketch().scene()  # no polygons, objects or lights
    made = [random_scene(rng) for _ in range(count)]
    return [prepare(scene) for scene in [made[0], empty, *made[1:]]]


@njit
def compiled_scene_of(batch, s):
    return scene_of(batch, s)


@pytest.mark.parametrize("take", [scene_of, compiled_scene_of], ids=["python", "compiled"])
def test_a_batch_holds_every_array_of_every_scene(take) -> None:
    given = scenes(3)
    batch, layout, memory = join_scenes(given)
    assert len(memory) == layout.size
    for s, scene in enumerate(given):
        for (name, own, _), (_, found, _) in zip(leaves(scene), leaves(take(batch, s)), strict=True):
            np.testing.assert_array_equal(found, own, err_msg=name)
            assert np.asarray(found).dtype == np.asarray(own).dtype, name


def test_arrays_lie_in_one_piece_of_memory() -> None:
    batch, _, memory = join_scenes(scenes(2))
    low, high = memory.ctypes.data, memory.ctypes.data + len(memory)
    for name, array, _ in leaves(batch.scenes):
        assert low <= array.ctypes.data <= high, name
        assert array.ctypes.data % 8 == 0, name


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(DataError, match="at least one scene"):
        join_scenes([])
    one = scenes(1)[0]
    other = one._replace(path=one.path._replace(xy=one.path.xy.astype(np.float32)))
    with pytest.raises(DataError, match=r"differ in the shape or type of path\.xy"):
        join_scenes([one, other])

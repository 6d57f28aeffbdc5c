"""Embree finds the nearest triangle, and only within the given end of a ray."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.core.errors import NavforgeError
from navforge.town.generate import generate
from navforge.town.scales import SCALES
from navforge.town.sensors import Rig, mesh
from navforge.town.sensors.rays import RayScene

WALLS = np.concatenate([mesh.box((x, x + 1), (-2, 2), (0, 3)) for x in (5, 9)]).astype(np.float32)


def shoot(*directions: tuple[float, float, float], far: float | None = None) -> np.ndarray:
    rays = np.array(directions, dtype=np.float32)
    ends = None if far is None else np.full(len(rays), far, np.float32)
    return RayScene(WALLS).first_hit(np.tile(np.float32([0, 0, 1]), (len(rays), 1)), rays, ends)


def test_nearest_wall_wins() -> None:
    first, missed, behind = shoot((1, 0, 0), (0, 1, 0), (-1, 0, 0))
    assert 0 <= first < 12
    assert missed == behind == -1


def test_far_ends_a_ray_in_lengths_of_its_direction() -> None:
    assert shoot((1, 0, 0), far=4.9)[0] == -1
    assert shoot((1, 0, 0), far=5.1)[0] >= 0
    assert shoot((10, 0, 0), far=0.51)[0] >= 0


def test_empty_scene_and_no_rays() -> None:
    nothing = RayScene(np.zeros((0, 3, 3), np.float32))
    assert (nothing.first_hit(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)) == -1).all()
    assert RayScene(WALLS).first_hit(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).shape == (0,)


def test_without_embreex_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    options: dict[str, Any] = {"seed": 0, "sensor_frames": "all", "rig": Rig(width=64, height=36), "workers": 1}
    with pytest.raises(NavforgeError, match=r'pip install "navforge\[town\]", or give sensors=none'):
        next(generate(tmp_path, SCALES["tiny"], sensors="cameras", **options))
    assert not (tmp_path / "maps").exists()

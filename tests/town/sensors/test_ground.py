"""The ground picture: what lies where, stripes and dashes of the right length, and a faithful pyramid."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.town.sensors import Scenery
from navforge.town.sensors.ground import SOIL_COLOR, Ground, Soil, _level


def soil_at(ground: Ground, x: float, y: float) -> Soil:
    column, row = int((x - ground.frame[0]) / ground.frame[2]), int((y - ground.frame[1]) / ground.frame[2])
    return Soil(int(ground.soil[row, column]))


@pytest.mark.parametrize(
    ("place", "soil"),
    [
        ((-100.0, 1.5), Soil.ASPHALT),
        ((40.0, 1.0), Soil.JUNCTION),
        ((-40.0, -8.0), Soil.CAR_PARK),
        ((-80.0, -10.0), Soil.PAVEMENT),
        ((-80.0, -7.1), Soil.KERB),
        ((-80.0, 0.4), Soil.ASPHALT),
        ((31.0, -3.0), Soil.WHITE),
        ((28.5, 0.5), Soil.WHITE),
        ((28.5, 1.0), Soil.ASPHALT),
        ((0.0, 60.0), Soil.GRASS),
    ],
)
def test_what_lies_where(scenery: Scenery, place: tuple[float, float], soil: Soil) -> None:
    assert soil_at(scenery.ground, *place) is soil


def test_dashes_are_three_metres_every_nine(scenery: Scenery) -> None:
    ground = scenery.ground
    row = int((3.5 - ground.frame[1]) / ground.frame[2])
    first = int((-119.0 - ground.frame[0]) / ground.frame[2])
    line = (ground.soil[row - 1 : row + 1, first : first + int(140 / ground.frame[2])] == Soil.WHITE).any(axis=0)
    edges = np.flatnonzero(np.diff(line.astype(int)))
    lengths = np.diff(edges) * ground.frame[2]
    assert len(lengths) > 20
    assert set(np.round(lengths)) == {3.0, 6.0}


def test_double_line_has_a_gap(scenery: Scenery) -> None:
    ground = scenery.ground
    finest = _level(ground.texels, ground.levels, 0)
    row, column = (int((a - b) / ground.frame[2]) for a, b in ((0.0, ground.frame[1]), (-80.0, ground.frame[0])))
    yellow = (finest[row - 3 : row + 3, column : column + 40].astype(int) @ [1, 0, -1]).mean(axis=1)
    left, right = yellow[:3].max(), yellow[3:].max()
    assert min(left, right) > 60, "two yellow lines"
    assert yellow[2:4].mean() < 0.8 * min(left, right), "and something darker between"


def test_paint_is_anti_aliased(scenery: Scenery) -> None:
    ground = scenery.ground
    finest = _level(ground.texels, ground.levels, 0)
    white = int(SOIL_COLOR[Soil.WHITE, 0])
    row, column = int((6.85 - ground.frame[1]) / ground.frame[2]), int((-90 - ground.frame[0]) / ground.frame[2])
    across = finest[row - 3 : row + 4, column, 0].astype(int)
    assert ((across > 120) & (across < white - 20)).any(), "a line narrower than two pixels has half-covered ones"


def test_pyramid_keeps_the_mean(scenery: Scenery) -> None:
    ground = scenery.ground
    means = [_level(ground.texels, ground.levels, k).mean(axis=(0, 1)) for k in range(len(ground.levels))]
    np.testing.assert_allclose(means, np.tile(means[0], (len(means), 1)), atol=1.0)

from __future__ import annotations

import numpy as np
import pytest

from navforge.cache_builder.drivable import drivable_map
from navforge.core.errors import DataError
from navforge.maps.map import read_map
from navforge.metric_cache.scene import MapLayer
from tests.cache_builder.tiny_scene import write_world
from tests.maps.tiny_map import LOCATION, ORIGIN


@pytest.fixture(scope="module")
def road_map(tmp_path_factory):
    data = write_world(tmp_path_factory.mktemp("world"), logs=0)
    return read_map(data.map_root(), LOCATION)


def test_near_the_road_every_scored_layer_is_there(road_map):
    found = drivable_map(road_map, ORIGIN[0] + 10.0, ORIGIN[1])
    layers = {MapLayer(code) for code in found.layer}
    assert {MapLayer.ROADBLOCK, MapLayer.LANE, MapLayer.CARPARK_AREA} <= layers
    assert MapLayer.ROADBLOCK_CONNECTOR not in layers
    assert np.flatnonzero(found.layer == MapLayer.ROADBLOCK)[0] == 0


def test_far_from_every_road_is_refused(road_map):
    with pytest.raises(DataError, match="no road within 100 m of the ego"):
        drivable_map(road_map, ORIGIN[0] + 1000.0, ORIGIN[1])

"""Spatial queries and version handling of maps on a hand-drawn map."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.core.errors import DataError
from navforge.maps import Layer, read_map
from tests.maps.tiny_map import CRS, LOCATION, ORIGIN, box, tiny_features, write_map

X, Y = ORIGIN


def test_geometry_is_in_the_metric_crs(tiny_map):
    assert tiny_map.crs == CRS
    lane = tiny_map.layer(Layer.LANE)
    np.testing.assert_allclose(
        lane.polygons.exterior(0) - ORIGIN, [[0, 0], [50, 0], [50, 3], [0, 3], [0, 0]], atol=1e-6
    )
    assert lane.fid.tolist() == [31, 32, 33, 34]


def test_near_is_a_square_and_touching_counts(tiny_map):
    assert tiny_map.near(Layer.ROADBLOCK, X + 55, Y, 4.9).tolist() == []
    assert tiny_map.near(Layer.ROADBLOCK, X + 55, Y, 5.001).tolist() == [61, 62]
    # The corner (50, 3) is 4.95 m away along both axes but 7 m as the crow flies.
    assert 61 in tiny_map.near(Layer.ROADBLOCK, X + 54.9, Y + 7.9, 4.95)


def test_near_uses_the_line_of_a_lane_connector_and_at_its_polygon(tiny_map):
    assert tiny_map.near(Layer.LANE_CONNECTOR, X + 55, Y + 2.8, 1.0).tolist() == []
    assert tiny_map.near(Layer.LANE_CONNECTOR, X + 55, Y + 2.4, 1.0).tolist() == [11]
    assert tiny_map.at(Layer.LANE_CONNECTOR, X + 55, Y + 2.8).tolist() == [11]


def test_at_excludes_holes(tiny_map):
    assert tiny_map.at(Layer.INTERSECTION, X + 60, Y + 5).tolist() == [41]
    assert tiny_map.at(Layer.INTERSECTION, X + 46.8, Y + 5.3).tolist() == []
    assert tiny_map.is_in(Layer.LANE, X + 1, Y - 1)
    assert not tiny_map.is_in(Layer.LANE, X + 55, Y - 1)


def test_nearest(tiny_map):
    fid, distance = tiny_map.nearest(Layer.ROADBLOCK, X + 120, Y + 1)
    assert fid == 62
    assert distance == pytest.approx(10, abs=1e-6)
    assert tiny_map.nearest(Layer.ROADBLOCK, X + 5, Y)[1] == 0


def test_results_come_in_file_order(tmp_path):
    features = {Layer.INTERSECTION: [(fid, box(0, 0, 10, 10), {}) for fid in (3, 5, 9, 12)]}
    write_map(tmp_path, features)
    found = read_map(tmp_path, LOCATION)
    assert found.near(Layer.INTERSECTION, X, Y, 1).tolist() == [3, 5, 9, 12]
    assert found.at(Layer.INTERSECTION, X + 5, Y + 5).tolist() == [3, 5, 9, 12]


def test_invalid_polygon_is_kept_as_it_is(tmp_path):
    bow_tie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    write_map(tmp_path, {Layer.INTERSECTION: [(1, bow_tie, {})]})
    table = read_map(tmp_path, LOCATION).layer(Layer.INTERSECTION)
    assert not shapely.is_valid(table.geometry[0])
    np.testing.assert_allclose(
        table.polygons.exterior(0) - ORIGIN, [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]], atol=1e-6
    )


def test_map_is_read_once_until_the_file_changes(tmp_path):
    path = write_map(tmp_path)
    first = read_map(tmp_path, LOCATION)
    assert read_map(tmp_path, LOCATION) is first
    path.unlink()
    features = tiny_features()
    features[Layer.CARPARK_AREA] = [(7, box(0, 0, 1, 1), {})]
    write_map(tmp_path, features)
    assert read_map(tmp_path, LOCATION) is not first
    assert read_map(tmp_path, LOCATION).layer(Layer.CARPARK_AREA).fid.tolist() == [7]


def test_alias_of_a_location(tmp_path):
    path = write_map(tmp_path)
    target = tmp_path / "us-nv-las-vegas-strip" / "2"
    target.mkdir(parents=True)
    path.rename(target / "map.gpkg")
    (tmp_path / "nuplan-maps-v1.0.json").write_text('{"us-nv-las-vegas-strip": {"version": "2"}}')
    assert read_map(tmp_path, "las_vegas").location == "us-nv-las-vegas-strip"


def test_unknown_location_names_those_there_are(tiny_map_root):
    with pytest.raises(DataError, match=f"no map 'moon'.*{LOCATION}"):
        read_map(tiny_map_root, "moon")


def test_missing_map_file_is_named(tmp_path):
    write_map(tmp_path).unlink()
    with pytest.raises(DataError, match=r"map\.gpkg is missing"):
        read_map(tmp_path, LOCATION)

"""Damaged and odd map files."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import shapely

from navforge.core.errors import DataError
from navforge.maps import Layer, read_map
from navforge.maps.geopackage import check_root, locations, read_crs, read_layer
from navforge.maps.schema import NO_FID, SCHEMAS
from tests.maps.tiny_map import CRS, LOCATION, ORIGIN, box, line, tiny_features, write_map


def read(path, layer):
    return read_layer(path, SCHEMAS[layer], CRS)


def test_index_lists_versions(tiny_map_root):
    assert locations(tiny_map_root) == {LOCATION: "1.0"}


def test_missing_and_damaged_index(tmp_path):
    with pytest.raises(DataError, match=r"nuplan-maps-v1\.0\.json not found.*data\.maps"):
        locations(tmp_path)
    (tmp_path / "nuplan-maps-v1.0.json").write_text('{"a": 3}')
    with pytest.raises(DataError, match="damaged"):
        locations(tmp_path)


def test_a_root_with_one_of_its_maps_will_do(tmp_path):
    write_map(tmp_path)
    index = tmp_path / "nuplan-maps-v1.0.json"
    index.write_text(json.dumps({"elsewhere": {"version": "1"}, **json.loads(index.read_text())}))
    check_root(tmp_path)
    shutil.rmtree(tmp_path / LOCATION)
    with pytest.raises(DataError, match=r"elsewhere.* is missing"):
        check_root(tmp_path)


def test_missing_layer_is_named(tmp_path):
    path = write_map(tmp_path, {Layer.INTERSECTION: [(1, box(0, 0, 1, 1), {})]})
    with pytest.raises(DataError, match="no layer 'lanes_polygons'"):
        read(path, Layer.LANE)


def test_missing_column_is_named(tmp_path):
    features = tiny_features()
    for _, _, attributes in features[Layer.LANE]:
        del attributes["lane_group_fid"]
    path = write_map(tmp_path, features)
    with pytest.raises(DataError, match=r"lanes_polygons lacks column\(s\) lane_group_fid"):
        read(path, Layer.LANE)


def test_columns_that_nobody_uses_may_be_missing_and_are_not_read(tmp_path):
    features = tiny_features()
    for _, _, attributes in features[Layer.LANE]:
        del attributes["lane_index"]
    lanes = read(write_map(tmp_path, features), Layer.LANE)
    assert set(lanes.columns) == {"lane_group_fid", "speed_limit_mps"}


def test_missing_crs(tmp_path):
    path = write_map(tmp_path, meta={"source": "nowhere"})
    with pytest.raises(DataError, match="projectedCoordSystem"):
        read_crs(path)


def test_truncated_file_is_named(tmp_path):
    path = write_map(tmp_path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"map\.gpkg"):
        read_map(tmp_path, LOCATION).layer(Layer.LANE)


def test_null_values(tiny_map):
    paths = tiny_map.layer(Layer.BASELINE_PATH)
    assert paths.column("lane_fid").tolist() == [NO_FID, NO_FID, 31, 32, 33, 34]
    assert paths.column("lane_fid").dtype == np.int64
    assert np.isnan(tiny_map.layer(Layer.LANE).column("speed_limit_mps")).tolist() == [False, True, False, True]


def test_single_part_multipolygons_read_as_polygons(tmp_path):
    multi = shapely.MultiPolygon([box(0, 0, 2, 1)])
    path = write_map(tmp_path, {Layer.INTERSECTION: [(1, multi, {}), (2, box(5, 5, 6, 6), {})]})
    flat = read(path, Layer.INTERSECTION).polygons
    assert len(flat) == 2
    assert flat.exterior(0)[2] - ORIGIN == pytest.approx([2, 1], abs=1e-6)


def test_two_parts_are_refused_where_one_is_needed(tmp_path):
    multi = shapely.MultiPolygon([box(0, 0, 2, 1), box(5, 5, 6, 6)])
    path = write_map(tmp_path, {Layer.INTERSECTION: [(1, multi, {})]})
    table = read(path, Layer.INTERSECTION)
    assert table.rows_containing(ORIGIN[0] + 5.5, ORIGIN[1] + 5.5).tolist() == [0]
    with pytest.raises(DataError, match="MultiPolygon"):
        _ = table.polygons


def test_features_without_geometry_meet_nothing(tmp_path):
    write_map(tmp_path, {Layer.INTERSECTION: [(1, box(0, 0, 1, 1), {}), (2, None, {}), (3, shapely.Polygon(), {})]})
    found = read_map(tmp_path, LOCATION)
    assert found.layer(Layer.INTERSECTION).fid.tolist() == [1, 2, 3]
    assert found.near(Layer.INTERSECTION, *ORIGIN, 50.0).tolist() == [1]
    assert found.nearest(Layer.INTERSECTION, ORIGIN[0] + 5, ORIGIN[1])[0] == 1
    with pytest.raises(DataError, match="no geometry at row 1"):
        _ = found.layer(Layer.INTERSECTION).polygons


def test_heights_are_dropped(tmp_path):
    tall = shapely.Polygon([(0, 0, 5), (1, 0, 5), (1, 1, 5)])
    path = write_map(tmp_path, {Layer.INTERSECTION: [(1, tall, {})]})
    assert read(path, Layer.INTERSECTION).polygons.xy.shape == (4, 2)


def test_flat_lines_keep_every_vertex(tmp_path):
    path = write_map(
        tmp_path, {Layer.BOUNDARY: [(1, line((0, 0), (1, 0), (1, 0), (2, 5)), {}), (2, line((3, 3), (4, 4)), {})]}
    )
    lines = read(path, Layer.BOUNDARY).lines
    assert lines.start.tolist() == [0, 4, 6]
    np.testing.assert_allclose(lines.line(0) - ORIGIN, [[0, 0], [1, 0], [1, 0], [2, 5]], atol=1e-6)

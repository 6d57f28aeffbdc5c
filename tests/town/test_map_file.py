"""Map files: readable, the same bytes every time, the same tables as real ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from navforge.maps.graph import lane_graph
from navforge.maps.map import read_map
from navforge.maps.schema import INDEX_FILE, LOCATIONS, SCHEMAS
from navforge.town.map_file import VERSIONS, write_maps
from navforge.town.world import TownMap


@pytest.fixture(scope="module")
def maps(town: TownMap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("maps")
    write_maps(root, [town])
    return root


def map_files(root: Path) -> list[Path]:
    return [root / location / VERSIONS[location] / "map.gpkg" for location in LOCATIONS]


def table_columns(path: Path) -> dict[str, list[tuple[str, str]]]:
    with sqlite3.connect(path) as file:
        names = [row[0] for row in file.execute("select table_name from gpkg_contents")]
        return {name: [(row[1], row[2]) for row in file.execute(f"pragma table_info({name})")] for name in names}


def test_same_town_same_bytes(town: TownMap, maps: Path, tmp_path: Path) -> None:
    write_maps(tmp_path, [town])
    for old, new in zip(map_files(maps), map_files(tmp_path), strict=True):
        assert old.read_bytes() == new.read_bytes()
    assert (maps / INDEX_FILE).read_bytes() == (tmp_path / INDEX_FILE).read_bytes()


def test_lanes_come_back_where_they_were(town: TownMap, maps: Path) -> None:
    read = read_map(maps, town.location)
    for fid, lane in town.lanes.items():
        path = lane_graph(read).lane(fid).path
        assert np.allclose(path[[0, -1], :2], lane.centre[[0, -1]] + town.origin, atol=1e-6)


def test_all_four_locations_are_there(maps: Path) -> None:
    assert all(path.exists() for path in map_files(maps))


def test_tables_are_those_of_the_schema(town: TownMap, maps: Path) -> None:
    tables = table_columns(maps / town.location / VERSIONS[town.location] / "map.gpkg")
    for schema in SCHEMAS.values():
        assert [name for name, _ in tables[schema.name]] == ["fid", "geom", *(column.name for column in schema.columns)]


def test_tables_equal_those_of_real_maps(town: TownMap, maps: Path, realdata: Path) -> None:
    ours = table_columns(maps / town.location / VERSIONS[town.location] / "map.gpkg")
    real = table_columns(realdata / "maps" / "us-ma-boston" / VERSIONS["us-ma-boston"] / "map.gpkg")
    assert ours == real

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.maps import Map, read_map
from tests.maps.tiny_map import LOCATION, write_map


@pytest.fixture(scope="session")
def tiny_map_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("maps")
    write_map(root)
    return root


@pytest.fixture(scope="session")
def tiny_map(tiny_map_root: Path) -> Map:
    return read_map(tiny_map_root, LOCATION)

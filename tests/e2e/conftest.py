"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import pytest

from tests.e2e.world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))

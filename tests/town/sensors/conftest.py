"""One hand-made crossing, rendered once for all sensor tests."""

from __future__ import annotations

import pytest

from navforge.town.sensors import Scenery, build_scenery
from tests.town.sensors import sensor_scene


@pytest.fixture(scope="session")
def scenery() -> Scenery:
    return build_scenery(sensor_scene.town())

"""One hand-made crossing, rendered once for all sensor tests."""

from __future__ import annotations

import pytest
import sensor_scene

from navforge.town.sensors import Scenery, build_scenery


@pytest.fixture(scope="session")
def scenery() -> Scenery:
    return build_scenery(sensor_scene.town())

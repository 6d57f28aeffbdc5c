"""A small street plan shared by the tests of the town."""

from __future__ import annotations

import pytest

from navforge.town.build_map import build_map
from navforge.town.episode import Episode, Stage, play
from navforge.town.map_file import METRIC_CRS, ORIGIN_M
from navforge.town.scales import PlanConfig
from navforge.town.world import TownMap

LOCATION = "us-ma-boston"


@pytest.fixture(scope="session")
def town() -> TownMap:
    """A town with T and four-way junctions."""
    return build_map(
        location=LOCATION,
        crs=METRIC_CRS[LOCATION],
        origin=ORIGIN_M[LOCATION],
        plan=PlanConfig(rows=4, columns=4),
        seed=5,
    )


@pytest.fixture(scope="session")
def stage(town: TownMap) -> Stage:
    """The town, ready to drive in."""
    return Stage.of(town)


@pytest.fixture(scope="session")
def episode(stage: Stage) -> Episode:
    """One drive of 20 s."""
    return play(stage, (3, 1), 20.0)

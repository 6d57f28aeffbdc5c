"""A disagreement within rounding is explained, any other is not."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene, MapLayer
from navforge.scoring.engine import score_proposals
from navforge.scoring.margins import report, smallest_margin
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.rollout import simulate
from tests.scoring.scenes import Sketch, Thing, box, random_plans, random_scene, straight, two_lane_road

ROAD = two_lane_road()
NEAR = 1e-8


def lines(scene: CachedScene, metric: str, speed: float = 8.0) -> list[str]:
    """What is reported if another scorer found the opposite."""
    prepared = prepare(scene)
    states = simulate(scene.ego_state, to_reference_poses(scene, straight(8, 0.5, speed)[None], 0.5))
    ours = score_proposals(prepared, states, "epdms_v2").values[metric]
    return report(prepared, states, metric, Devkit.V2, ours, 1.0 - ours)


def test_boxes_that_all_but_touch() -> None:
    y = 0.5 * 2.297 + 0.95 + NEAR
    near = Sketch(polygons=ROAD, things=[Thing(x=20.0, y=y)]).scene()
    assert "the box of object 0" in lines(near, "no_at_fault_collisions")[0]
    assert "UNEXPLAINED" not in lines(near, "no_at_fault_collisions")[0]
    far = Sketch(polygons=ROAD, things=[Thing(x=20.0, y=y + 0.01)]).scene()
    assert "UNEXPLAINED" in lines(far, "no_at_fault_collisions")[0]


def test_corners_on_a_boundary() -> None:
    edge = 0.5 * 2.297 + NEAR
    road = [(MapLayer.ROADBLOCK, box(-50, -9, 150, edge), False)]
    assert "a boundary of drivable" in lines(Sketch(polygons=road).scene(), "drivable_area_compliance")[0]
    assert "UNEXPLAINED" in lines(Sketch(polygons=ROAD).scene(), "drivable_area_compliance")[0]


def test_a_red_connector_and_a_deviation() -> None:
    connector = box(4.049 + 8.0 + NEAR, -2, 30, 2)
    scene = Sketch(polygons=ROAD, lights=[(10, connector)]).scene()
    assert "the outline of red connector 0 at step 10" in lines(scene, "traffic_light_compliance")[0]
    line = np.array([[-20.0, 0.5 + NEAR], [120.0, 0.5 + NEAR]])
    scene = Sketch(polygons=ROAD, centerline=line).scene()
    assert "off the centreline" in lines(scene, "lane_keeping")[0]


def test_agreement_is_not_reported() -> None:
    scene = Sketch(polygons=ROAD).scene()
    states = simulate(scene.ego_state, to_reference_poses(scene, straight(8, 0.5, 8.0)[None], 0.5))
    assert report(prepare(scene), states, "lane_keeping", Devkit.V2, np.ones(1), np.ones(1)) == []


@pytest.mark.parametrize("name", ["pdms_v1", "epdms_v2"])
def test_every_discrete_sub_score_has_a_margin(name: str) -> None:
    """On a random scene, and never within rounding by chance."""
    rng = np.random.default_rng(2)
    scene = random_scene(rng)
    rules = protocol(name)
    states = simulate(scene.ego_state, to_reference_poses(scene, random_plans(rng, 3), 0.1))
    for metric in rules.metrics:
        if metric.name != "ego_progress":
            margins = [smallest_margin(prepare(scene), one, metric.name, rules.devkit) for one in states]
            assert all(margin.value >= 0.0 for margin in margins)
            assert not any(margin.explains for margin in margins), margins

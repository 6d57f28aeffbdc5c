"""The kernels against the plain shapely scorer on random scenes."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.metric_cache.devkit import Devkit
from navforge.scoring.engine import score_proposals
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.rollout import simulate
from tests.scoring.reference import Reference
from tests.scoring.scenes import moved, random_plans, random_scene

ORIGIN = np.array([331_234.5, 4_690_987.25, 2.3])
PLANS = 10


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["pdms_v1", "epdms_v2"])
def test_agrees_with_the_plain_reference(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    if seed % 2:
        scene = moved(scene, ORIGIN)
    states = simulate(scene.ego_state, to_reference_poses(scene, random_plans(rng, PLANS), 0.1))
    rules = protocol(name)
    reference = Reference(scene, Devkit.V1 if name == "pdms_v1" else Devkit.V2)
    expected = [reference.score(one) for one in states]
    for raster in (True, False):
        found = score_proposals(prepare(scene, rules.devkit, raster=raster), states, rules)
        for metric in rules.metrics:
            if metric.name != "ego_progress":
                np.testing.assert_array_equal(
                    found.values[metric.name], [e[metric.name] for e in expected], metric.name
                )
        np.testing.assert_allclose(found.progress_m, [e["progress"] for e in expected], atol=1e-6)
        np.testing.assert_array_equal(found.collision_step, [e["collision_step"] for e in expected])
        np.testing.assert_array_equal(found.ttc_step, [e["ttc_step"] for e in expected])


def test_random_scenes_exercise_every_sub_score() -> None:
    """Each sub-score takes each of its values somewhere, so agreement above means something."""
    seen: dict[str, set[float]] = {}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng)
        states = simulate(scene.ego_state, to_reference_poses(scene, random_plans(rng, 60), 0.1))
        for name in ("pdms_v1", "epdms_v2"):
            for column, values in score_proposals(prepare(scene, protocol(name).devkit), states, name).values.items():
                seen.setdefault(column, set()).update(values.tolist())
    for column in ("no_at_fault_collisions", "driving_direction_compliance"):
        assert seen[column] == {0.0, 0.5, 1.0}, column
    for column in (
        "drivable_area_compliance",
        "traffic_light_compliance",
        "time_to_collision_within_bound",
        "lane_keeping",
        "history_comfort",
        "comfort",
    ):
        assert seen[column] == {0.0, 1.0}, column

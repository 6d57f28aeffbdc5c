"""Scenes small enough to check by hand, properties, and input that must be refused or survived."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from navforge.core.errors import ConfigError, DataError
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer
from navforge.scoring.engine import ProposalScores, score_plans, score_proposals
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.rollout import simulate
from tests.scoring.human import human_scores
from tests.scoring.scenes import (
    Sketch,
    Thing,
    box,
    moved,
    random_plans,
    random_scene,
    straight,
    two_lane_road,
)

BOTH = ("pdms_v1", "epdms_v2")


def run(scene: CachedScene, plans: np.ndarray, name: str = "epdms_v2", interval: float = 0.5) -> ProposalScores:
    states = simulate(scene.ego_state, to_reference_poses(scene, plans, interval))
    return score_proposals(prepare(scene, protocol(name).devkit), states, name)


def one(scene: CachedScene, plan: np.ndarray, name: str = "epdms_v2") -> dict[str, float]:
    return {column: float(value[0]) for column, value in run(scene, plan[None], name).values.items()}


CRUISE = straight(8, 0.5, 8.0)
ROAD = two_lane_road()


@pytest.mark.parametrize("name", BOTH)
def test_an_empty_road_scores_one(name: str) -> None:
    scene = Sketch(polygons=ROAD).scene()
    scores = run(scene, CRUISE[None], name)
    assert {column: value[0] for column, value in scores.values.items()} == dict.fromkeys(scores.values, 1.0)
    assert scores.score[0] == 1.0
    assert scores.collision_step[0] == scores.ttc_step[0] == -1
    # 8 m/s for 4 s along a straight centreline.
    assert scores.progress_m[0] == pytest.approx(32.0, abs=1e-6)


def test_hitting_a_parked_car_is_at_fault() -> None:
    # Ego front at 1.461 + 2.588 + 8 t, car's rear at 22.75: they touch at t = 2.338 s, step 24.
    scene = Sketch(polygons=ROAD, things=[Thing(x=25.0, y=0.0)]).scene()
    scores = run(scene, CRUISE[None])
    assert scores.values["no_at_fault_collisions"][0] == 0.0
    assert scores.collision_step[0] == 24
    # 0.9 s ahead at 8 m/s: 7.2 m earlier, at t = 1.438 s.
    assert scores.ttc_step[0] == 15
    assert scores.values["time_to_collision_within_bound"][0] == 0.0
    assert scores.score[0] == 0.0


def test_hitting_a_cone_costs_half() -> None:
    cone = Thing(x=25.0, y=0.0, length=0.3, width=0.3, type=ObjectType.TRAFFIC_CONE)
    scores = run(Sketch(polygons=ROAD, things=[cone]).scene(), CRUISE[None])
    assert scores.values["no_at_fault_collisions"][0] == 0.5
    # An agent hit after a static object makes it 0 but keeps the first step.
    both = run(Sketch(polygons=ROAD, things=[cone, Thing(x=32.0, y=0.0)]).scene(), CRUISE[None])
    assert both.values["no_at_fault_collisions"][0] == 0.0
    assert both.collision_step[0] == scores.collision_step[0]


def test_being_hit_from_behind_is_not_at_fault() -> None:
    scene = Sketch(polygons=ROAD, speed=4.0, things=[Thing(x=-12.0, y=0.0, vx=12.0)]).scene()
    scores = run(scene, straight(8, 0.5, 4.0)[None])
    assert scores.values["no_at_fault_collisions"][0] == 1.0
    assert scores.collision_step[0] == -1


def test_being_hit_while_standing_is_not_at_fault() -> None:
    scene = Sketch(polygons=ROAD, speed=0.0, things=[Thing(x=20.0, y=0.0, vx=-8.0)]).scene()
    values = one(scene, np.zeros((8, 3)))
    assert values["no_at_fault_collisions"] == 1.0
    assert values["time_to_collision_within_bound"] == 1.0


def side_swipe(own_lane_left: float) -> CachedScene:
    """A car beside the ego drifts into its flank; only the lanes under the ego differ."""
    lane = (MapLayer.LANE, box(-50, -6, 150, own_lane_left), True)
    other = (MapLayer.LANE, box(-50, 0.5, 150, 9), False)
    road = (MapLayer.ROADBLOCK, box(-50, -9, 150, 9), False)
    car = Thing(x=1.0, y=3.0, vx=8.0, vy=-0.5)
    return Sketch(polygons=[road, lane, other], things=[car]).scene()


def test_a_lateral_collision_is_at_fault_only_across_lanes() -> None:
    assert one(side_swipe(6.0), CRUISE)["no_at_fault_collisions"] == 1.0
    # The left corners (y = 1.15) lie in the other lane only, the right ones in the own lane only.
    assert one(side_swipe(1.0), CRUISE)["no_at_fault_collisions"] == 0.0


def test_an_object_met_without_fault_is_forgotten() -> None:
    """Hit from behind first, the same car passing through to the front stays without fault."""
    scene = Sketch(polygons=ROAD, speed=4.0, things=[Thing(x=-8.0, y=0.0, vx=14.0)]).scene()
    assert one(scene, straight(8, 0.5, 4.0))["no_at_fault_collisions"] == 1.0


def test_objects_overlapping_the_ego_at_the_start() -> None:
    scene = Sketch(polygons=ROAD, things=[Thing(x=5.0, y=0.0)]).scene()
    assert one(scene, CRUISE)["no_at_fault_collisions"] == 1.0, "v2 drops it"
    assert one(scene, CRUISE, "pdms_v1")["no_at_fault_collisions"] == 0.0, "v1.1 does not"
    states = simulate(scene.ego_state, to_reference_poses(scene, CRUISE[None], 0.5))
    ignoring = score_proposals(prepare(scene, Devkit.V1, drop_overlapping=True), states, "pdms_v1")
    assert ignoring.values["no_at_fault_collisions"][0] == 1.0


def test_leaving_the_road() -> None:
    # The left corners reach y = 5.25 when the centre is at about 4.1.
    scene = Sketch(polygons=ROAD).scene()
    values = one(scene, straight(8, 0.5, 8.0, y=-3.0))
    assert values["drivable_area_compliance"] == 0.0
    assert one(scene, straight(8, 0.5, 8.0, y=0.3))["drivable_area_compliance"] == 1.0


def test_a_corner_on_the_boundary_is_outside() -> None:
    """A standing ego whose left side lies exactly on the road's edge: strict containment."""
    half = 0.5 * 2.297
    road = [(MapLayer.ROADBLOCK, box(-50, -5, 50, half), False)]
    assert one(Sketch(polygons=road, speed=0.0).scene(), np.zeros((8, 3)))["drivable_area_compliance"] == 0.0
    road = [(MapLayer.ROADBLOCK, box(-50, -5, 50, half + 1e-9), False)]
    assert one(Sketch(polygons=road, speed=0.0).scene(), np.zeros((8, 3)))["drivable_area_compliance"] == 1.0


@pytest.mark.parametrize("layer", [MapLayer.ROADBLOCK_CONNECTOR, MapLayer.GENERIC_DRIVABLE_AREA, MapLayer.LANE])
def test_layers_that_are_not_drivable(layer: MapLayer) -> None:
    scene = Sketch(polygons=[(layer, box(-50, -9, 150, 9), True)]).scene()
    assert one(scene, CRUISE)["drivable_area_compliance"] == 0.0


def test_driving_in_the_wrong_lane() -> None:
    wrong = [(layer, polygon, False) for layer, polygon, _ in ROAD]
    assert one(Sketch(polygons=wrong).scene(), CRUISE)["driving_direction_compliance"] == 0.0
    # 11 steps of 0.1 s: at 4 m/s 4.4 m, at 1.5 m/s 1.65 m.
    for speed, expected in ((4.0, 0.5), (1.5, 1.0)):
        scene = Sketch(polygons=wrong, speed=speed).scene()
        assert one(scene, straight(8, 0.5, speed))["driving_direction_compliance"] == expected


def test_intersections_forgive_direction_and_lane_in_v2_only() -> None:
    wrong = [(layer, polygon, False) for layer, polygon, _ in ROAD]
    crossing = [*wrong, (MapLayer.INTERSECTION, box(-50, -9, 150, 9), False)]
    far_line = np.array([[-20.0, 2.0], [100.0, 2.0]])
    scene = Sketch(polygons=crossing, centerline=far_line).scene()
    values = one(scene, CRUISE)
    assert values["driving_direction_compliance"] == values["lane_keeping"] == 1.0
    assert one(scene, CRUISE, "pdms_v1")["driving_direction_compliance"] == 0.0
    assert one(Sketch(polygons=wrong, centerline=far_line).scene(), CRUISE)["lane_keeping"] == 0.0


def test_lane_keeping_needs_twenty_steps_in_a_row() -> None:
    """The centreline turns off at x; from the first step over 0.5 m beyond x on, the ego is off its lane."""
    for first_off, expected in ((21, 0.0), (22, 1.0)):
        x = 1.461 + 0.8 * (first_off - 0.5) - 0.5
        line = np.array([[-20.0, 0.0], [x, 0.0], [x, 30.0]])
        assert one(Sketch(polygons=ROAD, centerline=line).scene(), CRUISE)["lane_keeping"] == expected


def test_red_lights() -> None:
    connector = box(20, -1.75, 30, 1.75)
    # Front at 4.049 + 8 t: reaches x = 20 at t = 1.994 s, so step 20 (20.049) is in, step 19 not.
    for step, expected in ((19, 1.0), (20, 0.0), (35, 0.0)):
        scene = Sketch(polygons=ROAD, lights=[(step, connector)]).scene()
        assert one(scene, CRUISE)["traffic_light_compliance"] == expected, step
        assert "traffic_light_compliance" not in one(scene, CRUISE, "pdms_v1")
    hole = shapely.Polygon([(-30, -30), (90, -30), (90, 30), (-30, 30)], [[(-20, -20), (-20, 20), (80, 20), (80, -20)]])
    scene = Sketch(polygons=ROAD, lights=[(20, hole)]).scene()
    assert one(scene, CRUISE)["traffic_light_compliance"] == 1.0, "the ego stands in the hole"


def test_progress_is_normalised_over_the_batch_in_score_proposals() -> None:
    plans = np.stack([straight(8, 0.5, v) for v in (8.0, 4.0)])
    scene = Sketch(polygons=ROAD, centerline=np.array([[-20.0, 0.0], [200.0, 0.0]])).scene()
    scores = run(scene, plans)
    assert scores.values["ego_progress"][0] == 1.0
    assert scores.values["ego_progress"][1] == pytest.approx(scores.progress_m[1] / scores.progress_m[0])


def test_progress_is_compared_with_pdm_closed_alone_in_score_plans() -> None:
    plans = np.stack([straight(8, 0.5, v) for v in (8.0, 4.0, 12.0)])
    scene = Sketch(polygons=ROAD, reference_speed=8.0).scene()
    scores = score_plans(scene, plans, 0.5, BOTH)
    for name in BOTH:
        progress = scores[name].progress_m / scores[name].terms.reference_gated_m
        np.testing.assert_allclose(scores[name].values["ego_progress"], np.minimum(progress, 1.0), rtol=1e-12)


def test_progress_of_short_references_is_one() -> None:
    scene = Sketch(polygons=ROAD, reference_speed=0.5, speed=0.5).scene()
    for name in BOTH:
        assert score_plans(scene, straight(8, 0.5, 0.5)[None], 0.5, [name])[name].values["ego_progress"][0] == 1.0


def test_a_failing_plan_in_a_slow_scene() -> None:
    """With no progress over 5 m, v1.1 gives failing plans 0 and v2 gives all 1."""
    scene = Sketch(polygons=[], reference_speed=0.5, speed=0.5).scene()
    plan = straight(8, 0.5, 0.5)[None]
    assert score_plans(scene, plan, 0.5, ["pdms_v1"])["pdms_v1"].values["ego_progress"][0] == 0.0
    assert score_plans(scene, plan, 0.5, ["epdms_v2"])["epdms_v2"].values["ego_progress"][0] == 1.0


def test_human_filter() -> None:
    """Off the road like the human: forgiven after the fix, reported but not scored before it, kept when off."""
    scene = Sketch(polygons=[]).scene()
    names = ["epdms_v2", "epdms_v2_before_fix"]
    filtered = score_plans(scene, CRUISE[None], 0.5, names)
    for name in names:
        assert filtered[name].values["drivable_area_compliance"][0] == 1.0
    assert filtered["epdms_v2"].score[0] == 1.0
    assert filtered["epdms_v2_before_fix"].score[0] == 0.0
    for name in names:
        plain = score_plans(scene, CRUISE[None], 0.5, [name], human_filter=False)[name]
        assert plain.values["drivable_area_compliance"][0] == plain.score[0] == 0.0


def test_gates_are_those_before_the_human_filter() -> None:
    scores = score_plans(Sketch(polygons=[]).scene(), CRUISE[None], 0.5, ["epdms_v2"])["epdms_v2"]
    assert (
        scores.unfiltered["drivable_area_compliance"][0] == 0.0 and scores.values["drivable_area_compliance"][0] == 1.0
    )
    assert scores.terms.reference_gated_m == 0.0 < scores.progress_m[0]


def test_human_filter_forgives_zero_only() -> None:
    wrong = [(layer, polygon, False) for layer, polygon, _ in ROAD]
    slow = straight(8, 0.5, 4.0)
    scene = Sketch(polygons=wrong, speed=4.0, human=slow).scene()
    rules = protocol("epdms_v2")
    human = human_scores(scene)
    assert human is not None
    assert human["driving_direction_compliance"] == 0.5
    assert score_plans(scene, slow[None], 0.5, [rules])["epdms_v2"].values["driving_direction_compliance"][0] == 0.5


def test_synthetic_scenes_are_not_filtered() -> None:
    scene = Sketch(polygons=[], token="0123456789abcdef0").scene()
    assert human_scores(scene) is None
    assert score_plans(scene, CRUISE[None], 0.5, ["epdms_v2"])["epdms_v2"].score[0] == 0.0


def test_harsh_braking_is_uncomfortable() -> None:
    scene = Sketch(polygons=ROAD, speed=12.0).scene()
    stop = np.zeros((8, 3))
    stop[:, 0] = [4.0, 6.0, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5]
    assert one(scene, stop)["history_comfort"] == 0.0
    assert one(scene, stop, "pdms_v1")["comfort"] == 0.0


def test_comfort_without_history_is_one() -> None:
    scene = Sketch(polygons=ROAD, speed=12.0, history=0).scene()
    assert one(scene, np.zeros((8, 3)))["history_comfort"] == 1.0


def test_lateral_acceleration_comes_from_the_log_alone() -> None:
    assert one(Sketch(polygons=ROAD, lateral_acceleration=30.0).scene(), CRUISE)["history_comfort"] == 0.0


# Properties


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("origin", [(0.0, 0.0, 3.0), (587_654.3, 4_477_654.3, -1.234), (-5e6, 9e6, 0.5)])
def test_moving_the_world_changes_nothing(name: str, origin: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(11)
    scene = random_scene(rng)
    plans = random_plans(rng, 40)
    here = run(scene, plans, name, 0.1)
    there = run(moved(scene, np.array(origin)), plans, name, 0.1)
    for column in here.values:
        np.testing.assert_allclose(there.values[column], here.values[column], atol=1e-5, err_msg=column)
    np.testing.assert_array_equal(there.collision_step, here.collision_step)
    np.testing.assert_array_equal(there.ttc_step, here.ttc_step)


@pytest.mark.parametrize("name", BOTH)
def test_order_and_batching_change_nothing(name: str) -> None:
    rng = np.random.default_rng(5)
    scene = random_scene(rng)
    plans = random_plans(rng, 50)
    order = rng.permutation(50)
    together = score_plans(scene, plans, 0.1, [name])[name]
    shuffled = score_plans(scene, plans[order], 0.1, [name])[name]
    pieces = [score_plans(scene, plans[i : i + 3], 0.1, [name])[name] for i in range(0, 50, 3)]
    for column in together.values:
        np.testing.assert_array_equal(shuffled.values[column], together.values[column][order])
        np.testing.assert_array_equal(np.concatenate([p.values[column] for p in pieces]), together.values[column])
    np.testing.assert_array_equal(np.concatenate([p.score for p in pieces]), together.score)


def test_protocols_scored_together_or_alone_are_the_same() -> None:
    rng = np.random.default_rng(6)
    scene, plans = random_scene(rng), random_plans(rng, 10)
    names = [*BOTH, "epdms_v2_before_fix"]
    together = score_plans(scene, plans, 0.1, names)
    assert list(together) == names
    for name in names:
        np.testing.assert_array_equal(together[name].score, score_plans(scene, plans, 0.1, [name])[name].score)


def test_the_order_of_objects_does_not_matter() -> None:
    rng = np.random.default_rng(7)
    scene, plans = random_scene(rng), random_plans(rng, 40)
    objects = scene.objects_v2
    order = rng.permutation(len(objects.token))
    shuffled = replace(objects, **{name: getattr(objects, name)[order] for name in objects.__dataclass_fields__})
    here, there = run(scene, plans, interval=0.1), run(replace(scene, objects_v2=shuffled), plans, interval=0.1)
    for column in here.values:
        np.testing.assert_array_equal(there.values[column], here.values[column])


# Extremes


def test_points_beyond_every_index_are_tested_exactly() -> None:
    """A road far outside the raster and the bins: 50 m/s for 4 s, sideways and ahead."""
    for y in (0.0, 170.0):
        road = [
            (MapLayer.ROADBLOCK, box(-500, -2 + min(y, 0), 900, 2 + y), False),
            (MapLayer.LANE, box(-500, -2, 900, 2 + y), True),
        ]
        scene = Sketch(polygons=road, speed=50.0, centerline=np.array([[-900.0, 0.0], [900.0, 0.0]])).scene()
        values = one(scene, straight(8, 0.5, 50.0, y=y))
        assert values["drivable_area_compliance"] == values["driving_direction_compliance"] == 1.0
    narrow = [(MapLayer.ROADBLOCK, box(-500, -2, 150, 2), False)]
    scene = Sketch(polygons=narrow, speed=50.0).scene()
    assert one(scene, straight(8, 0.5, 50.0))["drivable_area_compliance"] == 0.0


def test_many_objects() -> None:
    """600 parked cars beside the road do no harm, the one on it does."""
    beside = [Thing(x=-50 + i * 0.3, y=8.0 + (i % 7)) for i in range(600)]
    clean = Sketch(polygons=ROAD, things=beside).scene()
    assert one(clean, CRUISE)["no_at_fault_collisions"] == 1.0
    dirty = Sketch(polygons=ROAD, things=[*beside, Thing(x=25.0, y=0.0)]).scene()
    assert one(dirty, CRUISE)["no_at_fault_collisions"] == 0.0


def test_boxes_without_extent() -> None:
    point = Thing(x=20.0, y=0.0, length=0.0, width=0.0, type=ObjectType.GENERIC_OBJECT)
    assert one(Sketch(polygons=ROAD, things=[point]).scene(), CRUISE)["no_at_fault_collisions"] == 0.5


@pytest.mark.parametrize("name", BOTH)
def test_nothing_but_the_ego(name: str) -> None:
    scene = Sketch(polygons=[]).scene()
    values = one(scene, CRUISE, name)
    assert values["drivable_area_compliance"] == 0.0
    assert values["no_at_fault_collisions"] == 1.0


def test_a_centreline_of_equal_points_gives_no_progress() -> None:
    scene = Sketch(polygons=ROAD, centerline=np.zeros((5, 2))).scene()
    assert run(scene, CRUISE[None]).progress_m[0] == 0.0


def test_objects_that_appear_and_vanish() -> None:
    late = Thing(x=30.0, y=0.0, first=39, last=50)
    scene = Sketch(polygons=ROAD, things=[late]).scene()
    assert run(scene, CRUISE[None]).collision_step[0] == 39
    early = Thing(x=20.0, y=0.0, first=0, last=3)
    assert one(Sketch(polygons=ROAD, things=[early]).scene(), CRUISE)["no_at_fault_collisions"] == 1.0


@pytest.mark.parametrize("name", BOTH)
def test_reversing_standing_and_fast_plans_are_scored(name: str) -> None:
    scene = Sketch(polygons=ROAD, things=[Thing(x=-20.0, y=0.0)]).scene()
    plans = np.stack([straight(8, 0.5, v) for v in (-5.0, 0.0, 40.0)])
    scores = run(scene, plans, name)
    assert np.isfinite(scores.score).all()
    assert (scores.progress_m >= 0.0).all()


def test_plans_of_any_length_and_interval() -> None:
    scene = Sketch(polygons=ROAD).scene()
    scores = [
        score_plans(scene, straight(count, interval, 8.0)[None], interval, ["epdms_v2"])["epdms_v2"].score[0]
        for count, interval in ((8, 0.5), (40, 0.1), (10, 0.5), (100, 0.1))
    ]
    np.testing.assert_allclose(scores, 1.0, atol=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_no_plans(name: str) -> None:
    scene = Sketch(polygons=ROAD).scene()
    scores = score_plans(scene, np.empty((0, 8, 3)), 0.5, [name])[name]
    assert scores.score.shape == (0,)
    assert len(run(scene, np.empty((0, 8, 3)), name).score) == 0


def test_bad_input_is_refused() -> None:
    scene = Sketch(polygons=ROAD).scene()
    bad = CRUISE[None].copy()
    bad[0, 3, 1] = np.nan
    with pytest.raises(DataError, match="plan 0 has a pose that is not finite"):
        score_plans(scene, bad, 0.5, ["epdms_v2"])
    with pytest.raises(ConfigError, match=r"no protocol is called 'pdms'; known: pdms_v1, epdms_v2"):
        score_plans(scene, CRUISE[None], 0.5, ["pdms"])
    with pytest.raises(DataError, match="states must have shape"):
        score_proposals(prepare(scene), np.zeros((1, 40, 11)), "epdms_v2")
    states = np.zeros((2, 41, 11))
    states[1, 7, 0] = np.inf
    with pytest.raises(DataError, match="state of proposal 1 is not finite"):
        score_proposals(prepare(scene), states, "epdms_v2")
    with pytest.raises(DataError, match="centreline"):
        prepare(replace(scene, centerline=np.zeros((1, 3))))


def test_v1_needs_five_seconds_of_frames() -> None:
    scene = replace(Sketch(polygons=ROAD).scene(), objects_v1=None)
    assert run(scene, CRUISE[None]).score[0] == 1.0
    with pytest.raises(DataError, match="less than 5 s of future frames"):
        run(scene, CRUISE[None], "pdms_v1")

"""Every stage of caching against what the official devkit computed on two real logs, all scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from navforge.cache_builder.build import BuiltScene, build_scene
from navforge.data import ego_states as ego
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import load_split
from navforge.maps.map import read_map
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.log_file import LogRecord
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer
from navforge.scoring import metrics

CHOICES_THAT_DIFFER = {
    "44bc91de5d65f9c3",
    "0cf6fc5c7f93ad30",
    "37c6d283467961a2",
    "9bede3ce17c18c19",
    "e47fd9685dfa31c3",
}
"""Scenes in which PDM-Closed of v1.1 drives another proposal than that of v2.2."""


@dataclass
class Case:
    logged: Scene
    built: BuiltScene
    v1: dict[str, np.ndarray]
    v2: dict[str, np.ndarray]

    @property
    def scene(self) -> CachedScene:
        return self.built.record.scene


@pytest.fixture(scope="module")
def cases(realdata: Path) -> list[Case]:
    data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=realdata / "maps")
    split = load_split("real", data)
    found = []
    for log in split.logs:
        record = LogRecord(log)
        for scene in read_scenes(split, data, log):
            goldens = [
                dict(np.load(realdata / "golden" / version / log / f"{scene.token}.npz")) for version in ("v1", "v2")
            ]
            built = build_scene(scene, read_map(data.map_root(), scene.map_location), record)
            found.append(Case(scene, built, *goldens))
    assert len(found) == 38
    return found


def close(actual, golden, atol, case):
    np.testing.assert_allclose(actual, golden, rtol=0, atol=atol, err_msg=case.scene.token)


def test_route_correction(cases):
    corrected = 0
    for case in cases:
        logged, route = case.built.logged_route, case.built.route
        assert [str(block) for block in logged.blocks] == case.v2["route_input"].tolist()
        assert [str(block) for block in route.blocks] == case.v2["route_corrected"].tolist(), case.scene.token
        assert list(case.scene.route_lane_ids) == case.v2["route_lane_ids"].tolist()
        corrected += logged.blocks != route.blocks
    assert corrected > 3


def test_ego_state_and_history(cases):
    lengths = set()
    for case in cases:
        close(case.scene.ego_state, case.v2["ego_initial_state"], 1e-12, case)
        close(ego.states(case.logged.history), case.v2["past_states"], 1e-12, case)
        assert case.scene.time_us == int(case.v2["time_us"])
        assert case.scene.history_states.shape == case.v2["history_states"].shape
        close(case.scene.history_states, case.v2["history_states"], 1e-12, case)
        lengths.add(len(case.scene.history_states))
    assert lengths == {14, 15}


def test_human_poses(cases):
    for case in cases:
        close(case.scene.human_poses, case.v2["human_poses"], 1e-9, case)


def test_centreline(cases):
    for case in cases:
        assert case.scene.centerline.shape == case.v2["centerline"].shape, case.scene.token
        close(case.scene.centerline, case.v2["centerline"], 1e-9, case)
        close(case.scene.centerline_progress, case.v2["centerline_progress"], 1e-9, case)
        close(case.scene.centerline, case.v1["centerline"], 1e-9, case)
        assert (np.diff(case.scene.centerline_progress) == 0).any(), "joints repeat points"


def test_drivable_map(cases):
    for case in cases:
        polygons = case.scene.polygons
        assert [str(fid) for fid in polygons.fid] == case.v2["map_tokens"].tolist(), case.scene.token
        assert [MapLayer(layer).name for layer in polygons.layer] == case.v2["map_types"].tolist()
        np.testing.assert_array_equal(polygons.ring_start, case.v2["map_ring_start"])
        np.testing.assert_array_equal(polygons.polygon_start, case.v2["map_polygon_start"])
        close(polygons.xy, case.v2["map_xy"], 1e-9, case)
        lanes = np.isin(case.v2["map_types"], ["LANE", "LANE_CONNECTOR"])
        on_route = lanes & np.isin(case.v2["map_tokens"], case.v2["route_lane_ids"])
        np.testing.assert_array_equal(polygons.on_route, on_route)


def test_interpolated_objects(cases):
    for case in cases:
        objects = case.scene.objects(Devkit.V2)
        assert objects.token.tolist() == case.v2["objects_tokens"].tolist(), case.scene.token
        assert [ObjectType(kind).name.lower() for kind in objects.type] == case.v2["objects_types"].tolist()
        index, step = case.v2["objects_index"], case.v2["objects_step"]
        valid = np.zeros((len(objects.token), 41), bool)
        valid[index, step] = True
        np.testing.assert_array_equal(objects.valid, valid)
        close(objects.pose[index, step], case.v2["objects_box"][:, :3], 1e-9, case)
        close(objects.extent[index], case.v2["objects_box"][:, 3:], 1e-12, case)
        close(objects.velocity[index, step], case.v2["objects_velocity"], 1e-12, case)


def test_first_sightings(cases):
    for case in cases:
        objects = case.scene.objects(Devkit.V2)
        index, step = case.v2["objects_index"], case.v2["objects_step"]
        for row in range(len(objects.token)):
            first = np.flatnonzero(index == row)[np.argmin(step[index == row])]
            assert objects.first_heading[row] == pytest.approx(case.v2["objects_box"][first, 2], abs=1e-12)
            close(objects.first_velocity[row], case.v2["objects_velocity"][first], 1e-12, case)


def test_objects_of_v1_agree_with_those_of_v2_where_both_read_the_same(cases):
    for case in cases:
        old, new = case.scene.objects(Devkit.V1), case.scene.objects(Devkit.V2)
        row_of = {token: row for row, token in enumerate(old.token)}
        assert set(new.token) <= set(row_of)
        rows = [row_of[token] for token in new.token]
        both = old.valid[rows, :41] & new.valid
        once = new.valid.all(axis=1) & (np.ptp(new.pose, axis=1) == 0).all(axis=1)
        both[once] = False
        np.testing.assert_array_equal(old.pose[rows, :41][both], new.pose[both])


def test_red_lights(cases):
    seen = 0
    for case in cases:
        lights = case.scene.red_lights
        tokens = [f"red_light_{lights.fid[connector]}" for connector in lights.connector]
        assert tokens == case.v2["light_tokens"].tolist(), case.scene.token
        np.testing.assert_array_equal(lights.step, case.v2["light_step"])
        seen += len(tokens)
    assert seen > 100


def test_proposals(cases):
    for case in cases:
        made = case.built.pdm_closed.proposals
        close(made.poses[:, :41], case.v2["closed_proposals"][:, :41], 1e-9, case)
        close(made.motion[:, :41], case.v2["closed_idm"][:, :41], 1e-9, case)
        close(made.leader[:, :41], case.v2["closed_leading"][:, :41], 1e-9, case)
        chosen = case.built.pdm_closed.chosen[Devkit.V2]
        close(made.poses[chosen], case.v2["closed_proposals"][chosen], 1e-9, case)
        close(made.leader[chosen], case.v2["closed_leading"][chosen], 1e-9, case)
        assert len(case.v2["closed_collided"]) == 0


def test_simulated_proposals(cases):
    for case in cases:
        close(case.built.pdm_closed.states, case.v2["closed_simulated"], 1e-9, case)


def test_scores_of_the_proposals(cases):
    multiplicative = [
        metrics.NO_AT_FAULT_COLLISIONS,
        metrics.DRIVABLE_AREA_COMPLIANCE,
        metrics.TRAFFIC_LIGHT_COMPLIANCE,
        metrics.DRIVING_DIRECTION_COMPLIANCE,
    ]
    weighted = {1: metrics.TIME_TO_COLLISION, 2: metrics.LANE_KEEPING, 3: metrics.HISTORY_COMFORT}
    for case in cases:
        scores = case.built.pdm_closed.scores[Devkit.V2]
        for row, metric in enumerate(multiplicative):
            np.testing.assert_array_equal(scores.values[metric.name], case.v2["closed_multi"][row], case.scene.token)
        for row, metric in weighted.items():
            np.testing.assert_array_equal(scores.values[metric.name], case.v2["closed_weighted"][row], case.scene.token)
        close(scores.progress_m, case.v2["closed_progress_raw"], 1e-8, case)


def test_trajectory_of_each_release(cases):
    for case in cases:
        for devkit, golden in ((Devkit.V1, case.v1), (Devkit.V2, case.v2)):
            close(case.scene.pdm_reference[devkit], golden["pdm_trajectory"][:, :3], 1e-9, case)
        np.testing.assert_array_equal(case.scene.pdm_times_us, case.v2["pdm_times_us"])
    differing = {
        case.scene.token
        for case in cases
        if case.built.pdm_closed.chosen[Devkit.V1] != case.built.pdm_closed.chosen[Devkit.V2]
    }
    assert differing >= CHOICES_THAT_DIFFER


def test_reference_as_the_simulator_gets_it(cases):
    for case in cases:
        close(case.scene.pdm_reference_input[Devkit.V2], case.v2["pdm_reference_states"][:, :3], 1e-9, case)

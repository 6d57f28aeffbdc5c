"""Our cache builder and engine against scores of the official devkit that are part of the repository.

`world.tar.xz` holds logs and a map of town, `plans.json` plans for every scene. `pdms_v1.json` and `epdms_v2.json` are
what the unmodified devkit, v1.1 and v2.2, made of them; docs/benchmarks.md says how. They are files, not made anew by
the tests, so that a change of town, or sines that differ in the last bit on another processor, cannot touch them.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from navforge.cache_builder.pool import cache_split
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.evaluation.score import open_cache, score_split
from navforge.evaluation.tables import subscores
from navforge.evaluation.trajectories import Trajectories
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.store import MetricCache
from navforge.scoring.engine import score_plans

HERE = Path(__file__).parent
INTERVAL_S = 0.5
TOLERANCE = 4e-10
"""Of scores and ego progress; measured: 1.1e-10."""
TOLERANCE_M = 4e-9
"""Of poses and progress; measured: 1.5e-9, less than two units in the last place of a northing."""
FORGIVEN = {
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "traffic_light_compliance",
    "time_to_collision_within_bound",
}
"""What a human driver fails in some scene."""
CONTINUOUS = ("ego_progress", "score")

pytestmark = pytest.mark.xdist_group("official_scores")


@dataclass(frozen=True)
class World:
    """The scenes, their plans, and what the devkit says of both: scene -> field."""

    split: Split
    cache: MetricCache
    plans: Trajectories
    v1: dict[str, dict[str, Any]]
    v2: dict[str, dict[str, Any]]

    def rows(self, title: str) -> list[dict[str, Any]]:
        """Of every plan what one of the devkit's runs says: `plans` of v1.1, else of v2.2."""
        given = self.v1 if title == "plans" else self.v2
        return [row for token in self.split.tokens for row in given[token][title]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("official")
    with tarfile.open(HERE / "world.tar.xz") as archive:
        archive.extractall(root, filter="data")
    data = DataConfig(logs=root / "navsim_logs", sensors=None, maps=root / "maps")
    split = load_split("town", data)
    report = cache_split(split, data, root / "cache", workers=1)
    assert not report.failures
    plans, v1, v2 = (json.loads((HERE / f"{name}.json").read_text()) for name in ("plans", "pdms_v1", "epdms_v2"))
    assert set(split.tokens) == set(plans) == set(v1) == set(v2)
    poses = np.array([plans[token] for token in split.tokens])
    trajectories = Trajectories.make(np.array(split.tokens), poses, INTERVAL_S)
    return World(split, open_cache(root / "cache", split), trajectories, v1, v2)


def assert_equal(ours: pl.DataFrame, official: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Discrete columns are equal, continuous ones within the tolerance; None where undefined."""
    for name in columns:
        expected = [row[name] for row in official]
        if name in CONTINUOUS:
            np.testing.assert_allclose(ours[name].to_numpy(), np.array(expected), rtol=0, atol=TOLERANCE, err_msg=name)
        else:
            assert ours[name].to_list() == expected, name


def table(world: World, protocol: str, plans: Trajectories, **how: Any) -> pl.DataFrame:
    frame = score_split(plans, world.split, world.cache, (protocol,), workers=1, **how).frame
    order = {token: n for n, token in enumerate(world.split.tokens)}
    return frame.sort(pl.col("token").replace_strict(order), "index")


@pytest.mark.parametrize(
    ("protocol", "title", "how"),
    [
        ("pdms_v1", "plans", {}),
        ("epdms_v2", "log_replay", {"extended_comfort": "on"}),
        ("epdms_v2", "unfiltered", {"extended_comfort": "on", "human_filter": "off"}),
    ],
)
def test_tables(world: World, protocol: str, title: str, how: dict[str, str]) -> None:
    ours = table(world, protocol, world.plans, **how)
    assert_equal(ours, world.rows(title), (*subscores(protocol), "score"))


def test_reactive_tables(world: World) -> None:
    count = len(world.v2[world.split.tokens[0]]["reactive"])
    assert count > 1
    for index in range(count):
        plans = Trajectories.make(np.array(world.plans.tokens), world.plans.poses[:, [index]], INTERVAL_S)
        ours = table(world, "epdms_v2", plans, traffic="reactive")
        rows = [world.v2[token]["reactive"][index] for token in world.split.tokens]
        assert_equal(ours, rows, (*subscores("epdms_v2"), "score"))


def close(ours: np.ndarray | None, official: list[Any]) -> None:
    assert ours is not None
    np.testing.assert_allclose(ours, official, rtol=0, atol=TOLERANCE_M)


def test_scenes_and_events(world: World) -> None:
    """Human driver, PDM-Closed, progress in metres, first steps of a collision and of a violated time to collision."""
    for token, poses in zip(world.plans.tokens, world.plans.poses, strict=True):
        scene = world.cache.load(token)
        v1, v2 = world.v1[token], world.v2[token]
        close(scene.human_poses, v2["human_poses"])
        close(scene.pdm_reference[Devkit.V1], v1["reference"])
        close(scene.pdm_reference[Devkit.V2], v2["reference"])
        scores = score_plans(scene, poses, INTERVAL_S, ["pdms_v1", "epdms_v2"])
        for protocol, rows in (("pdms_v1", v1["plans"]), ("epdms_v2", v2["unfiltered"])):
            close(scores[protocol].progress_m, [row["progress_m"] for row in rows])
            assert scores[protocol].collision_step.tolist() == [row["collision_step"] for row in rows]
            assert scores[protocol].ttc_step.tolist() == [row["ttc_step"] for row in rows]


def test_the_plans_cover_every_value() -> None:
    """Of every sub-score under both releases, of what is hit, and of what the human filter forgives."""
    v1, v2 = (json.loads((HERE / f"{name}.json").read_text()).values() for name in ("pdms_v1", "epdms_v2"))
    first, plain, filtered, reactive = (
        [row for scene in scenes for row in scene[title]]
        for scenes, title in ((v1, "plans"), (v2, "unfiltered"), (v2, "log_replay"), (v2, "reactive"))
    )
    halves = {"no_at_fault_collisions", "driving_direction_compliance"}
    for protocol, rows in (("pdms_v1", first), ("epdms_v2", plain), ("epdms_v2", filtered)):
        for name in subscores(protocol):
            values = {row[name] for row in rows}
            expected = {0.0, 0.5, 1.0} if name in halves else {0.0, 1.0}
            if name == "ego_progress":
                assert any(0.0 < value < 1.0 for value in values)
                values &= expected
            if name == "two_frame_extended_comfort":
                expected = expected | {None}
            if name == "traffic_light_compliance" and rows is filtered:
                expected = {1.0}
            assert values == expected, (protocol, name)
    for rows in (first, plain):
        assert {kind for row in rows for kind in row["met"]} == {"moving", "stopped", "static"}
        assert {row["no_at_fault_collisions"] for row in rows if row["met"] == ["moving"]} == {0.0}
        assert {row["no_at_fault_collisions"] for row in rows if row["met"] == ["stopped"]} == {0.0}
        assert 0.5 in {row["no_at_fault_collisions"] for row in rows if row["met"] == ["static"]}
    changed = {n for b, a in zip(plain, filtered, strict=True) for n in subscores("epdms_v2") if a[n] != b[n]}
    assert changed == FORGIVEN
    assert {row["no_at_fault_collisions"] for row in reactive} == {0.0, 0.5, 1.0}

"""Left-hand traffic: cities in the mirror, on disk and in the scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import shapely

import navforge
from navforge import agents
from navforge.cache_builder.pool import cache_split
from navforge.cli.keys.town import Config
from navforge.core import config as configs
from navforge.core.errors import ConfigError
from navforge.data.paths import DataConfig
from navforge.data.pickles import load
from navforge.data.splits import load_split
from navforge.town.generate import generate
from navforge.town.make_log import LogPlan, drive_log, make_log, town_of
from navforge.town.mirror import mirrored_frame, mirrored_town
from navforge.town.scales import BOSTON, CITIES, SCALES, SINGAPORE, PlanConfig, Scale, SplitPlan, in_cities
from navforge.town.sensors import Rig
from navforge.town.world import TownMap, Turn

PLAN = PlanConfig(rows=3, columns=3, **CITIES[SINGAPORE])


def test_driving_directions_keep_left() -> None:
    for traffic, side in (("left", 1.0), ("right", -1.0)):
        town = town_of(SINGAPORE, dataclasses.replace(PLAN, traffic=traffic), 3)
        for block in town.roadblocks.values():
            (other,) = (b for b in town.roadblocks.values() if b.road == block.road and b.fid != block.fid)
            own, its = town.lanes[block.lanes[0]], town.lanes[other.lanes[0]]
            middle = len(own.centre) // 2
            along = own.centre[middle + 1] - own.centre[middle]
            nearest = its.centre[np.hypot(*(its.centre - own.centre[middle]).T).argmin()]
            left_of_own = np.array([-along[1], along[0]]) @ (own.centre[middle] - nearest)
            assert np.sign(left_of_own) == side  # keeping left, what comes towards one is on the right


def test_lanes_of_a_mirrored_town_are_whole() -> None:
    town = town_of(SINGAPORE, PLAN, 3)
    for strip in [*town.lanes.values(), *town.connectors.values()]:
        assert shapely.Polygon(strip.polygon).exterior.is_ccw
        middle = len(strip.centre) // 2
        along = strip.centre[middle + 1] - strip.centre[middle - 1]
        left = strip.left[np.hypot(*(strip.left - strip.centre[middle]).T).argmin()] - strip.centre[middle]
        assert along[0] * left[1] - along[1] * left[0] > 0
    for block in town.roadblocks.values():
        assert [town.lanes[fid].index for fid in block.lanes] == list(range(len(block.lanes)))
    turns = [way.turn for way in town.connectors.values()]
    lengths = {
        turn: np.mean([len(way.centre) for way in town.connectors.values() if way.turn == turn]) for turn in Turn
    }
    assert {Turn.LEFT, Turn.RIGHT} <= set(turns) and lengths[Turn.LEFT] < lengths[Turn.RIGHT]  # the near turn is tight


def same(first: object, second: object) -> bool:
    if dataclasses.is_dataclass(first):
        return all(same(getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)  # type: ignore
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))  # type: ignore
    return bool(np.all(np.asarray(first) == np.asarray(second)))


def test_twice_in_the_mirror_is_the_world_itself() -> None:
    right: TownMap = town_of(SINGAPORE, dataclasses.replace(PLAN, traffic="right"), 3)
    assert same(mirrored_town(mirrored_town(right)), right) and not same(mirrored_town(right), right)
    job = LogPlan(
        log_name="a", split="train", number=1, location=SINGAPORE, plan=PLAN, seed=3, frames=15, sensors="none",
        sensor_frames="history", rig=Rig(),
    )  # fmt: skip
    frame = drive_log(job).frames[5]
    assert same(mirrored_frame(mirrored_frame(frame)), frame)
    assert mirrored_frame(frame).yaw_rate == -frame.yaw_rate


@pytest.mark.slow
def test_scores_are_those_of_the_world_in_the_mirror(tmp_path: Path) -> None:
    """Every sub-score of the human, and of driving on straight, is the same in both worlds, scene by scene."""
    tables = {}
    for traffic in ("right", "left"):
        root = tmp_path / traffic
        plan = dataclasses.replace(PLAN, traffic=traffic)
        scale = Scale({SINGAPORE: plan}, (SplitPlan("train", 2, 16, (SINGAPORE,)),))
        report = generate(root, scale, seed=3, sensors="none", sensor_frames="current", rig=Rig(), workers=1)
        assert report.complete, report.failures
        data = DataConfig(logs=root / "navsim_logs", sensors=None, maps=root / "maps")
        split = load_split("train", data)
        assert not cache_split(split, data, root / "cache", workers=1).failures
        cache = navforge.open_cache(root / "cache", split)
        for name in ("human", "constant_velocity"):
            agent = agents.build(name)
            evaluation = navforge.evaluate_agent(agent, split, data, cache, ("pdms_v1", "epdms_v2"), workers=1)
            tables[traffic, name] = evaluation.table.frame.sort("token")
    for name in ("human", "constant_velocity"):
        right, left = tables["right", name], tables["left", name]
        assert right["token"].to_list() == left["token"].to_list()
        numbers = [column for column, kind in right.schema.items() if kind.is_float()]
        for column in numbers:
            assert left[column].to_numpy() == pytest.approx(right[column].to_numpy(), abs=2e-3, nan_ok=True), column
    assert len(numbers) > 10


def test_the_turn_to_the_near_side_is_to_the_left(tmp_path: Path) -> None:
    job = LogPlan(
        log_name="a", split="train", number=1, location=SINGAPORE, plan=PLAN, seed=3, frames=20, sensors="none",
        sensor_frames="history", rig=Rig(),
    )  # fmt: skip
    make_log(job, tmp_path)
    frames = load(tmp_path / "navsim_logs" / "train" / "a.pkl")
    town = town_of(SINGAPORE, PLAN, 3)
    blocks = {**town.roadblocks, **town.roadblock_connectors}
    for frame in frames:
        x, y = frame["ego2global_translation"][:2] - town.origin
        assert shapely.Polygon(blocks[int(frame["roadblock_ids"][0])].polygon).buffer(1.0).contains(shapely.Point(x, y))
    headings = np.unwrap([2 * np.arctan2(f["ego2global_rotation"][3], f["ego2global_rotation"][0]) for f in frames])
    assert np.ptp(headings) > 0.5
    rates = np.array([frame["can_bus"][15] for frame in frames])
    assert np.corrcoef(rates[1:-1], headings[2:] - headings[:-2])[0, 1] > 0.9
    turning = [n for n in range(len(frames) - 8) if abs(headings[n + 8] - headings[n]) > 1.0]
    for n in turning:
        assert np.argmax(frames[n]["driving_command"]) == (0 if headings[n + 8] > headings[n] else 2)


def test_cities_of_a_scale() -> None:
    world = in_cities(SCALES["small"], [BOSTON, SINGAPORE])
    logs = {split.name: [split.places[n % len(split.places)] for n in range(split.logs)] for split in world.splits}
    for name, per_city in (("train", 24), ("val", 4), ("test", 10)):
        assert {place: logs[name].count(place) for place in world.towns} == {BOSTON: per_city, SINGAPORE: per_city}
    for place in world.towns:  # half of the logs of each city are to hold turns
        assert sum(n % 2 for n, where in enumerate(logs["train"]) if where == place) == 12
    assert world.towns[SINGAPORE].traffic == "left" and world.towns[BOSTON].traffic == "right"
    with pytest.raises(ConfigError, match=r"cities: expected some of .*, each once, got 'sg'"):
        configs.merge(Config, ["out=x", "cities=[sg]"])

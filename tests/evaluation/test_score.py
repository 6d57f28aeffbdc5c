"""Scores of whole splits on real logs, against the tables of the official devkit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from navforge import agents
from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.evaluation import score as score_module
from navforge.evaluation import summary, tables
from navforge.evaluation.evaluate import Evaluation, evaluate_agent
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.official import disagreements, read_official
from navforge.evaluation.score import open_cache, score_split
from navforge.evaluation.trajectories import Trajectories
from navforge.metric_cache.store import MetricCache
from navforge.scoring.protocols import parse_protocols

PROTOCOLS = ("pdms_v1", "epdms_v2", "epdms_v2_before_fix")
TOLERANCE = 2e-10
"""Of sub-scores, scores and their means; measured: 6.2e-11, means 6e-12."""
OFFICIAL = {
    "pdms_v1": "v1/official_{}_agent.csv",
    "epdms_v2": "v2/official_{}_agent_non_reactive.csv",
}


@pytest.fixture(scope="module")
def data(realdata: Path) -> DataConfig:
    return DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=None)


@pytest.fixture(scope="module")
def split(data: DataConfig) -> Split:
    return load_split("real", data)


@pytest.fixture(scope="module")
def cache(real_cache: Path, split: Split) -> MetricCache:
    return open_cache(real_cache, split)


@pytest.fixture(scope="module")
def evaluations(data: DataConfig, split: Split, cache: MetricCache) -> dict[str, Evaluation]:
    return {
        name: evaluate_agent(agents.build(name), split, data, cache, PROTOCOLS, workers=1)
        for name in ("constant_velocity", "human")
    }


@pytest.mark.parametrize("name", ["constant_velocity", "human"])
@pytest.mark.parametrize("protocol", ["pdms_v1", "epdms_v2"])
def test_rows_and_aggregate_are_the_official_ones(
    realdata: Path, evaluations: dict[str, Evaluation], name: str, protocol: str
) -> None:
    official = read_official(realdata / "golden" / OFFICIAL[protocol].format(name))
    table = evaluations[name].table
    assert disagreements(table.of(protocol), official, TOLERANCE).rows() == []
    means = summary.summarise(table, resamples=100)[protocol]
    compared = {column: means[column].mean for column in official.means}
    assert compared == pytest.approx(official.means, abs=TOLERANCE)
    assert {"score", "ego_progress"} <= set(compared)


@pytest.mark.parametrize("name", ["constant_velocity", "human"])
def test_reactive_table_is_the_official_one(
    realdata: Path, evaluations: dict[str, Evaluation], split: Split, cache: MetricCache, name: str
) -> None:
    official = read_official(realdata / "golden" / "v2" / f"official_{name}_agent_reactive.csv")
    plans = evaluations[name].trajectories
    table = score_split(plans, split, cache, ("epdms_v2",), traffic="reactive", workers=1)
    assert table.meta.traffic == "reactive"
    assert disagreements(table.of("epdms_v2"), official, TOLERANCE).rows() == []
    found = summary.summarise(table, resamples=100)["epdms_v2"]
    assert {c: found[c].mean for c in official.means} == pytest.approx(official.means, abs=TOLERANCE)
    replayed = evaluations[name].table.of("epdms_v2")
    assert not table.of("epdms_v2")["score"].equals(replayed["score"]), "the two kinds of traffic differ"


def test_reactive_traffic_takes_one_trajectory_per_scene_and_a_v2_protocol(
    singles: tuple[Trajectories, dict[str, np.ndarray]], split: Split, cache: MetricCache
) -> None:
    with pytest.raises(ConfigError, match="16 trajectories per scene"):
        score_split(singles[0], split, cache, ("epdms_v2",), traffic="reactive", workers=1)
    with pytest.raises(ConfigError, match="pdms_v1 has no reactive traffic"):
        score_split(singles[0], split, cache, ("pdms_v1", "epdms_v2"), traffic="reactive", workers=1)


def test_table_survives_the_disk(tmp_path: Path, evaluations: dict[str, Evaluation]) -> None:
    table = evaluations["human"].table
    tables.write(tmp_path / "scores.parquet", table)
    again = tables.read(tmp_path / "scores.parquet")
    assert again.meta == table.meta
    assert again.meta.complete
    assert again.frame.height == 3 * 38
    assert again.meta.agent == "human"
    assert again.of("epdms_v2")["two_frame_extended_comfort"].null_count() == 2, "one first scene per log"
    assert set(again.of("pdms_v1")["human_filter"]) == {False}
    assert set(again.of("epdms_v2")["human_filter"]) == {True}


def test_order_of_tokens_and_number_of_workers_change_nothing(
    evaluations: dict[str, Evaluation], split: Split, cache: MetricCache
) -> None:
    given = evaluations["constant_velocity"].trajectories
    order = np.random.default_rng(0).permutation(len(given.tokens))
    shuffled = Trajectories(tuple(given.tokens[i] for i in order), given.poses[order], given.interval_s)
    table = score_split(shuffled, split, cache, ("epdms_v2",), workers=2)
    assert table.frame.equals(evaluations["constant_velocity"].table.of("epdms_v2"))
    assert table.frame.equals(table.frame.sort(tables.ORDER))


@pytest.fixture(scope="module")
def singles(realdata: Path, navsim_files: Path, split: Split) -> tuple[Trajectories, dict[str, np.ndarray]]:
    """16 vocabulary entries per scene, and what the devkit says of each scored alone."""
    vocabulary = np.load(navsim_files / "vocabulary_8192.npy", allow_pickle=False)
    entries, rows = [], {}
    for log, tokens in split.logs.items():
        for token in tokens:
            with np.load(realdata / "golden" / "v2" / log / f"{token}.npz") as golden:
                entries.append(vocabulary[golden["vocab_ids"][:16]])
                rows[token] = golden["single_rows"]
                fields = golden["row_fields"]
    assert list(fields[:8]) == list(tables.subscores("epdms_v2")[:8])
    return Trajectories.make(np.array(split.tokens), np.stack(entries), 0.1), rows


def test_alternatives_are_scored_as_if_alone(
    singles: tuple[Trajectories, dict[str, np.ndarray]], split: Split, cache: MetricCache
) -> None:
    given, golden = singles
    table = score_split(given, split, cache, ("epdms_v2",), workers=1)
    assert not table.meta.extended_comfort
    assert table.frame["two_frame_extended_comfort"].null_count() == 38 * 16
    names = list(tables.subscores("epdms_v2")[:8])
    for token, rows in golden.items():
        ours = table.frame.filter(pl.col("token") == token).sort("index")
        np.testing.assert_allclose(ours.select(names).to_numpy(), rows[:, :8], rtol=0, atol=TOLERANCE, err_msg=token)
        gate, (ep, ttc, lk, hc) = rows[:, :4].prod(axis=1), rows[:, 4:8].T
        expected = gate * (5 * ep + 5 * ttc + 2 * lk + 2 * hc) / 14
        np.testing.assert_allclose(ours["score"].to_numpy(), expected, rtol=0, atol=TOLERANCE, err_msg=token)


def test_extended_comfort_of_paired_alternatives(
    evaluations: dict[str, Evaluation], split: Split, cache: MetricCache
) -> None:
    """Two planners in one file, index 0 and 1, give with `on` what each gives alone."""
    cv, human = (evaluations[name] for name in ("constant_velocity", "human"))
    both = np.concatenate([cv.trajectories.poses, human.trajectories.poses], axis=1)
    given = Trajectories(cv.trajectories.tokens, both, 0.5)
    table = score_split(given, split, cache, ("epdms_v2",), extended_comfort="on", workers=1)
    for index, alone in enumerate((cv, human)):
        ours = table.frame.filter(pl.col("index") == index).drop("index").sort("token")
        assert ours.equals(alone.table.of("epdms_v2").drop("index").sort("token"))
    off = score_split(cv.trajectories, split, cache, ("epdms_v2",), extended_comfort="off", workers=1)
    assert off.frame["two_frame_extended_comfort"].null_count() == 38
    assert not off.frame["score"].equals(cv.table.of("epdms_v2")["score"])


def test_human_filter_switch(
    realdata: Path, evaluations: dict[str, Evaluation], split: Split, cache: MetricCache
) -> None:
    """Off gives the scorer's own sub-scores, which the devkit's filter then changes in some scenes."""
    cv = evaluations["constant_velocity"]
    off = score_split(cv.trajectories, split, cache, ("epdms_v2",), human_filter="off", workers=1).frame
    assert set(off["human_filter"]) == {False}
    names = list(tables.subscores("epdms_v2")[:8])
    for log, tokens in split.logs.items():
        for token in tokens:
            with np.load(realdata / "golden" / "v2" / log / f"{token}.npz") as golden:
                multi, weighted = golden["cv_replay_multi"][:, 1], golden["cv_replay_weighted"][:4, 1]
            collision, area, light, direction = multi
            expected = [collision, area, direction, light, *weighted]
            ours = off.filter(pl.col("token") == token).select(names).row(0)
            np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCE, err_msg=token)
    v1 = score_split(cv.trajectories, split, cache, ("pdms_v1",), human_filter="on", workers=1)
    assert set(v1.frame["human_filter"]) == {True}


def test_part_of_a_split_says_so(evaluations: dict[str, Evaluation], split: Split, cache: MetricCache) -> None:
    kept = set(split.tokens[:30])
    human = evaluations["human"].trajectories
    with pytest.raises(DataError, match=r"no trajectory for \d+ of \d+ scenes of split"):
        score_split(human.only(kept), split, cache, ("epdms_v2",), workers=1)
    part = score_split(human.only(kept), split, cache, ("epdms_v2",), allow_missing=True, workers=1)
    assert (part.meta.split_scenes, part.meta.missing, part.meta.complete) == (38, 8, False)
    assert part.meta.missing_hash == tables.missing_hash(list(split.tokens[30:]))


def test_strangers_are_refused(evaluations: dict[str, Evaluation], split: Split, cache: MetricCache) -> None:
    given = evaluations["human"].trajectories
    stranger = Trajectories(("f" * 16, *given.tokens[1:]), given.poses, 0.5)
    with pytest.raises(DataError, match="1 of 38 tokens are not scenes of split real: ffffffffffffffff"):
        score_split(stranger, split, cache, ("epdms_v2",), workers=1)


def test_failed_scenes_are_all_named_and_nothing_is_returned(
    evaluations: dict[str, Evaluation], split: Split, cache: MetricCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = score_module.score_plans
    broken = {split.tokens[3], split.tokens[25]}

    def sometimes(scene, *rest, **more):  # type: ignore[no-untyped-def]
        if scene.token in broken:
            raise ZeroDivisionError("no area")
        return original(scene, *rest, **more)

    monkeypatch.setattr(score_module, "score_plans", sometimes)
    with pytest.raises(ScenesFailedError, match="2 of 38 scenes failed") as raised:
        score_split(evaluations["human"].trajectories, split, cache, ("epdms_v2",), workers=1)
    assert {failure.token for failure in raised.value.failures} == broken
    assert all("ZeroDivisionError: no area" in failure.error for failure in raised.value.failures)
    assert all("sometimes" in failure.traceback for failure in raised.value.failures)


def test_a_log_that_cannot_be_read_fails_all_its_scenes(
    evaluations: dict[str, Evaluation], split: Split, cache: MetricCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(iter(split.logs))
    original = MetricCache.load_log

    def damaged(self: MetricCache, log_name: str):  # type: ignore[no-untyped-def]
        if log_name == first:
            raise DataError("damaged")
        return original(self, log_name)

    monkeypatch.setattr(MetricCache, "load_log", damaged)
    with pytest.raises(ScenesFailedError, match="19 of 38 scenes failed"):
        score_split(evaluations["human"].trajectories, split, cache, ("pdms_v1",), workers=1)


def test_protocol_names() -> None:
    assert parse_protocols("epdms_v2") == ("epdms_v2",)
    assert parse_protocols("[pdms_v1, epdms_v2]") == ("pdms_v1", "epdms_v2")
    for wrong in ("", "pdms", "pdms_v1,pdms_v1"):
        with pytest.raises(ConfigError, match="protocol: expected one or several of pdms_v1"):
            parse_protocols(wrong)

"""What an evaluation says of plans beside the score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from navforge import agents
from navforge.cli import evaluate
from navforge.cli.keys.evaluate import Config
from navforge.core.config import merge
from navforge.core.errors import ConfigError, DataError
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.evaluation import further_metrics
from navforge.evaluation.evaluate import Evaluation, evaluate_agent
from navforge.evaluation.further_metrics import FurtherMetric, load_metrics, summarise
from navforge.evaluation.oracle_gap import add_oracle_gap
from navforge.evaluation.plan_metrics import ORACLE_GAP, PLAN_METRICS, human_errors, measure_plans
from navforge.evaluation.score import open_cache, score_split
from navforge.evaluation.tables import METRIC_KEYS, schema
from navforge.evaluation.trajectories import Trajectories
from navforge.metric_cache.store import MetricCache
from navforge.simulation.plans import prepare_plans
from navforge.simulation.rollout import drive
from navforge.teacher.store import TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary
from tests.scoring.scenes import Sketch, Thing, straight

NAMES = [metric.name for metric in PLAN_METRICS]


@pytest.fixture(scope="module")
def data(tiny_town: Path) -> DataConfig:
    return DataConfig(logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps")


@pytest.fixture(scope="module")
def cache(town_files: dict[str, Path], data: DataConfig) -> MetricCache:
    return open_cache(town_files["cache"], load_split("train", data, workers=1))


@pytest.fixture(scope="module")
def evaluations(cache: MetricCache, data: DataConfig) -> dict[str, Evaluation]:
    split = load_split("train", data, workers=1)
    return {
        name: evaluate_agent(
            agents.build(name), split, data, cache, ("pdms_v1", "epdms_v2"), human_filter="off", workers=1
        )
        for name in ("human", "constant_velocity")
    }


def test_errors_of_a_plan_beside_the_humans() -> None:
    scene = Sketch(speed=8.0).scene()
    plan = straight(8, 0.5, 8.0)
    aside = plan + np.array([0.0, 3.0, 0.2])
    slower = straight(8, 0.5, 6.0)
    ade, fde, turned = human_errors(scene, np.stack([plan, aside, slower]), 0.5)
    assert ade == pytest.approx([0.0, 3.0, 2.0 * 2.25]) and fde == pytest.approx([0.0, 3.0, 8.0])
    assert turned == pytest.approx([0.0, 0.2, 0.0])


def test_errors_take_the_short_way_round() -> None:
    human = straight(8, 0.5, 8.0)
    human[:, 2] = 3.1
    plan = human.copy()
    plan[:, 2] = -3.1
    assert human_errors(Sketch(human=human).scene(), plan[None], 0.5)[2] == pytest.approx([2 * np.pi - 6.2])


@pytest.mark.parametrize("interval_s", [0.1, 0.2, 0.5])
def test_errors_do_not_depend_on_the_times_of_the_poses(interval_s: float) -> None:
    scene = Sketch(speed=8.0).scene()
    plan = straight(round(4 / interval_s), interval_s, 6.0)[None]
    errors = np.array(human_errors(scene, plan, interval_s))[:, 0]
    assert errors == pytest.approx([4.5, 8.0, 0.0], abs=1e-9)


def test_a_scene_without_a_human_has_no_errors() -> None:
    synthetic = Sketch(token="0123456789abcdef0", things=[Thing(x=50, y=0)]).scene()
    plans = straight(8, 0.5, 8.0)[None]
    states = drive(synthetic.ego_state, synthetic.time_us, prepare_plans(plans, 0.5))
    values = measure_plans(synthetic, plans, 0.5, states)
    assert list(values) == NAMES
    absent = [name for name, value in values.items() if np.isnan(value).any()]
    assert absent == ["ade_m", "fde_m", "heading_error_rad"]
    assert np.isnan(measure_plans(synthetic, plans, 0.5, states, "reactive")["clearance_m"]).all()
    alone = replace(synthetic, objects_v2=Sketch().scene().objects_v2)
    assert np.isnan(measure_plans(alone, plans, 0.5, states)["clearance_m"]).all()


def test_every_evaluation_measures_every_scene(evaluations: dict[str, Evaluation]) -> None:
    for found in evaluations.values():
        assert found.metrics.columns == [*METRIC_KEYS, *NAMES]
        assert found.metrics["token"].to_list() == found.table.of("epdms_v2")["token"].to_list()
        assert sum(found.metrics.null_count().row(0)) == 0
        assert found.metrics["clearance_m"].min() >= 0
        for name in [name for name in NAMES if "_max_" in name]:
            assert (found.metrics[name] >= found.metrics[name.replace("_max_", "_rms_")]).all()
        assert not set(NAMES) & set(found.table.frame.columns), "no part of the score"
    human, straight_on = (evaluations[name].metrics for name in ("human", "constant_velocity"))
    assert human["ade_m"].max() < 1e-9 and human["fde_m"].max() < 1e-9 and human["heading_error_rad"].max() < 1e-9
    assert straight_on["ade_m"].mean() > 0.5 and straight_on["fde_m"].mean() > straight_on["ade_m"].mean()
    assert straight_on["jerk_rms_mps3"].mean() < human["jerk_rms_mps3"].mean()


def test_comfort_share_is_below_one_where_the_benchmark_calls_a_plan_comfortable(
    cache: MetricCache, data: DataConfig, evaluations: dict[str, Evaluation]
) -> None:
    """Over plans of many kinds: braking and speeding up at 0 to 8 m/s2, swerving."""
    split = load_split("train", data, workers=1)
    given = evaluations["human"].trajectories
    poses = given.poses.copy()
    times_s = 0.5 * np.arange(1, 9)
    for row in range(len(poses)):
        poses[row, 0, :, 0] += 0.5 * np.linspace(-6, 6, len(poses))[row] * times_s**2
        poses[row, 0, :, 1] += 0.3 * (row % 5) * np.sin(2 * times_s)
    table = score_split(
        Trajectories.make(np.array(given.tokens), poses, given.interval_s),
        split,
        cache,
        ("epdms_v2",),
        human_filter="off",
        workers=1,
    )
    assert table.metrics is not None
    comfortable = table.of("epdms_v2")["history_comfort"].to_numpy() == 1
    assert 0.1 < comfortable.mean() < 0.9, "both kinds occur"
    assert (table.metrics["token"] == table.of("epdms_v2")["token"]).all()
    assert ((table.metrics["comfort_share"].to_numpy() < 1) == comfortable).all()


def test_alternatives_to_each_other_are_scored_only(
    cache: MetricCache, data: DataConfig, evaluations: dict[str, Evaluation]
) -> None:
    given = evaluations["human"].trajectories
    twice = Trajectories.make(np.array(given.tokens), np.repeat(given.poses, 2, axis=1), given.interval_s)
    assert score_split(twice, load_split("train", data, workers=1), cache, ("epdms_v2",), workers=1).metrics is None


def test_a_further_metric_cannot_take_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(FurtherMetric):
        name = "ade_m"

        def measure(self, scene: object, states: np.ndarray) -> np.ndarray:
            return states[:, 0, 0]

    monkeypatch.setattr(further_metrics, "GROUP", SimpleNamespace(find=lambda name: Taken))
    with pytest.raises(ConfigError, match="there is a column ade_m already"):
        load_metrics(["any"])


def test_summary_has_each_metric_with_its_interval(evaluations: dict[str, Evaluation]) -> None:
    metrics = evaluations["constant_velocity"].metrics
    columns = summarise(metrics)
    assert [found.column for found in columns] == NAMES
    for found in columns:
        assert found.mean == pytest.approx(metrics[found.column].mean()) and found.scenes == metrics.height


def test_columns_are_documented_with_their_units() -> None:
    assert len(set(NAMES)) == len(NAMES) and not set(NAMES) & set(schema(("pdms_v1", "epdms_v2")))
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    rows = {
        cells[0].strip("` "): cells
        for line in text.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and len(cells) == 3
    }
    for metric in (*PLAN_METRICS, ORACLE_GAP):
        assert rows[metric.name][1:] == [metric.unit, metric.meaning], metric.name


def test_oracle_gap_is_nought_for_the_best_entry_and_its_score_short_for_others(
    cache: MetricCache, data: DataConfig, town_files: dict[str, Path], evaluations: dict[str, Evaluation]
) -> None:
    vocabulary = Vocabulary.load(town_files["vocabulary"])
    teacher = TeacherStore.open(town_files["teacher"], vocabulary)
    metrics = evaluations["human"].metrics
    scores = np.stack([teacher.row(token, ("score",))["score"] for token in metrics["token"]])
    assert (scores.max(axis=1) - scores.min(axis=1)).max() > 0.1, "entries differ"

    def gap(chosen: np.ndarray) -> np.ndarray:
        plans = Trajectories.make(np.array(metrics["token"]), vocabulary.poses[chosen][:, None].astype(float), 0.1)
        found = add_oracle_gap(metrics, plans, vocabulary, teacher)
        assert found.columns == [*metrics.columns, "oracle_gap"] and found.height == metrics.height
        return found["oracle_gap"].to_numpy()

    assert (gap(scores.argmax(axis=1)) == 0).all()
    assert gap(scores.argmin(axis=1)) == pytest.approx(scores.max(axis=1) - scores.min(axis=1))
    with pytest.raises(DataError, match="is not an entry of the planner's vocabulary"):
        add_oracle_gap(metrics, evaluations["human"].trajectories, vocabulary, teacher)


def test_oracle_gap_needs_a_vocabulary(tiny_town: Path, town_files: dict[str, Path], tmp_path: Path) -> None:
    words = [f"cache={town_files['cache']}", f"data.logs={tiny_town / 'navsim_logs'}", f"out={tmp_path / 'out'}"]
    config = merge(Config, ["agent=human", "split=train", f"teacher={town_files['teacher']}", *words])
    with pytest.raises(ConfigError, match="agent human does not choose from a vocabulary"):
        evaluate.execute(config)

"""Families of comparisons on tables with known contents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.evaluation.groups import Planner
from navforge.evaluation.planned import AT_ZERO, Family, compare_planners, pairs_against, to_frame
from navforge.evaluation.tables import ScoreTable
from navforge.statistics import intervals
from navforge.statistics.families import Verdict
from tests.evaluation.made import noisy_planner

MakeTable = Callable[..., ScoreTable]


def family(*planners: Planner, against: str | None = None) -> Family:
    return compare_planners(planners, "epdms_v2", pairs_against([one.name for one in planners], against))


def test_a_clear_difference_and_none() -> None:
    good, plain, same = noisy_planner("good", 0.15), noisy_planner("plain", 0.0), noisy_planner("same", 0.0)
    found = family(plain, good, same)
    assert [(one.first, one.second) for one in found.differences] == [("good", "plain"), ("same", "plain")]
    assert [one.verdict for one in found.differences] == [Verdict.BETTER, Verdict.NOT_SHOWN]
    score = found.differences[0].columns["score"]
    assert score.value == pytest.approx(15.0, abs=2.0)
    assert score.low is not None and score.low > 0
    assert found.differences[0].detectable is not None and 0 < found.differences[0].detectable < 15
    turned = family(good, plain)
    assert turned.differences[0].verdict is Verdict.WORSE


def test_holm_counts_all_comparisons_of_the_family() -> None:
    planners = [noisy_planner("base", 0.0), *(noisy_planner(f"p{i}", 0.01 * i) for i in range(1, 4))]
    found = family(*planners)
    p = [one.columns["score"].p for one in found.differences]
    assert min(one.p_corrected or 1.0 for one in found.differences) == pytest.approx(min(1.0, 3 * min(p)))  # type: ignore[type-var, operator]


def test_comparisons_that_cannot_be_made_yet_count_too() -> None:
    planners = [noisy_planner("base", 0.0), noisy_planner("p", 0.02)]
    pairs = [("p", "base")]
    p = compare_planners(planners, "epdms_v2", pairs).differences[0].p_corrected
    early = compare_planners(planners, "epdms_v2", pairs, planned=4)
    assert p is not None and 0 < p < 0.25
    assert early.differences[0].p_corrected == pytest.approx(4 * p)
    assert early.planned == 4 and (early.differences[0].detectable or 0) > 0


def test_one_seed_is_the_verdict_however_large_the_difference() -> None:
    found = family(noisy_planner("base", 0.0), noisy_planner("lucky", 0.3, seeds=1))
    difference = found.differences[0]
    assert difference.verdict is Verdict.ONE_SEED
    assert (difference.p_corrected, difference.detectable) == (None, None)
    assert difference.columns["score"].low is not None
    assert found.planners[1].seed_sd is None


def test_share_of_scenes_at_zero_and_sub_scores(make_table: MakeTable) -> None:
    half = make_table(score=lambda log, scene: 0.8 * (scene % 2), checkpoint="h", trajectories="h")
    never = make_table(score=lambda log, scene: 0.8, checkpoint="n", trajectories="n")
    found = family(Planner(name="half", tables=(half,)), Planner(name="never", tables=(never,)))
    assert found.planners[0].columns[AT_ZERO].value == 50
    assert found.differences[0].columns[AT_ZERO].value == -50
    assert found.differences[0].columns["lane_keeping"].value == 0
    assert found.differences[0].columns["two_frame_extended_comfort"].scenes == 9


def test_agents_without_seeds_are_compared_over_logs(make_table: MakeTable) -> None:
    rng = np.random.default_rng(0)
    better = rng.uniform(0.5, 0.9, (30, 4))
    tables = [
        make_table(logs=30, score=lambda log, scene, gain=gain: float(better[log, scene]) + gain, agent=agent,
                   trajectories=agent)
        for agent, gain in (("human", 0.1), ("constant_velocity", 0.0))
    ]  # fmt: skip
    human, still = (Planner(name=str(table.meta.agent), tables=(table,)) for table in tables)
    found = family(still, human)
    assert found.differences[0].verdict is Verdict.BETTER
    known = intervals.over_clusters(100 * better.ravel(), np.repeat(np.arange(30), 4))
    assert found.planners[0].columns["score"].low == pytest.approx(known.low)


def test_every_row_of_numbers_says_what_it_is_of() -> None:
    found = family(noisy_planner("base", 0.0), noisy_planner("good", 0.2))
    frame = to_frame([found])
    assert frame.height == 3 * len(found.planners[0].columns)
    assert set(frame["protocol"]) == {"epdms_v2"} and set(frame["split_hash"]) == {"0123456789abcdef"}
    assert set(frame["logs"]) == {20} and set(frame["seeds_first"]) == {3}
    row = frame.filter((frame["column"] == "score") & frame["second"].is_not_null()).to_dicts()[0]
    assert (row["first"], row["second"], row["verdict"]) == ("good", "base", "better")


def test_pairs() -> None:
    assert pairs_against(["a", "b", "c"], None) == [("b", "a"), ("c", "a")]
    assert pairs_against(["a", "b", "c"], "c") == [("a", "c"), ("b", "c")]
    assert pairs_against(["a", "b", "c"], "all") == [("b", "a"), ("c", "a"), ("c", "b")]
    with pytest.raises(ConfigError, match="one of a, b"):
        pairs_against(["a", "b"], "d")
    with pytest.raises(DataError, match="planners are called a"):
        compare_planners([noisy_planner("a", 0.0)], "epdms_v2", [("a", "b")])

"""All numbers of a vocabulary report, on trajectories made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from navforge.reports.vocabulary_report import HumanComparison, Spread, VocabularyReport
from navforge.teacher.oracle import Oracle
from navforge.vocabulary.vocabulary import Vocabulary
from tests.vocabulary.moves import arc, braking, starting, straight

ENTRIES = [straight(0.0), straight(5.0), straight(10.0), arc(5.0, 0.2), starting(1.0), braking(8.0, by=1.0)]
VOCABULARY = Vocabulary(np.stack(ENTRIES))
HUMANS = np.stack([straight(10.5), straight(5.0), arc(5.0, -0.2), braking(9.0, by=4.0)])
TOKENS = ("a", "b", "c", "d")


def full() -> VocabularyReport:
    found = Oracle(
        protocol="pdms_v1",
        tokens=TOKENS,
        best=np.array([1.0, 0.4, 0.0, 0.97]),
        entry=np.array([2, 1, 0, 3]),
        good=np.array([1, 2, 4, 1]),
        mean=np.array([0.5, 0.2, 0.0, 0.5]),
    )
    return VocabularyReport(
        name="made.npy",
        vocabulary=VOCABULARY,
        human=HumanComparison("humans", TOKENS, HUMANS, VOCABULARY),
        oracle=found,
        store="cafe",
        losses=({"drivable_area_compliance": 0.0}, {"comfort": 0.0}),
    )


def test_humans_beyond_the_entries() -> None:
    beyond = full().human.beyond(full().limits)  # type: ignore[union-attr]
    assert beyond.top_speed == 0.25 and beyond.right == 0.25 and beyond.right_turn == 0.25 and beyond.braking == 0.25
    assert beyond.left == beyond.left_turn == beyond.acceleration == 0.0


def test_errors_and_turns() -> None:
    report = full()
    assert report.errors["ade_m"].max > 1.0 and report.errors["ade_m"].median > 0
    turning = report.human.quantisation.ade[2]  # type: ignore[union-attr]
    assert report.errors["turns_ade_m"] == Spread(mean=turning, median=turning, p95=turning, max=turning)
    straight_only = VocabularyReport(
        name="x", vocabulary=VOCABULARY, human=HumanComparison("h", ("a",), HUMANS[:1], VOCABULARY)
    )
    assert set(straight_only.errors) == {"ade_m", "fde_m", "heading_rad"}
    assert straight_only.errors["fde_m"].mean == pytest.approx(2.0, abs=1e-4)


def test_spread() -> None:
    spread = Spread.of(np.arange(101, dtype=np.float64))
    assert (spread.mean, spread.median, spread.p95, spread.max) == (50.0, 50.0, 95.0, 100.0)


def test_plain_values_hold_everything_and_are_json() -> None:
    plain = json.loads(json.dumps(full().to_dict()))
    assert (
        plain["entries"] == 6
        and plain["limits"]["stationary_share"] == pytest.approx(1 / 6)
        and plain["left_out"] == []
    )
    assert plain["human"]["entries_used"] == 2 and plain["human"]["quantisation"]["ade_m"]["median"] > 0
    oracle = plain["oracle"]
    assert oracle["mean"] == pytest.approx(0.5925) and oracle["share_below"]["0.9"] == 0.5
    assert [scene["token"] for scene in oracle["worst"]] == ["c", "b"]
    assert oracle["worst"][0]["loses"] == {"drivable_area_compliance": 0.0} and oracle["worst"][1]["entry"] == 1


def test_without_split_and_store_it_says_what_it_left_out() -> None:
    report = VocabularyReport(name="x", vocabulary=VOCABULARY)
    assert len(report.left_out) == 2 and "split=" in report.left_out[0] and "store=" in report.left_out[1]
    assert report.worst == [] and set(report.to_dict()) == {
        "vocabulary",
        "fingerprint",
        "entries",
        "limits",
        "left_out",
    }

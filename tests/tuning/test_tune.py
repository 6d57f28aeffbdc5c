"""Tuning: the best set is found, gains are what they are, overfitting is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.heads.weight_sets import SearchConfig
from navforge.models.heads.weights import DRIVESUPRIM_V1
from navforge.tuning.confidences import Confidences
from navforge.tuning.search import Candidates, chosen
from navforge.tuning.tune import Tuning, split_logs, tune, tuned

HEAD = HydraMdpConfig(protocol="pdms_v1", inference=replace(DRIVESUPRIM_V1, imitation=0.1, weighted=1.0))
SEARCH = SearchConfig(sets=256, seed=1)


def made(*, scenes: int = 120, logs: int = 12, signal: bool) -> Confidences:
    """Ten entries per scene. With a signal, the last confidence is the log of the true score, the others mislead."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 1, (scenes, 10)).astype(np.float32)
    values = rng.normal(0, 1, (scenes, 10, 4))
    values[..., 0] *= 4
    values[..., 3] = np.log(scores) if signal else rng.normal(0, 0.5, (scenes, 10))
    offsets = np.arange(scenes + 1) * 10
    candidates = Candidates(
        offsets,
        np.tile(np.arange(10, dtype=np.int32), scenes),
        values.reshape(-1, 4).astype(np.float32),
        scores.ravel(),
    )
    own = np.array([getattr(HEAD.inference, name) for name in HEAD.log_factors])
    names = np.array([f"log{index % logs:02d}" for index in range(scenes)])
    return Confidences(tuple(map(str, range(scenes))), names, candidates, chosen(candidates, own))


def found_score(found: Confidences, weights: dict[str, float]) -> float:
    places = chosen(found.candidates, np.array(list(weights.values())))
    return float(found.candidates.scores[places].astype(np.float64).mean())


@pytest.fixture(scope="module")
def good() -> Tuning:
    return tune(made(signal=True), HEAD, SEARCH, folds=3)


def test_what_is_searched() -> None:
    assert HEAD.log_factors == ("imitation", "no_at_fault_collisions", "drivable_area_compliance", "weighted")
    overall = HydraMdpConfig(target="score", inference=DRIVESUPRIM_V1)
    assert overall.log_factors == ("imitation", "weighted")


def test_the_best_set_is_kept_and_scores_what_it_says(good: Tuning) -> None:
    data = made(signal=True)
    assert good.improved and good.before["weighted"] == 1.0
    assert good.score_before == pytest.approx(found_score(data, good.before))
    assert good.score_after == pytest.approx(found_score(data, good.after))
    assert good.gain.mean == pytest.approx(good.score_after - good.score_before)
    assert good.after["weighted"] / good.after["imitation"] > 50  # trust what tells the truth
    assert tuned(HEAD, good).inference.weighted == good.after["weighted"]
    assert tuned(HEAD, good).inference.ego_progress == HEAD.inference.ego_progress


def test_a_true_gain_carries_over(good: Tuning) -> None:
    assert good.held_out_gain.low is not None and good.held_out_gain.low > 0
    assert len(good.fold_weights) == 3 and good.logs == 12 and good.scenes == 120


def test_a_gain_by_chance_does_not() -> None:
    """Confidences that say nothing of the score: the search still finds a better set, cross-validation finds none."""
    nothing = tune(made(signal=False), HEAD, SEARCH, folds=2)
    assert nothing.gain.low is not None and nothing.gain.low > 0
    assert nothing.held_out_gain.low is not None and nothing.held_out_gain.low < 0
    assert nothing.held_out_gain.mean < 0.6 * nothing.gain.mean


def test_held_out_scores_come_from_weights_of_the_other_folds() -> None:
    data = made(signal=False)
    found = tune(data, HEAD, SEARCH, folds=2)
    fold = split_logs(data.logs, 2, np.random.default_rng(SEARCH.seed))
    scores = data.candidates.scores.astype(np.float64)
    held_out = np.empty(len(fold))
    for part, weights in enumerate(found.fold_weights):
        places = chosen(data.candidates, np.array(list(weights.values())))
        held_out[fold == part] = scores[places][fold == part]
        seen = scores[places][fold != part].mean()
        own = scores[chosen(data.candidates, np.array(list(found.after.values())))][fold != part].mean()
        assert seen >= own - 1e-12  # the best on what it was chosen on
    assert found.held_out_gain.mean == pytest.approx((held_out - scores[data.planned]).mean())


def test_weights_that_cannot_be_bettered_are_kept() -> None:
    data = made(signal=True)
    best = np.maximum.reduceat(data.candidates.scores, data.candidates.offsets[:-1])
    places = np.array(
        [
            start + int(np.argmax(data.candidates.scores[start : start + 10] == top))
            for start, top in zip(data.candidates.offsets[:-1], best, strict=True)
        ]
    )
    perfect = replace(data, planned=places)
    found = tune(perfect, HEAD, SEARCH, folds=2)
    assert not found.improved and found.after == found.before and found.gain.mean == 0


def test_folds_are_whole_logs_of_even_size() -> None:
    logs = np.repeat([f"log{n}" for n in range(9)], [50, 40, 30, 20, 20, 10, 10, 10, 10])
    fold = split_logs(logs, 2, np.random.default_rng(0))
    for name in np.unique(logs):
        assert len(set(fold[logs == name])) == 1
    assert abs(int((fold == 0).sum()) - 100) <= 10
    with pytest.raises(DataError, match="10 parts of 9 logs"):
        split_logs(logs, 10, np.random.default_rng(0))

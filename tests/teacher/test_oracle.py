"""The best entry of each scene, from a tiny store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import protocol
from navforge.teacher.oracle import losses, oracle
from navforge.teacher.store import TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary
from tests.teacher.made import entries_of, random_entries, store_of
from tests.vocabulary.moves import straight

RULES = protocol("epdms_v2")
SIZE = 50
HOPELESS, FREE, SLOW = "00000000000000aa", "00000000000000bb", "00000000000000cc"


def uniform(count: int, **changed: float) -> dict[str, np.ndarray]:
    return {name: np.full(count, changed.get(name, 1.0)) for name in RULES.columns if name != EGO_PROGRESS.name}


@pytest.fixture
def store(tmp_path: Path) -> TeacherStore:
    vocabulary = Vocabulary(np.stack([straight(0.2 * k) for k in range(SIZE)]))
    progress = np.arange(SIZE, dtype=np.float64)
    uncomfortable = uniform(SIZE)
    uncomfortable["history_comfort"][10:] = 0.0
    scenes = {
        HOPELESS: entries_of(uniform(SIZE, drivable_area_compliance=0.0), progress, 20.0, RULES),
        FREE: entries_of(uniform(SIZE), progress, 20.0, RULES),
        SLOW: entries_of(uncomfortable, progress, 60.0, RULES),
        **{f"{seed:016x}": random_entries(RULES, SIZE, seed) for seed in range(3)},
    }
    store_of(tmp_path / "store", vocabulary, RULES, scenes)
    return TeacherStore.open(tmp_path / "store", vocabulary)


def test_best_scores_are_those_of_the_engine(store: TeacherStore) -> None:
    tokens = tuple(f"{seed:016x}" for seed in range(3))
    seen: list[int] = []
    found = oracle(store, tokens, step=seen.append)
    assert seen == [1, 2, 3] and found.protocol == "epdms_v2"
    for seed in range(3):
        score = random_entries(RULES, SIZE, seed).score
        assert found.best[seed] == pytest.approx(score.max(), abs=1e-5)
        assert score[found.entry[seed]] == pytest.approx(score.max(), abs=1e-5)
        assert found.mean[seed] == pytest.approx(score.mean(), abs=1e-5)
        assert found.good[seed] == np.count_nonzero(score >= score.max() - 0.01)


def test_thresholds_and_worst_scenes(store: TeacherStore) -> None:
    found = oracle(store, (FREE, HOPELESS, SLOW))
    assert found.best[0] == pytest.approx(1.0) and found.entry[0] == 20, "the first that drives as far as the reference"
    assert found.best[1] == 0.0 and found.good[1] == SIZE and found.best[2] < 0.9
    assert found.share_below(0.01) == pytest.approx(1 / 3)
    assert found.share_below(0.9) == pytest.approx(2 / 3)
    assert [found.tokens[row] for row in found.worst(2)] == [HOPELESS, SLOW]
    assert len(found.worst(10)) == 3


def test_entries_within_a_hundredth_of_the_best_are_good(tmp_path: Path) -> None:
    """Scores (5 x progress + 9) / 14, progress over the best: 0.0098, 0.0102 and 0.05 below 1."""
    below = np.array([0.0, 0.0098, 0.0102, 0.05])
    vocabulary = Vocabulary(np.stack([straight(0.2 * k) for k in range(len(below))]))
    progress = 20.0 * (1.0 - 14.0 / 5.0 * below)
    store_of(tmp_path / "store", vocabulary, RULES, {FREE: entries_of(uniform(len(below)), progress, 20.0, RULES)})
    found = oracle(TeacherStore.open(tmp_path / "store", vocabulary), (FREE,))
    assert found.best[0] == pytest.approx(1.0) and found.good[0] == 2


def test_losses_say_why_the_best_is_no_better(store: TeacherStore) -> None:
    found = oracle(store, (HOPELESS, FREE, SLOW))
    hopeless, free, slow = losses(store, found, [0, 1, 2])
    assert hopeless["drivable_area_compliance"] == 0.0 and free == {}
    assert set(slow) == {"ego_progress", "history_comfort"} and slow["history_comfort"] == 0.0
    assert slow["ego_progress"] == pytest.approx((SIZE - 1) / 60.0, abs=1e-4)


def test_among_equals_the_scene_with_fewest_good_entries_is_worst(store: TeacherStore) -> None:
    found = oracle(store, (HOPELESS, FREE))
    tied = type(found)(
        protocol="x", tokens=("b", "a", "c"), best=np.ones(3), entry=np.zeros(3, np.int64), good=np.array([5, 2, 2]),
        mean=np.ones(3),
    )  # fmt: skip
    assert [tied.tokens[row] for row in tied.worst(3)] == ["a", "c", "b"]


def test_a_scene_that_is_not_there_is_named(store: TeacherStore) -> None:
    with pytest.raises(DataError, match="00000000000000ff is not in teacher store"):
        oracle(store, ("00000000000000ff",))

"""The weight search against trying every entry with every set of weights."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from navforge.core.errors import ConfigError
from navforge.models.heads.weight_sets import METHODS, SearchConfig, weight_sets
from navforge.tuning.search import BLOCK, Candidates, chosen, score_sums, unbeaten

FACTORS = ("imitation", "no_at_fault_collisions", "drivable_area_compliance", "weighted")
LOW, HIGH = SearchConfig().box(FACTORS)


def confidences(rng: np.random.Generator, entries: int, kind: str) -> NDArray[np.float32]:
    """Log confidences of one scene: spread out, alike to the last digit, or with many equal entries."""
    values = -np.exp(rng.normal(0, 1.5, (entries, len(FACTORS))))
    if kind == "close":
        values = -1 + 1e-4 * values
    elif kind == "rounding":
        values = np.float64(np.float32(-1)) + np.spacing(np.float32(1)) * rng.integers(-3, 4, values.shape)
    elif kind == "equal":
        values = np.round(values * 2) / 2
    elif kind == "extreme":
        values *= 10.0 ** rng.integers(-3, 2, (entries, 1))
    return values.astype(np.float32)


KINDS = ("spread", "close", "rounding", "equal", "extreme")


def by_trying(found: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """(M,) entry each set chooses, the first among equals; values summed in the order of the factors."""
    values = np.zeros((len(weights), len(found)))
    for k in range(found.shape[1]):
        values += weights[:, k : k + 1] * found[:, k].astype(np.float64)
    return values.argmax(axis=1)


def gather(scenes: list[NDArray[np.float32]], scores: list[NDArray[np.float32]], *, pruned: bool) -> Candidates:
    kept = [unbeaten(scene, LOW, HIGH) if pruned else np.arange(len(scene)) for scene in scenes]
    return Candidates(
        np.concatenate([[0], np.cumsum([len(k) for k in kept])]).astype(np.int64),
        np.concatenate(kept).astype(np.int32),
        np.concatenate([scene[k] for scene, k in zip(scenes, kept, strict=True)]),
        np.concatenate([score[k] for score, k in zip(scores, kept, strict=True)]),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pruning_changes_no_choice(kind: str) -> None:
    rng = np.random.default_rng(5)
    ends = np.stack(np.meshgrid(*zip(LOW, HIGH, strict=True), indexing="ij"), axis=-1).reshape(-1, len(LOW))
    sets = np.concatenate([ends, weight_sets(SearchConfig(sets=300), FACTORS)])
    for _ in range(60):
        found = confidences(rng, int(rng.integers(1, 200)), kind)
        left = unbeaten(found, LOW, HIGH)
        assert set(by_trying(found, sets)) <= set(left)
        assert left.tolist() == sorted(left.tolist())


def test_what_is_beaten_everywhere_goes() -> None:
    found = np.array([[-2, -2, -2, -2], [-1, -1, -1, -1], [-0.5, -1.2, -1, -1], [-1, -1, -1, -1]], np.float32)
    assert unbeaten(found, LOW, HIGH).tolist() == [1, 2, 3]  # the third wins where imitation counts most
    assert by_trying(found[:3], np.array([[0.1, 0.1, 0.1, 1.0]])).tolist() == [2]


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_trying_everything(kind: str) -> None:
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 80, 40)
    scenes = [confidences(rng, int(size), kind) for size in sizes]
    scores = [rng.random(int(size)).astype(np.float32) for size in sizes]
    folds = rng.integers(0, 3, len(scenes))
    folds[:3] = [0, 1, 2]
    sets = weight_sets(SearchConfig(sets=BLOCK + 100), FACTORS)  # a whole block and a part of one
    expected = np.zeros((3, len(sets)))
    for scene, score, fold in zip(scenes, scores, folds, strict=True):
        expected[fold] += score.astype(np.float64)[by_trying(scene, sets)]
    for pruned in (False, True):
        found = score_sums(gather(scenes, scores, pruned=pruned), sets, folds, threads=2, chunk=7)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_the_sum_does_not_depend_on_threads() -> None:
    rng = np.random.default_rng(2)
    scenes = [confidences(rng, 50, "spread") for _ in range(30)]
    candidates = gather(scenes, [rng.random(50).astype(np.float32) for _ in scenes], pruned=True)
    sets, folds = weight_sets(SearchConfig(sets=100), FACTORS), np.zeros(30, np.int64)
    one = score_sums(candidates, sets, folds, threads=1, chunk=4)
    assert np.array_equal(one, score_sums(candidates, sets, folds, threads=3, chunk=4))


def test_chosen_is_the_first_of_the_best() -> None:
    rng = np.random.default_rng(3)
    scenes = [confidences(rng, 30, kind) for kind in KINDS]
    candidates = gather(scenes, [np.zeros(30, np.float32) for _ in scenes], pruned=False)
    for weights in weight_sets(SearchConfig(sets=20, method="random"), FACTORS):
        places = chosen(candidates, weights)
        expected = [by_trying(scene, weights[None])[0] for scene in scenes]
        assert candidates.entries[places].tolist() == expected


@pytest.mark.parametrize("method", METHODS)
def test_sets_lie_in_the_box_and_fill_it(method: str) -> None:
    config = SearchConfig(sets=700, method=method)
    sets = weight_sets(config, FACTORS)
    assert len(np.unique(sets, axis=0)) == len(sets) == (625 if method == "grid" else 700)
    assert (sets >= LOW).all() and (sets <= HIGH).all()
    middle = np.sqrt(LOW * HIGH)
    assert np.abs((sets < middle).mean(axis=0) - 0.5).max() < 0.12
    assert np.array_equal(sets, weight_sets(config, FACTORS))
    if method == "grid":
        assert LOW.tolist() in sets.tolist() and HIGH.tolist() in sets.tolist()


def test_ranges_are_those_of_the_paper_by_default() -> None:
    assert LOW.tolist() == [0.01, 0.1, 0.1, 1.0] and HIGH.tolist() == [0.1, 1.0, 1.0, 10.0]


def test_ranges_that_are_none() -> None:
    with pytest.raises(ConfigError, match=r"search\.weighted"):
        SearchConfig(weighted=(3.0, 1.0))
    with pytest.raises(ConfigError, match=r"search\.imitation"):
        SearchConfig(imitation=(0.1,))
    with pytest.raises(ConfigError, match="grid"):
        weight_sets(SearchConfig(sets=10, method="grid"), FACTORS)

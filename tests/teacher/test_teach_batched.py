"""Rows made from batches of scenes are those made scene by scene; `tests/e2e/test_teach.py` compares whole stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.batch import cuda as batch_cuda
from navforge.scoring.batch.scenes import SceneBatch, prepare_batch
from navforge.scoring.protocols import PROTOCOLS, Protocol
from navforge.simulation.plans import prepare_plans
from navforge.teacher.teach import Work, packed, score_entries, vocabulary_of
from navforge.teacher.teach_batched import Raw, Scorer, pack_slice, scorer_on_cpu
from navforge.vocabulary.vocabulary import INTERVAL_S, Vocabulary
from tests.scoring.backends import on_simulator
from tests.scoring.scenes import Sketch, random_plans, random_scene, straight, two_lane_road


def scenes() -> list[CachedScene]:
    """Some in traffic, one without a road, where the filter forgives, one with."""
    rng = np.random.default_rng(2)
    bare, road = Sketch(polygons=[]), Sketch(polygons=two_lane_road())
    return [*(random_scene(rng) for _ in range(3)), bare.scene(), road.scene()]


def work(folder: Path, rules: Protocol, human_filter: bool) -> Work:
    plans = [straight(40, INTERVAL_S, speed) for speed in (0.0, 2.0, 6.0, 12.0)]
    poses = np.concatenate([random_plans(np.random.default_rng(3), 21), plans]).astype(np.float32)
    vocabulary = Vocabulary(poses)
    vocabulary.save(folder / "shards" / f"vocabulary-{vocabulary.fingerprint}.npy")
    return Work(
        out=str(folder),
        cache="",
        cache_fingerprint="",
        key="",
        code="",
        vocabulary=vocabulary.fingerprint,
        protocol=rules.name,
        human_filter=human_filter,
        entries=vocabulary.size,
        progress_bits=16,
    )


def raw(given: list[CachedScene], made: Work, scorer: Scorer | None = None) -> Raw:
    for number, scene in enumerate(given):
        object.__setattr__(scene, "token", f"scene{number}")
    batch = prepare_batch(given, made.rules)
    return Raw(
        batch.tokens, *(scorer or scorer_on_cpu(made, threads=2))(batch), batch.terms(made.rules, made.human_filter)
    )


@pytest.mark.parametrize("human_filter", [True, False])
@pytest.mark.parametrize("rules", PROTOCOLS, ids=lambda rules: rules.name)
def test_rows_are_those_made_scene_by_scene(rules: Protocol, human_filter: bool, tmp_path: Path) -> None:
    made, given = work(tmp_path, rules, human_filter), scenes()
    rows = pack_slice(raw(given, made), made)
    plans = prepare_plans(vocabulary_of(made).poses.astype(np.float64), INTERVAL_S)
    forgiven = set()
    for scene in given:
        entries = score_entries(scene, plans, rules, human_filter=human_filter)
        assert rows[scene.token] == packed(entries, rules, made.layout)
        forgiven |= set(entries.terms.forgiven)
    assert bool(forgiven) == human_filter
    assert len({row.row for row in rows.values()}) > 3


def test_the_order_of_results_is_that_of_a_gpu(tmp_path: Path) -> None:
    made, given = work(tmp_path, PROTOCOLS[0], True), scenes()[2:4]
    few = np.ascontiguousarray(vocabulary_of(made).poses[::6], np.float64)

    def on_device(batch: SceneBatch) -> tuple[np.ndarray, np.ndarray]:
        results, events = on_simulator(batch_cuda.CHUNK)(batch, few, True, tmp_path)
        return results.reshape(len(results), len(batch), -1), events.reshape(2, len(batch), -1)

    np.testing.assert_array_equal(raw(given, made, on_device).results, raw(given, made).results[:, :, ::6])


def test_an_entry_that_cannot_be_simulated_is_named_with_its_scene(tmp_path: Path) -> None:
    made = work(tmp_path, PROTOCOLS[0], True)
    found = raw(scenes(), made)
    found.results[-1, 2, 7] = np.nan
    with pytest.raises(DataError, match=r"scene scene2: a simulated state of proposal 7 is not finite"):
        pack_slice(found, made)


def test_a_vocabulary_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    made = work(tmp_path, PROTOCOLS[0], True)
    Vocabulary(np.zeros((3, 40, 3), np.float32)).save(tmp_path / "shards" / f"vocabulary-{made.vocabulary}.npy")
    with pytest.raises(DataError, match="was replaced by another vocabulary"):
        scorer_on_cpu(made)

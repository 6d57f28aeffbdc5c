"""Building, resuming and opening teacher stores; the teacher's rules against the engine's."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.data.filters import SceneFilter
from navforge.data.splits import Split
from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores
from navforge.scoring.engine import score_plans
from navforge.scoring.protocols import PROTOCOLS, Protocol, protocol
from navforge.simulation.plans import prepare_plans
from navforge.teacher import build as building
from navforge.teacher import rows as taught
from navforge.teacher import shards
from navforge.teacher import teach as module
from navforge.teacher.build import Plan, require_own, teach
from navforge.teacher.packing import UNIT16
from navforge.teacher.store import TeacherStore
from navforge.teacher.teach import score_entries
from navforge.vocabulary.vocabulary import Vocabulary
from tests.scoring.scenes import Sketch, straight, two_lane_road
from tests.teacher.made import random_entries

LOGS = {"log_a": ("a1", "a2"), "log_b": ("b1",), "log_c": ("c1", "c2", "c3")}
SPLIT = Split(name="some", filter=SceneFilter(), logs=LOGS, folders=dict.fromkeys(LOGS, "some"))
RULES = protocol("epdms_v2")


@dataclass
class FakeScene:
    token: str


class FakeCache:
    """Stands for a metric cache; counts which logs were read."""

    read: ClassVar[list[str]] = []
    opened: ClassVar[int] = 0
    fingerprint = "cafe"
    tokens = SPLIT.tokens

    @classmethod
    def open(cls, path: Path) -> FakeCache:
        FakeCache.opened += 1
        return cls()

    def load_log(self, log_name: str) -> list[FakeScene]:
        FakeCache.read.append(log_name)
        return [FakeScene(token) for token in reversed(LOGS[log_name])]


def fake_scores(scene: FakeScene, poses: np.ndarray, *_: object, **__: object) -> Scores[Any]:
    forgiven = ("drivable_area_compliance",) if scene.token == "b1" else ()
    return random_entries(RULES, len(poses), scene.token, forgiven=forgiven)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    FakeCache.read = []
    module.cache_of.cache_clear()
    if "realdata" not in request.fixturenames:
        monkeypatch.setattr(module, "MetricCache", FakeCache)
        monkeypatch.setattr(building, "MetricCache", FakeCache)
        monkeypatch.setattr(module, "score_entries", fake_scores)


def vocabulary(seed: int = 0) -> Vocabulary:
    return Vocabulary(np.random.default_rng(seed).normal(size=(7, 40, 3)).astype(np.float32))


def files(store: Path) -> dict[str, bytes]:
    return {name: (store / name).read_bytes() for name in ("header.json", "rows.bin", "tokens.txt")}


def build(out: Path, **changes: object) -> TeacherStore:
    arguments = {"protocol_name": "epdms_v2", "human_filter": True, "workers": 1, **changes}
    return teach(vocabulary(), SPLIT, Path("cache"), out, **arguments)  # type: ignore[arg-type]


def test_rows_hold_what_was_scored(tmp_path: Path) -> None:
    store = build(tmp_path)
    assert store.tokens == SPLIT.tokens
    assert store.columns == (*RULES.columns, "score")
    for token in store.tokens:
        row, truth = store.row(token), fake_scores(FakeScene(token), vocabulary().poses)
        assert all(values.dtype == np.float32 and values.shape == (7,) for values in row.values())
        for name in RULES.columns:
            if name != "ego_progress":
                expected = 1.0 if name in truth.terms.forgiven else truth.unfiltered[name]
                np.testing.assert_array_equal(row[name], np.broadcast_to(expected, 7))
        gates = aggregate.gate(truth.unfiltered, RULES)
        progress = aggregate.gated_progress(truth.progress_m, gates, truth.terms.reference_gated_m)
        assert np.abs(row["ego_progress"] - progress).max() < 1e-5
        assert np.abs(row["score"] - truth.score).max() < 1e-5
    assert not (tmp_path / "shards").exists()


def test_the_header_says_what_rounding_cost_and_how_good_the_best_entries_are(tmp_path: Path) -> None:
    store = build(tmp_path)
    truth = [fake_scores(FakeScene(token), vocabulary().poses) for token in store.tokens]
    assert store.header["oracle"] == pytest.approx(np.mean([entries.score.max() for entries in truth]), abs=1e-12)
    assert store.header["mean_score"] == pytest.approx(np.mean([entries.score.mean() for entries in truth]), abs=1e-12)
    worst = max(np.abs(store.row(t)["score"] - e.score).max() for t, e in zip(store.tokens, truth, strict=True))
    assert store.header["rounding"]["score"] == pytest.approx(worst, abs=1e-7) and 0 < worst < 8e-6
    coarse = build(tmp_path / "coarse", progress_bits=8)
    assert 2e-4 < coarse.header["rounding"]["ego_progress"] < 2e-3
    assert coarse.layout.row_bytes < store.layout.row_bytes


def test_another_process_gets_the_path_and_not_the_scores(tmp_path: Path) -> None:
    store = build(tmp_path)
    handed = pickle.dumps(store)
    assert (tmp_path / "rows.bin").read_bytes()[:64] not in handed and len(handed) < 12_000
    again = pickle.loads(handed)
    for name, values in store.row("b1").items():
        np.testing.assert_array_equal(again.row("b1")[name], values)


def test_an_interrupted_store_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(tmp_path / "whole")
    FakeCache.read = []

    def fails_late(scene: FakeScene, poses: np.ndarray, *a: object, **k: object) -> Scores[Any]:
        if scene.token == "c2":
            raise RuntimeError("power cut")
        return fake_scores(scene, poses)

    monkeypatch.setattr(module, "score_entries", fails_late)
    with pytest.raises(DataError, match=r"3 of 6 scenes could not be scored") as raised:
        build(tmp_path / "again")
    assert str(raised.value).splitlines()[1] == "  log log_c: scene c2: RuntimeError: power cut"
    assert str(raised.value).count("\n") == 2, "the first line of each cause"
    failures = json.loads((tmp_path / "again" / "failures.json").read_text())
    assert [failure["log_name"] for failure in failures] == ["log_c"] and "in fails_late" in failures[0]["traceback"]
    with pytest.raises(DataError, match="unfinished"):
        TeacherStore.open(tmp_path / "again", vocabulary())
    shard = tmp_path / "again" / "shards" / "log_b.shard"
    shard.write_bytes(shard.read_bytes()[:-50])
    monkeypatch.setattr(module, "score_entries", fake_scores)
    FakeCache.read = []
    again = build(tmp_path / "again")
    assert FakeCache.read == ["log_b", "log_c"]  # the truncated and the unfinished one
    assert not (tmp_path / "again" / "failures.json").exists()
    assert files(whole.path) == files(again.path)
    FakeCache.read = []
    build(tmp_path / "again")
    assert FakeCache.read == []


def test_shards_of_another_vocabulary_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path)
    FakeCache.read = []
    with pytest.raises(KeyboardInterrupt):
        teach(vocabulary(1), SPLIT, Path("c"), tmp_path, protocol_name="epdms_v2", human_filter=True, workers=1)
    assert FakeCache.read == list(LOGS)


def test_another_store_is_not_overwritten(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(DataError, match="human_filter"):
        build(tmp_path, human_filter=False)


def test_another_vocabulary_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    build(tmp_path)
    other = vocabulary(1)
    with pytest.raises(DataError) as caught:
        TeacherStore.open(tmp_path, other)
    assert vocabulary().fingerprint in str(caught.value) and other.fingerprint in str(caught.value)


def test_require_names_what_does_not_fit(tmp_path: Path) -> None:
    store = build(tmp_path)
    good = {"tokens": ("a1",), "columns": ("lane_keeping",), "protocol": "epdms_v2", "cache": "cafe"}
    store.require(**good)
    for change, words in (
        ({"tokens": ("a1", "z9")}, "lacks 1 of 2 scenes, z9"),
        ({"columns": ("comfort",)}, "no column comfort"),
        ({"protocol": "pdms_v1"}, "holds epdms_v2, the planner learns pdms_v1"),
        ({"cache": "beef"}, "cache given is beef"),
    ):
        with pytest.raises(DataError, match=words):
            store.require(**{**good, **change})
    with pytest.raises(DataError, match="scene z9 is not in"):
        store.row("z9")


def test_scenes_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCache, "tokens", SPLIT.tokens[1:])
    with pytest.raises(DataError, match="lacks 1 of 6 scenes of some, a1"):
        build(tmp_path)


@pytest.mark.parametrize("human_filter", [True, False])
@pytest.mark.parametrize("rules", PROTOCOLS, ids=lambda rules: rules.name)
@pytest.mark.parametrize("off_road", [True, False])
def test_values_are_the_engine_s_under_every_protocol(rules: Protocol, human_filter: bool, off_road: bool) -> None:
    """Off the road like the human, the score is forgiven only where the filter enters the score."""
    poses = np.stack([straight(40, 0.1, speed) for speed in (0.0, 2.0, 4.0, 8.0, 12.0)])
    scene = Sketch(polygons=[] if off_road else two_lane_road()).scene()
    truth = score_plans(scene, poses, 0.1, (rules,), human_filter)[rules.name]
    row = read(score_entries(scene, prepare_plans(poses, 0.1), rules, human_filter=human_filter), rules)
    assert set(row) == {*rules.columns, "score"}
    assert np.abs(row["score"] - truth.score).max() < 1e-5
    assert all(np.array_equal(row[n], truth.values[n]) for n in rules.columns if n != "ego_progress")
    if off_road:
        forgiven = human_filter and (rules.filter_enters_score or not rules.human_filter)
        assert (row["score"] > 0.0).any() == forgiven
    else:
        reference = truth.terms.reference_gated_m
        assert np.allclose(row["ego_progress"], np.minimum(truth.progress_m / max(reference, 5.0), 1.0), atol=1e-5)


def read(entries: Scores[Any], rules: Protocol) -> dict[str, np.ndarray]:
    """What a row of a store gives of these entries."""
    layout = taught.layout(rules, len(entries.score), UNIT16)
    row = taught.pack(entries, rules, layout)
    taught.rounding(row, entries, rules, layout)
    return taught.unpack(np.frombuffer(row, np.uint8), rules, layout, taught.columns(rules))


def test_code_counts_by_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for place in (module, building):
        monkeypatch.setattr(place, "code_fingerprint", lambda *modules: seen.append(modules) or "same")
    build(tmp_path)
    assert set(seen) == {module.CODE} and build(tmp_path).header["code"] == "same"
    monkeypatch.setattr(building, "code_fingerprint", lambda *modules: "other")
    with pytest.raises(DataError, match="differs in the code that makes it has changed"):
        build(tmp_path)


def test_teacher_scores_are_the_engine_s(realdata: Path, navsim_files: Path) -> None:
    """Where no gate is partial, EP is the benchmark's; the score always is; a gated-out entry has teacher EP 0."""
    from tests.scoring.golden import golden_files, scene_from_golden  # noqa: PLC0415

    poses = Vocabulary.load(navsim_files / "vocabulary_8192.npy").poses[::256].astype(np.float64)
    partial = 0
    for file in golden_files(realdata)[::9]:
        scene = scene_from_golden(realdata, file.stem)
        for name in ("epdms_v2", "pdms_v1"):
            rules = protocol(name)
            truth = score_plans(scene, poses, 0.1, (rules,), rules.human_filter)[name]
            row = read(score_entries(scene, prepare_plans(poses, 0.1), rules, human_filter=rules.human_filter), rules)
            assert np.abs(row["score"] - truth.score).max() < 1e-5
            for column in rules.columns:
                if column != "ego_progress":
                    assert np.array_equal(row[column], truth.values[column])
            raw = score_entries(scene, prepare_plans(poses, 0.1), rules, human_filter=False).unfiltered
            gates = np.prod([raw[metric.name] for metric in rules.multiplicative], axis=0)
            whole = gates == 1
            assert np.allclose(row["ego_progress"][whole], truth.values["ego_progress"][whole], atol=1e-5)
            ruled_out = (gates == 0) & (truth.terms.reference_gated_m > 5.0)
            partial += ruled_out.sum()
            assert (row["ego_progress"][ruled_out] == 0.0).all()
    assert partial > 0


def test_a_merge_that_is_interrupted_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = files(build(tmp_path / "whole").path)
    out = tmp_path / "again"
    for place in ("write_text", "write_sealed", "rmtree"):
        target = shards.shutil if place == "rmtree" else shards
        with monkeypatch.context() as power:
            power.setattr(target, place, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                build(out)
        assert (out / "header.json").exists() == (place == "rmtree")
    FakeCache.read = []
    build(out).check()
    assert files(out) == whole and FakeCache.read == [] and not (out / "shards").exists()


def test_a_shard_that_vanishes_before_the_merge_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Plan.finish

    def after_a_loss(planned: Plan) -> None:
        (tmp_path / "shards" / "log_b.shard").unlink()
        finish(planned)

    monkeypatch.setattr(Plan, "finish", after_a_loss)
    with pytest.raises(DataError, match=r"log_b\.shard not found"):
        build(tmp_path)
    assert not (tmp_path / "header.json").exists() and not (tmp_path / "rows.bin").exists()


def test_a_worker_with_other_code_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = building.plan(vocabulary(), SPLIT, Path("c"), tmp_path, protocol_name="epdms_v2", human_filter=True)
    monkeypatch.setattr(module, "code_fingerprint", lambda *modules: "other")
    with pytest.raises(DataError, match="runs other code than the one that plans the store"):
        module.teach_log(("log_b", LOGS["log_b"]), planned.pieces[0].work)


def test_a_cache_that_was_made_again_since_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = building.plan(vocabulary(), SPLIT, Path("c"), tmp_path, protocol_name="epdms_v2", human_filter=True)
    monkeypatch.setattr(FakeCache, "fingerprint", "beef")
    with pytest.raises(DataError, match=r"made again since .*fingerprint beef, planned with cafe\).*teach again"):
        module.teach_log(("log_b", LOGS["log_b"]), planned.pieces[0].work)
    assert FakeCache.read == [] and not list(tmp_path.rglob("*.shard"))


def test_planning_with_another_vocabulary_leaves_work_that_is_under_way_alone(tmp_path: Path) -> None:
    settings = {"protocol_name": "epdms_v2", "human_filter": True}
    planned = building.plan(vocabulary(), SPLIT, Path("c"), tmp_path, **settings)  # type: ignore[arg-type]
    building.plan(vocabulary(1), SPLIT, Path("c"), tmp_path, **settings)  # type: ignore[arg-type]
    for item in LOGS.items():
        module.teach_log(item, planned.pieces[0].work)
    planned.finish()
    assert files(tmp_path) == files(build(tmp_path / "alone").path)


def test_a_process_opens_the_cache_once(tmp_path: Path) -> None:
    planned = building.plan(vocabulary(), SPLIT, Path("c"), tmp_path, protocol_name="epdms_v2", human_filter=True)
    before = FakeCache.opened
    for item in LOGS.items():
        module.teach_log(item, planned.pieces[0].work)
    assert FakeCache.opened - before == 1 and FakeCache.read == list(LOGS)


def test_eight_bits_and_sixteen_are_two_stores(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(DataError, match="differs in columns"):
        build(tmp_path, progress_bits=8)


def test_an_unfinished_store_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    mine, other = (Vocabulary(np.full((2, 40, 3), value, dtype=np.float32)) for value in (0.0, 1.0))
    require_own(tmp_path, mine)
    (tmp_path / "shards").mkdir()
    mine.save(tmp_path / "shards" / f"vocabulary-{mine.fingerprint}.npy")
    require_own(tmp_path, mine)
    with pytest.raises(DataError, match=f"unfinished store of vocabulary {mine.fingerprint}, .* {other.fingerprint}"):
        require_own(tmp_path, other)

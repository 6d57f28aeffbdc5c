"""`navforge teach` on threads and by batches: the same bytes in whatever order, interrupted and failing or not.

`test_build.py` has the executors.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from navforge.cli import teach as verb
from navforge.cli.main import main
from navforge.core.build import Executor
from navforge.teacher import teach_batched
from navforge.teacher.build import Threads
from tests.built_once import built_once
from tests.e2e.world import World
from tests.killed import run_and_kill
from tests.scoring.backends import has_gpu

Teach = Callable[..., int]


def words(world: World, vocabulary: Path, out: Path, **keys: object) -> list[str]:
    town = world.path / "town"
    fixed = {
        "vocabulary": vocabulary,
        "split": world.path / "split.yaml",
        "cache": world.path / "cache",
        "out": out,
        "data.logs": town / "navsim_logs",
        "data.maps": town / "maps",
    }
    own = {"workers": 1, "device": "auto" if "executor" in keys else "cpu"}
    return ["teach", *(f"{name}={value}" for name, value in {**own, **fixed, **keys}.items())]


@pytest.fixture(scope="session")
def taught(world: World, vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the store that one process makes alone."""

    def build(folder: Path) -> None:
        assert main(words(world, vocabulary, folder / "store")) == 0

    return files(built_once(tmp_path_factory, "e2e_taught", build) / "store")


@pytest.fixture
def run(world: World, vocabulary: Path) -> Teach:
    return lambda out, **keys: main(words(world, vocabulary, out, **keys))


def files(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("header.json", "rows.bin", "tokens.txt")}


def test_one_worker_two_and_any_order(
    run: Teach, taught: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "two", workers=2) == 0
    assert files(tmp_path / "two") == taught

    def shuffled(workers: int) -> Executor:
        return lambda pieces, label: Threads(workers)(random.Random(3).sample(pieces, len(pieces)), label)

    monkeypatch.setattr(verb, "Threads", shuffled)
    assert run(tmp_path / "shuffled") == 0
    assert files(tmp_path / "shuffled") == taught


@pytest.fixture
def batched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb works as with a GPU, but for the scorer, which is the batch engine on CPU threads."""
    monkeypatch.setattr(verb, "pick_device", lambda asked: "cuda")
    monkeypatch.setattr(teach_batched, "scorer_on_gpu", teach_batched.scorer_on_cpu)


@pytest.mark.usefixtures("batched")
@pytest.mark.parametrize(("scenes", "workers"), [(32, 1), (1, 2)])
def test_many_scenes_at_a_time(
    run: Teach, taught: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenes: int, workers: int
) -> None:
    monkeypatch.setattr(teach_batched, "SCENES", scenes)
    assert run(tmp_path / "store", workers=workers) == 0
    assert files(tmp_path / "store") == taught and not (tmp_path / "store" / "shards").exists()


@pytest.mark.usefixtures("batched")
def test_many_scenes_at_a_time_interrupted_and_failing(
    run: Teach, taught: dict[str, bytes], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    out, scored = tmp_path / "store", 0
    cache = Path(shutil.copytree(world.path / "cache", tmp_path / "cache"))

    def scorer(work: Any) -> teach_batched.Scorer:
        score, scenes = teach_batched.scorer_on_cpu(work), 0

        def until_the_power_cut(batch: Any) -> Any:
            nonlocal scenes, scored
            if power_cut and list(out.glob("shards/*.shard")):
                raise KeyboardInterrupt
            scenes += len(batch)
            scored = scenes
            return score(batch)

        return until_the_power_cut

    monkeypatch.setattr(teach_batched, "scorer_on_gpu", scorer)
    power_cut = True
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        raise SystemExit(run(out, cache=cache))
    kept = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.shard")}
    assert kept and not (out / "header.json").exists()
    power_cut = False
    damaged = next(path for path in sorted((cache / "logs").glob("*.nfc"))
                   if not (out / "shards" / f"{path.stem}.shard").exists())  # fmt: skip
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1000])
    assert run(out, cache=cache) == 2
    damaged.write_bytes(whole)
    assert f"log {damaged.stem}: DataError: scene " in capfd.readouterr().err
    failures = json.loads((out / "failures.json").read_text())
    assert [failure["log_name"] for failure in failures] == [damaged.stem]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert run(out, cache=cache) == 0
    assert files(out) == taught and not (out / "failures.json").exists()
    assert 0 < scored < 16


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="no CUDA device")
def test_many_scenes_at_a_time_on_a_gpu(run: Teach, taught: dict[str, bytes], tmp_path: Path) -> None:
    assert run(tmp_path / "store", device="cuda", workers=2) == 0
    assert files(tmp_path / "store") == taught


@pytest.mark.skipif(has_gpu(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_refused(run: Teach, tmp_path: Path, capfd: Any) -> None:
    assert run(tmp_path / "store", device="cuda") == 2
    assert "device=cuda: torch sees no GPU here; use device=cpu or auto" in capfd.readouterr().err


def test_killed_again_and_again_it_goes_on_and_loses_only_the_shard_in_hand(
    world: World, vocabulary: Path, run: Teach, taught: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "store"
    kept: dict[Path, int] = {}
    for shards in (1, 2):
        run_and_kill(words(world, vocabulary, out), ".shard", 1)
        assert not (out / "header.json").exists()
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
        kept = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.shard")}
        assert len(kept) == shards
    assert run(out) == 0
    assert files(out) == taught and not list(out.rglob("*.partial"))

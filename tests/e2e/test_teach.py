"""`navforge teach` by every executor: the same bytes, whoever made which shard, in whatever order, killed or not."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.cli import teach as verb
from navforge.cli.main import main
from navforge.core.errors import DataError
from navforge.launch.teaching import folder_of
from navforge.slurm import client
from navforge.slurm.profile import SHIPPED
from navforge.teacher import teach, teach_batched
from navforge.teacher.store import TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary
from tests.e2e.world import World
from tests.scoring.backends import has_gpu
from tests.slurm_cluster.cluster import Cluster, wait_for

Teach = Callable[..., int]
ON_SLURM: dict[str, Any] = {
    "executor": "slurm",
    "cluster": "l40s_4x4",
    "tasks": 2,
    "workers": 1,
}


@pytest.fixture(scope="session")
def vocabulary(world: World) -> Path:
    """Straight on and round both bends, at speeds from standing to far too fast."""
    speed, bend = np.meshgrid(np.linspace(0, 14, 8), np.linspace(-0.1, 0.1, 3))
    seconds = np.arange(1, 41) / 10
    heading = (speed * bend).reshape(-1, 1) * seconds / 4
    way = speed.reshape(-1, 1) * seconds
    poses = np.stack([way * np.cos(heading / 2), way * np.sin(heading / 2), heading], axis=-1)
    Vocabulary(poses.astype(np.float32)).save(world.path / "v24.npy")
    return world.path / "v24.npy"


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
    """Files of the store that this process makes alone."""
    out = tmp_path_factory.mktemp("alone") / "store"
    assert main(words(world, vocabulary, out)) == 0
    return files(out)


@pytest.fixture
def run(world: World, vocabulary: Path) -> Teach:
    return lambda out, **keys: main(words(world, vocabulary, out, **keys))


SLOWLY = """
import sys, time
from navforge.cli.main import main
from navforge.teacher import teach
at_once = teach.score_entries
def slowly(*words, **options):
    time.sleep(0.25)
    return at_once(*words, **options)
teach.score_entries = slowly
sys.exit(main(sys.argv[1:]))
"""
"""The verb with a quarter of a second more per scene, so that it can be killed in the middle."""


def files(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("header.json", "rows.bin", "tokens.txt")}


def test_one_worker_two_and_any_order(
    run: Teach, taught: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "two", workers=2) == 0
    assert files(tmp_path / "two") == taught

    def shuffled(items: Sequence[Any], work: Any, *, workers: int) -> Iterator[Any]:
        return teach.teach_logs(random.Random(3).sample(items, len(items)), work, workers=workers)

    monkeypatch.setattr(verb, "teach_logs", shuffled)
    assert run(tmp_path / "shuffled") == 0
    assert files(tmp_path / "shuffled") == taught


@pytest.fixture
def batched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb works as with a GPU, but for the scorer, which is the batch engine on CPU threads."""
    monkeypatch.setattr(verb, "_pick_device", lambda asked: "cuda")
    monkeypatch.setattr(teach_batched, "scorer_on_gpu", teach_batched.scorer_on_cpu)


@pytest.mark.usefixtures("batched")
@pytest.mark.parametrize(("scenes", "workers"), [(1, 2), (32, 1)])
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
        raise SystemExit(run(out))
    kept = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.shard")}
    assert kept and not (out / "header.json").exists()
    power_cut = False
    damaged = next(path for path in sorted((world.path / "cache" / "logs").glob("*.nfc"))
                   if not (out / "shards" / f"{path.stem}.shard").exists())  # fmt: skip
    whole = damaged.read_bytes()
    try:
        damaged.write_bytes(whole[:-1000])
        assert run(out) == 2
    finally:
        damaged.write_bytes(whole)
    assert f"log {damaged.stem}: DataError: scene " in capfd.readouterr().err
    failures = json.loads((out / "failures.json").read_text())
    assert [failure["log_name"] for failure in failures] == [damaged.stem]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert run(out) == 0
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


@pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed (pip install "navforge[ray]")')
def test_ray(run: Teach, taught: dict[str, bytes], tmp_path: Path) -> None:
    assert run(tmp_path / "store", executor="ray", workers=2) == 0
    assert files(tmp_path / "store") == taught


def test_killed_again_and_again_it_goes_on_and_loses_only_the_shard_in_hand(
    world: World, vocabulary: Path, run: Teach, taught: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "store"
    kept: dict[Path, int] = {}
    for shards in (1, 2):
        command = [sys.executable, "-c", SLOWLY, *words(world, vocabulary, out)]
        with subprocess.Popen(command) as process:
            wait_for(lambda n=shards: len(list(out.glob("shards/*.shard"))) >= n, f"{shards} shards", 120)
            time.sleep(0.1)  # into the next one
            process.kill()
        assert process.returncode == -signal.SIGKILL and not (out / "header.json").exists()
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
        kept = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.shard")}
        assert len(kept) == shards
    assert run(out) == 0
    assert files(out) == taught and not list(out.rglob("*.partial"))


def test_slurm_array(run: Teach, taught: dict[str, bytes], slurm: Cluster, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "my store"
    assert run(out, **ON_SLURM) == 0
    assert files(out) == taught and not (out / "shards").exists()
    said = capfd.readouterr().out
    assert "logs; its files:" in said and "24 entries on 16 scenes" in said
    assert run(out, **ON_SLURM) == 0  # finished: nothing is submitted
    assert files(out) == taught and not slurm.call("squeue", "-h").strip()


def test_slurm_tasks_that_fail_or_die_are_named_and_the_same_command_goes_on(
    run: Teach, taught: dict[str, bytes], slurm: Cluster, world: World, tmp_path: Path, capfd: Any
) -> None:
    out = tmp_path / "store"
    caches = sorted((world.path / "cache" / "logs").glob("*.nfc"))
    whole = caches[0].read_bytes()
    assert run(out, **ON_SLURM, wait="off") == 0
    folder = folder_of(out)
    job = (folder / "job").read_text().strip()
    assert f"job {job} makes the shards; the same command, later" in capfd.readouterr().out
    try:
        caches[0].write_bytes(whole[:-1000])
        client.call("scancel", f"{job}_1")
        wait_for(lambda: not client.alive([job]), "the job's end", 120)
        (folder / "job").write_text(job)
        for shard in out.glob(f"shards/{caches[0].stem}.shard"):
            shard.unlink()
        assert run(out, **ON_SLURM) == 2
        error = capfd.readouterr().err
        assert f"log {caches[0].stem}" in error and "failures.json" in error
        failures = json.loads((out / "failures.json").read_text())
        assert [failure["log_name"] for failure in failures] == [caches[0].stem]
        job = (folder / "job").read_text().strip()
        number = next(n for n, logs in enumerate(json.loads((folder / "work.json").read_text())["tasks"])
                      if caches[0].stem in logs)  # fmt: skip
        assert str(folder / "logs" / f"task-{job}_{number}.log") in error
        assert caches[0].stem in (folder / "logs" / f"task-{job}_{number}.log").read_text()
    finally:
        caches[0].write_bytes(whole)
    with pytest.raises(DataError, match="unfinished"):
        TeacherStore.open(out, Vocabulary.load(world.path / "v24.npy"))
    kept = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.shard")}
    assert run(out, **ON_SLURM) == 0
    assert files(out) == taught and kept


def test_slurm_a_job_that_waits_is_not_submitted_twice_and_cancelled_tasks_are_named(
    run: Teach, slurm: Cluster, world: World, vocabulary: Path, tmp_path: Path, capfd: Any
) -> None:
    out, later = tmp_path / "store", tmp_path / "later.yaml"
    later.write_text(SHIPPED["l40s_4x4"].read_text() + 'sbatch_options: ["--begin=now+1hour"]\n')
    waiting = {**ON_SLURM, "cluster": later}
    assert run(out, **waiting, wait="off") == 0 and run(out, **waiting, wait="off") == 0
    job = (folder_of(out) / "job").read_text().strip()
    assert {line.partition("_")[0] for line in slurm.call("squeue", "-h", "-o", "%i").splitlines()} == {job}
    capfd.readouterr()
    assert run(out, **waiting, human_filter="off") == 2
    assert f"job {job} makes another store in" in capfd.readouterr().err
    command = [sys.executable, "-m", "navforge", *words(world, vocabulary, out, **waiting)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout is not None
            assert f"job {job} makes the shards already" in watching.stdout.readline()
            slurm.call("scancel", job)
            error = watching.communicate(timeout=60)[1]
        finally:
            watching.kill()
    assert watching.returncode == 2
    for task in (0, 1):
        assert f"{task} (CANCELLED" in error and str(folder_of(out) / "logs" / f"task-{job}_{task}.log") in error
    assert "run the same command again" in error and not (out / "header.json").exists()

"""Metric cache, input store, feature store and teacher store by every executor: the same bytes, failures named."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from navforge.cli.main import main
from navforge.launch.build_array import folder_of
from navforge.slurm.profile import SHIPPED
from navforge.town.network import PlanConfig
from navforge.town.scales import SCALES, Scale, SplitPlan
from tests.e2e.world import World
from tests.slurm_cluster.cluster import Cluster

Run = Callable[..., int]
VERBS = ("cache", "pack", "encode", "teach")
QUICK = "cache"
"""The one of them that is tried without `-m slow`; they share all that runs the logs."""
FROZEN = "name: frozen\nencoder: {kind: tests.features.parts:StatusTrunkConfig}\nhead: {kind: mlp}\n"
ON_SLURM: dict[str, Any] = {"executor": "slurm", "cluster": "l40s_4x4", "tasks": 2}


@pytest.fixture(
    scope="session",
    params=[pytest.param(verb, marks=[pytest.mark.slow] if verb != QUICK else []) for verb in VERBS],
)
def verb(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def run(world: World, vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = tmp_path_factory.mktemp("recipe") / "frozen.yaml"
    recipe.write_text(FROZEN)
    own = {
        "cache": {},
        "pack": {"agent": "ego_mlp"},
        "encode": {"agent": recipe, "dtype": "float32", "device": "cpu"},
        "teach": {"vocabulary": vocabulary, "cache": world.path / "cache"},
    }

    def run_verb(verb: str, out: Path, *, logs: Path | None = None, **keys: object) -> int:
        town = world.path / "town"
        fixed = {
            "split": world.path / "split.yaml",
            "out": out,
            "workers": 1,
            "data.logs": logs or town / "navsim_logs",
            "data.maps": town / "maps",
        }
        return main([verb, *(f"{name}={value}" for name, value in {**own[verb], **fixed, **keys}.items())])

    return run_verb


@pytest.fixture(scope="session")
def local(verb: str, run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the product that this process makes alone."""
    out = tmp_path_factory.mktemp("local") / verb
    assert run(verb, out) == 0
    return files(out)


def files(out: Path) -> dict[str, bytes]:
    """By path, but for config and provenance, which tell runs apart."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.suffix not in (".yaml", ".md") and "provenance" not in path.name
    }


@pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed (pip install "navforge[ray]")')
@pytest.mark.parametrize("verb", [QUICK, pytest.param("teach", marks=pytest.mark.slow)], indirect=True)
def test_ray(verb: str, run: Run, local: dict[str, bytes], tmp_path: Path) -> None:
    assert run(verb, tmp_path / "out", executor="ray", workers=2) == 0
    assert files(tmp_path / "out") == local


def test_slurm_array(
    verb: str, run: Run, local: dict[str, bytes], slurm: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my out"
    assert run(verb, out, **ON_SLURM) == 0
    assert files(out) == local, "and nothing of the job is left"
    said = capfd.readouterr().out
    assert f"4 logs; its files: {folder_of(out)}" in said and "16 scenes" in said
    assert run(verb, out, **ON_SLURM) == 0
    assert files(out) == local and not slurm.call("squeue", "-h").strip(), "finished: nothing is submitted"


def test_slurm_names_what_failed_and_the_same_command_makes_the_rest(
    run: Run, slurm: Cluster, world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logs, out = tmp_path / "navsim_logs", tmp_path / "cache"
    shutil.copytree(world.path / "town" / "navsim_logs", logs)
    assert run("cache", tmp_path / "local", logs=logs) == 0
    broken = sorted(logs.rglob("*.pkl"))[0]
    whole = broken.read_bytes()
    frames = pickle.loads(whole)
    for frame in frames:
        frame["roadblock_ids"] = ["999"]
    broken.write_bytes(pickle.dumps(frames))
    assert run("cache", out, logs=logs, **ON_SLURM) == 2
    error = capfd.readouterr().err
    assert "scenes could not be cached" in error and f"({broken.stem})" in error and "999" in error
    failures = json.loads((out / "failures.json").read_text())
    assert {failure["log_name"] for failure in failures} == {broken.stem}
    assert all("Traceback" in failure["traceback"] for failure in failures)
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.nfc")}
    assert kept and not (out / "cache.json").exists()
    assert run("cache", out, logs=logs, allow_missing="on", **ON_SLURM) == 0
    assert f"left out {len(failures)} scenes" in capfd.readouterr().err
    broken.write_bytes(whole)
    assert run("cache", out, logs=logs, **ON_SLURM) == 0
    assert files(out) == files(tmp_path / "local") and {path: path.stat().st_mtime_ns for path in kept} == kept


def test_slurm_a_job_that_waits_is_not_submitted_twice_and_cancelled_tasks_are_named(
    run: Run, slurm: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, later = tmp_path / "cache", tmp_path / "later.yaml"
    later.write_text(SHIPPED["l40s_4x4"].read_text() + 'sbatch_options: ["--begin=now+1hour"]\n')
    waiting = {**ON_SLURM, "cluster": later, "wait": "off"}
    assert run("cache", out, **waiting) == 0
    job = (folder_of(out) / "job").read_text().strip()
    assert f"{out}: job {job} makes the logs; the same command, later" in capfd.readouterr().out
    assert run("cache", out, **waiting) == 0
    assert f"job {job} makes these logs already" in capfd.readouterr().out
    assert {line.partition("_")[0] for line in slurm.call("squeue", "-h", "-o", "%i").splitlines()} == {job}
    assert run("cache", out, **waiting, allow_missing="on") == 2
    assert f"job {job} makes something else in {out}; cancel it (scancel {job})" in capfd.readouterr().err
    slurm.call("scancel", f"{job}_1")
    slurm.call("scontrol", "update", f"job={job}", "StartTime=now")
    assert run("cache", out, **ON_SLURM) == 2
    error = capfd.readouterr().err
    assert f"task 1 of job {job} ended early (" in error
    assert str(folder_of(out) / "logs" / f"task-{job}_1.log") in error
    assert list(out.rglob("*.nfc")) and not (out / "cache.json").exists()
    assert run("cache", out, **ON_SLURM) == 0


@pytest.mark.slow
def test_slurm_encodes_on_gpus_of_the_tasks(
    run: Run, slurm: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "features"
    later = tmp_path / "later.yaml"
    later.write_text(SHIPPED["l40s_4x4"].read_text() + 'sbatch_options: ["--begin=now+1hour"]\n')
    assert run("encode", out, **{**ON_SLURM, "cluster": later, "wait": "off", "device": "cuda"}) == 0
    job = (folder_of(out) / "job").read_text().strip()
    asked = slurm.call("scontrol", "show", "job", job)
    assert "gres/gpu=1" in asked or "gres/gpu:1" in asked or "gres:gpu" in asked, asked
    slurm.call("scontrol", "update", f"job={job}", "StartTime=now")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, which the nodes of the test cluster do not count")
    assert run("encode", out, **ON_SLURM, device="cuda") == 2
    assert "torch sees no GPU here" in capfd.readouterr().err, "a task without one says so and makes nothing"
    assert not (out / "features.json").exists()


@pytest.mark.slow
def test_a_town_on_slurm(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "us-ma-boston"
    scale = Scale({place: PlanConfig(rows=3, columns=3)}, (SplitPlan("train", 1, 15, (place,)),))
    monkeypatch.setitem(SCALES, "tiny", scale)
    words = ["town", "scale=tiny", "sensors=none", "workers=1"]
    assert main([*words, f"out={tmp_path / 'local'}"]) == 0
    assert main([*words, f"out={tmp_path / 'slurm'}", *(f"{name}={value}" for name, value in ON_SLURM.items())]) == 0
    assert files(tmp_path / "slurm") == files(tmp_path / "local")

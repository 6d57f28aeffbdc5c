"""`navforge cache` as a user runs it: in a process of its own where that is killed or has limits."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from navforge.cache_builder import pool
from navforge.cli import cache
from navforge.cli.main import main
from navforge.maps.schema import INDEX_FILE
from navforge.metric_cache.store import MANIFEST, MetricCache
from tests.cache_builder.tiny_scene import FRAMES, frame, write_world
from tests.data import tiny_log
from tests.killed import run_and_kill
from tests.maps.tiny_map import LOCATION

LOGS = 24


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, logs=LOGS)
    return root


def command(root: Path, out: Path, *words: str) -> list[str]:
    data = [f"data.logs={root / 'navsim_logs'}", f"data.maps={root / 'maps'}"]
    return ["cache", "split=tiny", f"out={out}", "workers=1", *data, *words]


def program(root: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "navforge.cli.main", *command(root, out)]


def run(root: Path, out: Path, **keys) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program(root, out), capture_output=True, text=True, check=False, timeout=300, **keys)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*(out / "logs").glob("*.nfc"), out / MANIFEST]}


@pytest.fixture(scope="module")
def whole(world: Path) -> Path:
    done = run(world, world / "whole")
    assert done.returncode == 0, done.stderr
    assert f"{3 * LOGS} scenes cached, 0 kept, 0 failed in " in done.stdout
    assert "kB per scene" in done.stdout and "core seconds per scene" in done.stdout
    return world / "whole"


def test_config_and_provenance_lie_beside_the_cache(whole: Path):
    assert "split: tiny" in (whole / "cache.config.yaml").read_text()
    assert "git" in (whole / "cache.provenance.json").read_text()
    assert len(MetricCache.open(whole)) == 3 * LOGS


def test_killed_run_resumes_to_the_same_bytes(world: Path, whole: Path, tmp_path: Path, capsys):
    out = tmp_path / "cache"
    run_and_kill(command(world, out), ".nfc", 2)
    finished = {path: path.stat().st_mtime_ns for path in (out / "logs").glob("*.nfc")}
    assert len(finished) == 2 and len(list((out / "logs").glob(".*.partial"))) == 1
    assert not (out / MANIFEST).exists()
    assert main(command(world, out)) == 0
    assert f"{3 * len(finished)} kept" in capsys.readouterr().out
    assert contents(out) == contents(whole)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_full_disk_is_reported_and_repaired_by_another_run(world: Path, whole: Path, tmp_path: Path, capsys):
    out = Path(shutil.copytree(whole, tmp_path / "cache"))
    smallest = min(path.stat().st_size for path in (out / "logs").iterdir())
    for name in ("log3.nfc", "log7.nfc"):
        (out / "logs" / name).unlink()
    limit = smallest - 1

    def no_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    done = run(world, out, preexec_fn=no_space)
    assert done.returncode == 2, done.stderr
    assert (
        "6 of 72 scenes" in done.stderr
        and "File too large while writing log3.nfc (" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert len(list((out / "logs").iterdir())) == LOGS - 2, "no partial file may stay"
    assert main(command(world, out)) == 0
    assert "6 scenes cached, 66 kept" in capsys.readouterr().out
    assert contents(out) == contents(whole)


def test_failures_end_with_status_2_and_their_causes(tmp_path: Path, capsys):
    root = tmp_path / "world"
    write_world(root, logs=2)
    index = root / "maps" / INDEX_FILE
    index.write_text(index.read_text().replace(LOCATION, "atlantis"))
    (root / "maps" / LOCATION).rename(root / "maps" / "atlantis")
    assert main(command(root, tmp_path / "cache")) == 2
    err = capsys.readouterr().err
    assert "6 of 6 scenes" in err and tiny_log.token(3) in err
    assert f"6 scenes of 2 logs, {tiny_log.token(3)} (log0), " in err
    assert f" and 3 more: no map '{LOCATION}'" in err
    assert err.count("no map") == 1, "one line per cause"
    assert "Traceback" not in err
    assert not (tmp_path / "cache" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shutil.rmtree, "the folder of maps does not exist"),
        (lambda maps: (maps / INDEX_FILE).unlink(), "point data.maps at its folder"),
        (lambda maps: (maps / INDEX_FILE).write_text("{}"), "lists no location"),
        (lambda maps: shutil.rmtree(maps / LOCATION), "is missing, though the index"),
    ],
)
def test_wrong_maps_are_found_before_any_log_is_read(tmp_path: Path, damage, words, monkeypatch, capsys):
    root = tmp_path / "world"
    write_world(root, logs=1)
    damage(root / "maps")

    def reads(*_: object, **__: object) -> None:
        raise AssertionError("a log was read")

    monkeypatch.setattr(cache, "load_split", reads)
    assert main(command(root, tmp_path / "cache")) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_folder_that_cannot_be_written_is_an_error_not_a_traceback(world: Path, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command(world, tmp_path / "file" / "cache")) == 2
    err = capsys.readouterr().err
    assert "a file is there where a folder is expected" in err and "Traceback" not in err


@pytest.mark.parametrize("annotated", [True, False])
def test_implausible_scenes_are_a_warning_and_unannotated_ones_a_refusal(tmp_path: Path, capsys, annotated):
    """Everything up to the scores: one log with a frame missing, with and without annotations."""
    root = tmp_path / "world"
    write_world(root)
    content = [frame(index) for index in range(FRAMES + 1) if index != 8]
    if not annotated:
        for raw in content:
            del raw["anns"]
    tiny_log.write_log(root, "tiny", content)
    cached = main(command(root, tmp_path / "cache"))
    err = capsys.readouterr().err
    if not annotated:
        assert cached == 2 and err.count("\n") == 1
        assert "3 of 3 scenes of split tiny have no annotations, such as" in err
        assert "scored by the benchmark's server, not here" in err
        return
    gap = "3 of 3 scenes of split tiny have frames that are not 0.5 s apart, such as"
    assert cached == 0 and f"navforge: warning: {gap}" in err and "1 s between frames 7 and 8" in err
    data = [f"data.logs={root / 'navsim_logs'}", "split=tiny", "workers=1"]
    assert main(["vocab", *data, "size=2", f"out={tmp_path / 'v.npy'}"]) == 0
    assert gap in capsys.readouterr().err
    where = [f"cache={tmp_path / 'cache'}", f"out={tmp_path / 'human'}"]
    assert main(["evaluate", "agent=human", *data, *where]) == 0
    written = json.loads((tmp_path / "human" / "summary.json").read_text())
    assert written["split"]["doubts"] == {"frames that are not 0.5 s apart": 3}
    assert "3 of these scenes have frames that are not 0.5 s apart" in capsys.readouterr().out
    assert main(["data", "check", *data, f"data.maps={root / 'maps'}", f"out={tmp_path / 'check'}"]) == 0
    assert gap in " ".join(capsys.readouterr().out.split())
    (checked,) = json.loads((tmp_path / "check" / "data_check.json").read_text())
    assert len(checked["implausible_scenes"]["frames that are not 0.5 s apart"]) == 3
    assert checked["dropped_windows"] == {"too short": 13}


def test_a_broken_value_in_every_scene_is_one_cause(tmp_path: Path, capsys):
    """The number of the frame, which differs from scene to scene, does not."""
    root = tmp_path / "world"
    write_world(root)
    content = [frame(index) for index in range(FRAMES)]
    for raw in content:
        raw["anns"]["gt_boxes"] = "nothing"
    tiny_log.write_log(root, "tiny", content)
    assert main(command(root, tmp_path / "cache")) == 2
    err = capsys.readouterr().err
    assert err.count("'anns.gt_boxes' is malformed") == 1
    assert (
        f"  3 scenes, {tiny_log.token(3)} (log0), {tiny_log.token(4)} (log0), {tiny_log.token(5)} (log0): such as"
        in err
    )
    assert "or leave these scenes out with allow_missing=true" in err


def test_a_full_disk_is_not_answered_with_allow_missing(tmp_path: Path, capsys, monkeypatch):
    root = tmp_path / "world"
    write_world(root)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pool, "write_log", full)
    assert main(command(root, tmp_path / "cache", "allow_missing=true")) == 2
    err = capsys.readouterr().err
    assert "allow_missing" not in err
    assert f"make room on the disk of {tmp_path / 'cache'} and run the command again" in err

"""Nodes in order, several at once, each once, whatever ends the command; a failure stops only what needs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from navforge.studies.graph import Graph
from navforge.studies.run import Slots, run_nodes
from navforge.studies.state import DONE, FAILED, START, STOPPED, WAITING, log_path, results, state_of, why
from tests.studies.world import graph

TOY = """
import os, pathlib, signal, sys, time
out = next(word[4:] for word in sys.argv[1:] if word.startswith("out="))
marker = {"town": "town.json", "cache": "cache.json", "train": "finished.json", "evaluate": "summary.json"}[sys.argv[1]]
pathlib.Path(os.environ["CALLS"]).open("a").write(f"{sys.argv[1]} {pathlib.Path(out).name}\\n")
if os.environ.get("FAILS", "none fails") in out and sys.argv[1] == "train":
    sys.exit("navforge: error: no memory is left")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
time.sleep(float(os.environ.get("SECONDS", "0")))
while os.environ.get("HANGS", "none hangs") in out and sys.argv[1] == "train":
    time.sleep(0.05)
pathlib.Path(out).mkdir(parents=True, exist_ok=True)
(pathlib.Path(out) / marker).write_text("{}")
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv("CALLS", str(path))
    return path


def run(study: Graph, at_once: int = 3) -> list[str]:
    failed = run_nodes(study, list(study.nodes), Slots(at_once=at_once), command=[sys.executable, "-c", TOY])
    return [node.name for node in failed]


def test_everything_is_made_once_and_the_same_command_makes_nothing(tmp_path: Path, calls: Path) -> None:
    study = graph(tmp_path)
    assert run(study) == []
    lines = calls.read_text().splitlines()
    assert len(lines) == len(set(lines)) == len(study.nodes)
    assert lines[0].startswith("town") and all(not line.startswith("train") for line in lines[:2])
    assert {state_of(study, node) for node in study.nodes.values()} == {DONE}
    assert run(study) == []
    assert calls.read_text().splitlines() == lines
    more = graph(tmp_path, seeds=[0, 1, 2])
    assert run(more) == []
    new = calls.read_text().splitlines()[len(lines) :]
    assert sorted(line.split()[0] for line in new) == ["cache"] * 2 + ["evaluate"] * 4 + ["town"] + ["train"] * 4
    assert new[0].startswith("town"), "what new runs read is checked first: it may be of other code"


def test_a_failed_run_stops_only_what_needs_it(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILS", "wide_50_pc_seed_1")
    study = graph(tmp_path)
    assert run(study) == ["wide, 50 %, seed 1", "wide, 50 %, seed 1, on test"]
    shown = capsys.readouterr().out
    assert "wide, 50 %, seed 1: failed after" in shown and "no memory is left" in shown
    run_node, evaluation = study.nodes["wide, 50 %, seed 1"], study.nodes["wide, 50 %, seed 1, on test"]
    assert (state_of(study, run_node), state_of(study, evaluation)) == (FAILED, WAITING)
    assert why(study, run_node) == "no memory is left"
    found = results(study)
    assert [cell.name for cell in found.cells_of("test")] == ["narrow, 50 %", "narrow, 100 %", "wide, 100 %"]
    assert found.pairs("test") == [("wide, 100 %", "narrow, 100 %")]
    missing = next(cell.missing for cell in found.cells if cell.name == "wide, 50 %")
    assert missing[0] == "wide, 50 %, seed 1: no memory is left"
    with open(log_path(study.out, run_node), "ab") as log:  # started again, and killed
        log.write(f"{START}of today: navforge train\n".encode())
    assert (state_of(study, run_node), state_of(study, study.nodes["wide, 50 %, seed 0"])) == (STOPPED, DONE)
    monkeypatch.setenv("FAILS", "none fails")
    assert run(study) == []


DRIVER = """
import sys
from pathlib import Path
from tests.studies.test_run import run
from tests.studies.world import graph
run(graph(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_killed_anywhere_it_goes_on_and_nothing_works_twice(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    study = graph(tmp_path)
    monkeypatch.setenv("SECONDS", "0.2")
    for moment in (1, 4, 9):
        begun = len(calls.read_text().splitlines())
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=Path(__file__).parents[2])
        while len(calls.read_text().splitlines()) < begun + moment and driver.poll() is None:
            time.sleep(0.01)
        os.kill(driver.pid, number)
        driver.wait()
    monkeypatch.setenv("SECONDS", "0")
    assert run(study) == []
    assert all(node.done for node in study.nodes.values())
    assert calls.read_text().splitlines().count(f"town {study.nodes['town'].out.name}") <= 4


def test_what_a_killed_command_left_behind_is_waited_for(
    tmp_path: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that holds a node's log, as one that writes its checkpoint after SIGTERM does."""
    study = graph(tmp_path)
    town = study.nodes["town"]
    log = tmp_path / "OUT" / "logs" / f"stages.{town.out.name}.log"
    log.parent.mkdir(parents=True)
    held = tmp_path / "held"
    words = (
        f"import fcntl, time; fcntl.flock(1, fcntl.LOCK_EX); import pathlib; "
        f"pathlib.Path({str(held)!r}).touch(); time.sleep(1.5); "
        f"pathlib.Path({str(town.out)!r}).mkdir(parents=True); pathlib.Path({str(town.marker)!r}).write_text('x')"
    )
    with open(log, "ab") as file:
        left = subprocess.Popen([sys.executable, "-c", words], stdout=file)
    while not held.exists() and left.poll() is None:
        time.sleep(0.01)
    assert run(study) == []
    left.wait()
    assert town.marker.read_text() == "x", "it was not made again"
    assert "town: what an earlier command started still works at it; waiting" in capsys.readouterr().out

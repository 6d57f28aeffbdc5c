"""Heartbeats: rates and memory as they are, written even when nothing changes, never in the way of training."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.runs.status import RankStatus
from navforge.training.ranks import heartbeat as module
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.rank_info import from_environment

ENVIRON = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "1"}


def beating(folder: Path, patch: pytest.MonkeyPatch) -> Heartbeat:
    patch.setattr(module, "BEAT_S", 0.05)
    return Heartbeat(RunFolder(folder), from_environment(ENVIRON, hostname="gl001"), attempt=2)


def read(folder: Path) -> RankStatus:
    found = status.read(RunFolder(folder).status_file(0), RankStatus)
    assert found is not None
    return found


def test_rates_of_all_ranks_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with beating(tmp_path, monkeypatch) as beat:
        beat.tell(phase="training", epoch=1, epochs=2, total_steps=1000)
        for step in range(1, 41):
            beat.tell(step=step, loss=2.5)
            beat.count(8, 0.005)
            time.sleep(0.01)
        found = read(tmp_path)
        beat.tell(phase="finished")
    assert found.phase == "training" and found.node == "gl001" and found.attempt == 2 and found.loss == 2.5
    assert found.samples_per_s is not None and 100 < found.samples_per_s < 4 * 8 * 100
    assert found.waiting is not None and 0.02 < found.waiting <= 0.5
    steps_per_s = found.samples_per_s / 4 / 8
    assert found.eta_s == pytest.approx((1000 - found.step) / steps_per_s, rel=0.3)
    assert found.host_bytes > 10 << 20
    assert read(tmp_path).phase == "finished"
    rows = RunFolder(tmp_path).history.read_text().splitlines()
    assert rows[0] == module.HISTORY.strip() and len(rows) > 1 and all(row.count(",") == 8 for row in rows)


def test_a_beat_says_when_the_rank_last_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with beating(tmp_path, monkeypatch) as beat:
        beat.tell(phase="training", step=1)
        moved = beat.status.moved
        assert moved is not None
        time.sleep(0.2)
        beat.tell(loss=1.0, step=1)
        assert read(tmp_path).time > moved and beat.status.moved == moved
        beat.tell(step=2)
        assert beat.status.moved is not None and beat.status.moved > moved + 0.1


def test_a_disk_that_is_full_is_said_once_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.status, "write", full)
    with beating(tmp_path, monkeypatch) as beat:
        time.sleep(0.3)
        beat.tell(phase="training")
    assert capsys.readouterr().err.count("No space left") == 1


MEASURE = """
import subprocess, sys
from navforge.training.loop.memory import host_bytes
before = host_bytes()
block = bytearray(64 << 20)
print(host_bytes() - before)
code = "import sys; b = bytearray(64 << 20); print(1, flush=True); sys.stdin.read()"
with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
    child.stdout.readline()
    print(host_bytes() - before)
    child.communicate()
assert len(block) == 64 << 20
"""


def test_memory_counts_children_and_shared_pages_once() -> None:
    # In a process of its own: the kernel may take memory back from a large one between two looks.
    said = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True).stdout
    grown, with_child = map(int, said.split())
    assert 60 << 20 < grown < 80 << 20
    assert with_child > 120 << 20

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


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1e9

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_rates_of_all_ranks_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Over the last 15 beats: earlier ones, here ten times slower, no longer count."""
    beat = beating(tmp_path, monkeypatch)
    beat.tell(phase="training", epoch=1, epochs=2, total_steps=1000)
    for step in range(1, 41):
        beat.tell(step=step)
        beat.count(8, 0.05)
        beat._rates()
        clock.now += 0.1 if step > 20 else 1.0
    assert beat.status.samples_per_s == pytest.approx(4 * 8 / 0.1)
    assert beat.status.waiting == pytest.approx(0.5)
    assert beat.status.eta_s == pytest.approx((1000 - 40) * 0.1)


def test_beats_are_written_while_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with beating(tmp_path, monkeypatch) as beat:
        beat.tell(phase="training", total_steps=1000)
        beat.count(8, 0.0)
        beat.tell(step=1, loss=2.5)
        deadline = time.monotonic() + 60
        while read(tmp_path).step != 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        found = read(tmp_path)
        beat.tell(phase="finished")
    assert found.phase == "training" and found.step == 1 and found.loss == 2.5
    assert found.node == "gl001" and found.attempt == 2 and found.host_bytes > 10 << 20
    assert read(tmp_path).phase == "finished"
    rows = RunFolder(tmp_path).history.read_text().splitlines()
    assert rows[0] == module.HISTORY.strip() and len(rows) > 1 and all(row.count(",") == 8 for row in rows)


def test_a_beat_says_when_the_rank_last_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    beat = beating(tmp_path, monkeypatch)
    beat.tell(phase="training", step=1)
    began = clock.now
    clock.now += 0.2
    beat.tell(loss=1.0, step=1)
    beat._write(measure=False)
    assert beat.status.moved == began and read(tmp_path).time == clock.now
    beat.tell(step=2)
    assert beat.status.moved == clock.now


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

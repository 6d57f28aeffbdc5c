"""Records of a run folder: what is written is read back; damage is named; a kill in mid-line loses that line only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.runs import exits, processes, status
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder, RunRecord
from navforge.runs.status import Attempt, Failure, RankStatus

RECORD = RunRecord(agent="ego_mlp", launch="slurm", nodes=2, devices=4, created="2026-01-01T00:00:00", cluster="l40s")
STATUS = RankStatus(
    rank=3,
    world_size=8,
    node="gl001",
    pid=17,
    attempt=1,
    job="40",
    phase="training",
    time=100.5,
    started=50.0,
    step=7,
    loss=0.25,
)
FAILURE = Failure(
    rank=3, attempt=1, cause="non_finite", error="E: nan", traceback="T", time=1.0, step=7, tokens=("a", "b")
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_record_round_trip_and_jobs(folder: RunFolder) -> None:
    folder.write_record(RECORD)
    folder.add_job("40")
    folder.add_job("41")
    assert folder.read_record() == RunRecord(**{**vars(RECORD), "jobs": ("40", "41")})
    assert RECORD.world_size == 8


def test_a_folder_without_record_is_no_run(folder: RunFolder) -> None:
    with pytest.raises(DataError, match=r"run is not a run folder: it has no run\.json"):
        folder.read_record()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"agent": "x"}', '{"jobs": 3}', "null", '{"jobs": [], "oops": 1}'])
def test_a_damaged_record_is_named(folder: RunFolder, text: str) -> None:
    folder.path.mkdir()
    folder.record_file.write_text(text)
    with pytest.raises(DataError, match=r"run\.json is (damaged|empty)"):
        folder.read_record()


def test_heartbeat_and_failure_round_trip(folder: RunFolder) -> None:
    status.write(folder.status_file(3), STATUS)
    status.write(folder.failure_file(3), FAILURE)
    assert status.read(folder.status_file(3), RankStatus) == STATUS
    assert status.read(folder.failure_file(3), Failure) == FAILURE
    assert status.read(folder.status_file(4), RankStatus) is None


@pytest.mark.parametrize("text", ["", '{"rank": 1', '{"rank": 1}', '{"rank": 1, "colour": 2}', "[1]"])
def test_a_damaged_heartbeat_is_named(folder: RunFolder, text: str) -> None:
    folder.status_file(0).parent.mkdir(parents=True)
    folder.status_file(0).write_text(text)
    with pytest.raises(DataError, match=r"rank-0\.json is (damaged|empty)"):
        status.read(folder.status_file(0), RankStatus)


def test_lines_survive_a_kill_in_the_last_one(folder: RunFolder) -> None:
    first = Attempt(attempt=0, job=None, world_size=2, time=1.0, resumed_step=0)
    second = Attempt(attempt=1, job="5", world_size=2, time=2.0, resumed_step=40)
    assert status.read_attempts(folder.attempts) == []
    status.append_line(folder.attempts, first)
    status.append_line(folder.attempts, second)
    assert status.read_attempts(folder.attempts) == [first, second]
    text = folder.attempts.read_text()
    folder.attempts.write_text(text[:-10])
    assert status.read_attempts(folder.attempts) == [first]
    folder.attempts.write_text(text[10:])
    with pytest.raises(DataError, match=r"attempts\.jsonl, line 1 is damaged"):
        status.read_attempts(folder.attempts)


def test_exits_round_trip_and_damage(folder: RunFolder) -> None:
    killed = RankExit(rank=1, attempt=0, pid=9, status=-9, time=3.0)
    told = RankExit(rank=0, attempt=0, pid=8, status=-15, time=4.0, asked=True)
    status.append_line(folder.exits, killed)
    status.append_line(folder.exits, told)
    assert status.read_lines(folder.exits, RankExit) == [killed, told]
    folder.exits.write_text(json.dumps({"rank": 1}) + "\n" + folder.exits.read_text())
    with pytest.raises(DataError, match=r"exits\.jsonl, line 1"):
        status.read_lines(folder.exits, RankExit)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (-9, "killed by SIGKILL"),
        (143, "exit status 143 (SIGTERM)"),
        (3, "exit status 3"),
        (0, "exit status 0"),
        (-200, "exit status -200"),
        (255, "exit status 255"),
    ],
)
def test_exit_statuses_in_words(number: int, words: str) -> None:
    assert exits.describe(number) == words


def test_supervisor_name_round_trip() -> None:
    own = processes.parse_local_job(processes.local_job())
    assert (own.host, own.pid) == (socket.gethostname(), os.getpid()) and own.started <= time.time()
    assert processes.is_alive(own.host, own.pid, own.started) is True
    named = processes.Supervisor(host="node.site.org", pid=12, started=99)
    assert processes.parse_local_job("node.site.org.12.99") == named
    within = processes.Supervisor(host="node.site.org", pid=12, started=99, slurm_job="345")
    assert processes.parse_local_job("node.site.org.12.99@345") == within
    for wrong in ("12", "node", "node.1", ".12.3", "node.x.1", "node.1.2@", "node.1.2@x", ""):
        with pytest.raises(DataError, match="does not name a local supervisor"):
            processes.parse_local_job(wrong)


def test_liveness_of_a_process_and_of_its_number_taken_over() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host = socket.gethostname()
    try:
        assert processes.is_alive(host, child.pid, time.time()) is True
        assert processes.is_alive(host, child.pid, time.time() - 60) is False, "it began after that"
        assert processes.is_alive("elsewhere", child.pid, time.time()) is None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.is_alive(host, child.pid, time.time()) is False, "a zombie is dead"
    finally:
        child.kill()
        child.wait()
    assert processes.is_alive(host, child.pid, time.time()) is False


def test_a_record_of_a_newer_navforge_is_read(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text(json.dumps({**asdict(STATUS), "mood": "good"}))
    assert status.read(path, RankStatus) == STATUS

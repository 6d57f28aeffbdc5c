"""Ranks of a dead supervisor end; those of a living one, and of other machines, are left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from navforge.runs.processes import Supervisor, end_orphans

STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print(child.pid, flush=True); time.sleep(60)"
)
"""A rank with a loader worker that does not answer the signal it gets when its supervisor dies."""


@pytest.fixture
def rank() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process, child
        if process.poll() is None:
            os.killpg(process.pid, 9)


def dead_supervisor() -> Supervisor:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = int(psutil.Process(process.pid).create_time())
    process.wait()
    return Supervisor(host=socket.gethostname(), pid=process.pid, started=started)


def test_ranks_of_a_dead_supervisor_end_with_what_they_started(rank: tuple[subprocess.Popen[str], int]) -> None:
    process, child = rank
    ended = end_orphans(dead_supervisor(), [(socket.gethostname(), process.pid, time.time())], grace_s=0.2)
    assert ended == [process.pid]
    process.wait(timeout=10)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_ranks_of_a_living_supervisor_are_left_alone(rank: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = rank
    me = Supervisor(host=socket.gethostname(), pid=os.getpid(), started=int(psutil.Process().create_time()))
    assert end_orphans(me, [(socket.gethostname(), process.pid, time.time())], grace_s=0.2) == []
    elsewhere = Supervisor(host="another", pid=dead_supervisor().pid, started=0)
    assert end_orphans(elsewhere, [(socket.gethostname(), process.pid, time.time())], grace_s=0.2) == []
    assert process.poll() is None


def test_a_process_that_took_the_number_of_a_rank_is_left_alone(rank: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = rank
    long_ago = psutil.Process(process.pid).create_time() - 100
    assert end_orphans(dead_supervisor(), [(socket.gethostname(), process.pid, long_ago)], grace_s=0.2) == []
    assert process.poll() is None

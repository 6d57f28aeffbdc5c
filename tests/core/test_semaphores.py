"""Named semaphores of a killed process group are removed by the next command; those of the living stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from navforge.core.semaphores import SHARED_MEMORY, remove_leftovers

PROGRAM = """
import multiprocessing, sys
from navforge.core.semaphores import name_semaphores
name_semaphores()
lock = multiprocessing.get_context("spawn").Lock()
print("ready", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="needs /dev/shm")


def of(pid: int) -> list[Path]:
    return list(SHARED_MEMORY.glob(f"sem.navforge-*-{pid}-*"))


def test_semaphores_of_a_killed_group_are_removed_and_those_of_the_living_stay() -> None:
    command = [sys.executable, "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **pipes) as killed, subprocess.Popen(command, **pipes) as living:
        for one in (killed, living):
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        assert len(of(killed.pid)) == 1 and len(of(living.pid)) == 1
        names = [path.name for path in of(killed.pid)]
        assert set(names) <= set(remove_leftovers())
        assert of(killed.pid) == [] and len(of(living.pid)) == 1
        living.communicate("")
    assert of(living.pid) == []


def test_files_of_others_stay(tmp_path: Path) -> None:
    for name in ("sem.mp-abc", "sem.navforge-1-2-x", "torch_1_2"):
        (tmp_path / name).touch()
    assert remove_leftovers(tmp_path) == []

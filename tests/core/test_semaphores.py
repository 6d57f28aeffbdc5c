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

KILLED_CHILD = """
import contextlib, multiprocessing, sys, time
from navforge.core.semaphores import name_semaphores, released_at_the_end

def child(sending):
    lock = multiprocessing.get_context("spawn").Lock()
    sending.send("ready")
    time.sleep(60)

if __name__ == "__main__":
    name_semaphores()
    context = multiprocessing.get_context("spawn")
    with released_at_the_end() if sys.argv[1] == "released" else contextlib.nullcontext():
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(sending,))
        process.start()
        receiving.recv()
        process.kill()
        process.join()
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
        assert len(of(killed.pid)) == 1 and len(of(living.pid)) == 1
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        remove_leftovers()  # a command that runs beside this test may have done it
        assert of(killed.pid) == [] and len(of(living.pid)) == 1
        living.communicate("")
    assert of(living.pid) == []


def test_the_names_of_what_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    namespace = os.stat("/proc/self/ns/pid").st_ino
    names = [f"sem.navforge-{namespace}-{pid}-x" for pid in (ended.pid, os.getpid())]
    for name in names:
        (tmp_path / name).touch()
    assert remove_leftovers(tmp_path) == names[:1]
    assert [path.name for path in tmp_path.iterdir()] == names[1:]


@pytest.mark.parametrize("how", ["released", "not released"])
def test_semaphores_of_a_killed_child_are_released_without_a_warning(how: str, tmp_path: Path) -> None:
    script = tmp_path / "killed_child.py"
    script.write_text(KILLED_CHILD)
    ended = subprocess.run([sys.executable, str(script), how], capture_output=True, text=True, check=True)
    assert ended.stderr == "" if how == "released" else "leaked semaphore" in ended.stderr


def test_files_of_others_stay(tmp_path: Path) -> None:
    for name in ("sem.mp-abc", "sem.navforge-1-2-x", "torch_1_2"):
        (tmp_path / name).touch()
    assert remove_leftovers(tmp_path) == []

"""The supervisor of local ranks, with toy ranks: every end is recorded, and none outlives the others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from navforge.launch import local
from navforge.runs import exits
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder
from navforge.runs.processes import is_alive
from navforge.runs.status import read_lines
from tests.slurm_cluster.cluster import wait_for

RANK = """
import os, signal, subprocess, sys, time
rank = int(os.environ["RANK"])
def on(number, status):
    signal.signal(number, lambda *_: (print("got", number, flush=True), sys.exit(status)))
on(signal.SIGTERM, 143)
on(signal.SIGUSR1, 75)
print("rank", rank, "begins", flush=True)
open(f"{sys.argv[1]}/pid-{rank}", "w").write(str(os.getpid()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def launch(folder: RunFolder, body: str, watch: Callable[[], None] = lambda: None, **options: float) -> int:
    """Run three toy ranks; what rank 0 prints is kept."""
    command = [sys.executable, "-c", RANK + body, str(folder.path)]

    def look(output: IO[bytes] | None) -> None:
        assert output is not None
        with open(folder.path / "console", "ab") as console:
            console.write(output.read() or b"")
        watch()

    return local.launch(folder, devices=3, attempt=0, command=command, watch=look, **options)


def log(folder: RunFolder, rank: int) -> str:
    return (folder.rank_log(rank) if rank else folder.path / "console").read_text()


def ends(folder: RunFolder) -> dict[int, RankExit]:
    found = {end.rank: end for end in read_lines(folder.exits, RankExit)}
    assert len(found) == len(read_lines(folder.exits, RankExit))
    return found


def pids(folder: RunFolder) -> list[int]:
    return [int((folder.path / f"pid-{rank}").read_text() or 0) for rank in range(3)]


def all_began(folder: RunFolder) -> bool:
    return all((p := folder.path / f"pid-{rank}").exists() and p.read_text() for rank in range(3))


def when_all_began(folder: RunFolder, action: Callable[[], None]) -> Callable[[], None]:
    """For `watch`: do something once, when all ranks have begun."""
    done: list[bool] = []

    def watch() -> None:
        if all_began(folder) and not done:
            done.append(True)
            action()

    return watch


def test_ranks_that_finish(folder: RunFolder) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "OMP_NUM_THREADS")
    assert launch(folder, f"print(*(os.environ[n] for n in {names}), os.environ['MASTER_PORT'])") == exits.FINISHED
    said = [log(folder, rank).splitlines()[1].split() for rank in range(3)]
    assert [line[:7] for line in said] == [[str(r), str(r), "3", "3", "0", "127.0.0.1", "1"] for r in range(3)]
    assert len({line[7] for line in said}) == 1
    assert [end.status for end in ends(folder).values()] == [0, 0, 0]
    assert not any(end.asked for end in ends(folder).values())


def test_ranks_import_the_snapshot(folder: RunFolder) -> None:
    package = folder.code / "navforge"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert launch(folder, "import navforge; print(navforge.__file__)") == 0
    assert log(folder, 0).splitlines()[1] == str(package / "__init__.py")


@pytest.mark.parametrize(
    ("death", "status", "result"),
    [("sys.exit(9)", 9, 9), ("os.kill(os.getpid(), signal.SIGKILL)", -9, 137), ("raise ValueError", 1, 1)],
)
def test_one_death_ends_all(folder: RunFolder, death: str, status: int, result: int) -> None:
    body = f"""
while not all(os.path.exists(f"{{sys.argv[1]}}/pid-{{r}}") for r in range(3)): time.sleep(0.01)
if rank == 1:
    {death}
time.sleep(600)
"""
    assert launch(folder, body) == result
    found = ends(folder)
    assert found[1].status == status and not found[1].asked
    assert [found[rank].status for rank in (0, 2)] == [143, 143] and found[0].asked and found[2].asked


def test_what_does_not_listen_is_killed_with_all_it_started(folder: RunFolder) -> None:
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
noted = f"{sys.argv[1]}/child-{rank}"
open(f"{noted}.new", "w").write(str(child.pid))
os.rename(f"{noted}.new", noted)
while not all(os.path.exists(f"{sys.argv[1]}/child-{r}") for r in range(3)): time.sleep(0.01)
if rank == 0:
    sys.exit(5)
time.sleep(600)
"""
    assert launch(folder, body, grace_s=0.3) == 5
    assert [ends(folder)[rank].status for rank in (1, 2)] == [-9, -9]
    for rank in range(3):
        wait_until_gone(int((folder.path / f"child-{rank}").read_text()))


def wait_until_gone(pid: int) -> None:
    wait_for(lambda: is_alive(socket.gethostname(), pid, time.time()) is False, f"process {pid} to end")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, exits.STOPPED), (signal.SIGINT, exits.STOPPED), (signal.SIGUSR1, exits.REQUEUE_ME)],
)
def test_signals_are_passed_on(folder: RunFolder, number: signal.Signals, status: int) -> None:
    before = signal.getsignal(number)
    watch = when_all_began(folder, lambda: os.kill(os.getpid(), number))
    assert launch(folder, "time.sleep(600)", watch=watch) == status
    assert all(end.status == status and end.asked for end in ends(folder).values())
    assert signal.getsignal(number) == before
    wanted = signal.SIGTERM if number == signal.SIGINT else number
    assert all(f"got {int(wanted)}" in log(folder, rank) for rank in range(3))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, exits.STOPPED), (signal.SIGUSR1, exits.REQUEUE_ME)])
def test_ranks_that_do_not_listen_yet_are_stopped_too(folder: RunFolder, number: signal.Signals, status: int) -> None:
    body = """
if rank == 1:  # as in its imports
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
elif rank == 2:  # as in a rendezvous, until its peer is missed
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1 if NUMBER == signal.SIGUSR1 else 143))
open(f"{sys.argv[1]}/pid-{rank}", "w").write(str(os.getpid()))
time.sleep(600)
"""
    began = f"NUMBER = {int(number)}\n" + RANK.rpartition("open(")[0]
    command = [sys.executable, "-c", began + body, str(folder.path)]
    watch = when_all_began(folder, lambda: os.kill(os.getpid(), number))
    assert local.launch(folder, devices=3, attempt=0, command=command, watch=lambda output: watch()) == status
    found = ends(folder)
    assert found[1].status == -number and found[1].asked and found[0].status == status
    assert found[2].status == (1 if number == signal.SIGUSR1 else status)


def test_a_second_signal_ends_at_once(folder: RunFolder) -> None:
    body = "signal.signal(signal.SIGTERM, lambda *_: print('writing', flush=True))\nwhile True: time.sleep(1)"

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    assert launch(folder, body, watch=when_all_began(folder, twice)) == 137
    assert all(end.status == -9 for end in ends(folder).values())


def test_ranks_learn_that_their_supervisor_was_killed(folder: RunFolder) -> None:
    program = (
        "import sys; from pathlib import Path; from navforge.launch import local; "
        "from navforge.runs.folder import RunFolder; "
        "local.launch(RunFolder(Path(sys.argv[1])), devices=3, attempt=0, command=sys.argv[2:])"
    )
    rank = [sys.executable, "-c", RANK + "time.sleep(600)", str(folder.path)]
    supervisor = subprocess.Popen([sys.executable, "-c", program, str(folder.path), *rank])
    wait_for(lambda: all_began(folder), "the ranks")
    supervisor.kill()
    supervisor.wait()
    for pid in pids(folder):
        wait_until_gone(pid)
    assert all("got 15" in log(folder, r) for r in (1, 2))  # nobody reads what rank 0 prints


def test_logs_are_continued(folder: RunFolder) -> None:
    assert launch(folder, "") == 0 and launch(folder, "") == 0
    assert folder.rank_log(2).read_text() == "rank 2 begins\n" * 2

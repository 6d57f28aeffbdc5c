"""Pooled work: every item is accounted for, failures carry their cause, a dead worker is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from navforge.core import parallel
from navforge.core.errors import NavforgeError
from tests.slurm_cluster.cluster import wait_for


def square(x: int) -> int:
    if x == 3:
        raise ValueError("three is out")
    return x * x


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def thread_limits(_: int) -> tuple[str | None, ...]:
    return tuple(os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "NUMBA"))


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_are_named_and_the_rest_goes_on(workers: int) -> None:
    outcomes = {o.item: o for o in parallel.run(square, list(range(20)), workers=workers)}
    assert sorted(outcomes) == list(range(20))
    assert [o.result for i, o in sorted(outcomes.items()) if i != 3] == [i * i for i in range(20) if i != 3]
    assert outcomes[3].error == "ValueError: three is out" and not outcomes[3].ok
    assert "in square" in (outcomes[3].traceback or "")


def crash(x: int) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return x


@pytest.mark.parametrize(("function", "words"), [(die, "SIGKILL, most likely.* out of memory"), (crash, "SIGSEGV")])
def test_a_killed_worker_is_an_error_not_a_hang(function: Callable[[int], int], words: str) -> None:
    with pytest.raises(NavforgeError, match=words):
        list(parallel.run(function, [1, 2, 3], workers=2))


UNGUARDED = """
from navforge.core import parallel
from navforge.core.errors import NavforgeError
try:
    print(list(parallel.run(abs, [1, 2, 3], workers=2)))
except NavforgeError as error:
    print("said:", error)
"""


@pytest.mark.parametrize("as_file", [True, False])
def test_workers_that_cannot_start_are_not_taken_for_a_lack_of_memory(tmp_path: Path, as_file: bool) -> None:
    (tmp_path / "program.py").write_text(UNGUARDED)
    command = [sys.executable, "program.py"] if as_file else [sys.executable, "-"]
    done = subprocess.run(
        command, input=None if as_file else UNGUARDED, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    assert said and all('if __name__ == "__main__":' in line and "memory" not in line for line in said)


def test_workers_run_one_thread_each() -> None:
    assert {o.result for o in parallel.run(thread_limits, [0, 1], workers=2)} == {("1", "1")}


def test_nothing_to_do_is_fine() -> None:
    assert list(parallel.run(square, [])) == []


POOL = """
import os, sys, time
from pathlib import Path
from navforge.core import parallel

def linger(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    list(parallel.run(linger, sys.argv[1:] * 2, workers=2))
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    (tmp_path / "begun").mkdir()
    parent = subprocess.Popen([sys.executable, str(tmp_path / "pool.py"), str(tmp_path / "begun")])
    begun = wait_for(lambda: len(found := list((tmp_path / "begun").iterdir())) == 2 and found, "two workers")
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(psutil.pid_exists(int(path.name)) for path in begun), "the workers' end")


SLEEPERS = """
import sys, time
from pathlib import Path
from navforge.cli import main as command_line
from navforge.core import parallel
from navforge.core.files import atomic_path

def work(folder):
    with atomic_path(Path(folder) / "result") as path:
        path.write_text("part")
        time.sleep(600)

class Verb:
    class Config: pass
    @staticmethod
    def run(config):
        list(parallel.run(work, [sys.argv[1]] * 9, workers=int(sys.argv[2])))

if __name__ == "__main__":
    command_line._module = lambda *_: Verb
    command_line._configure = lambda *_: None
    sys.exit(command_line.main(["cache"]))
"""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_group_ends_all_with_one_line(
    tmp_path: Path, workers: int, number: signal.Signals, status: int
) -> None:
    script, out = tmp_path / "sleepers.py", tmp_path / "out"
    script.write_text(SLEEPERS)
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(out), str(workers)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(out.iterdir())) == workers, "the workers write", 120)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert [line for line in errors.splitlines() if line] == [errors.strip()] and signal.Signals(number).name in errors
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    assert list(out.iterdir()) == []


def test_a_second_sigterm_does_not_interrupt_the_clean_up(tmp_path: Path) -> None:
    """A pool sends SIGTERM to all of its workers when one of them ends, so one that is ending gets two."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, pathlib, signal, sys, time\n"
        "from navforge.core.interrupts import end_worker_on_sigterm\n"
        "end_worker_on_sigterm()\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "try:\n"
        "    file.touch()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(0.1)\n"
        "    file.unlink()\n"
    )
    ended = subprocess.run([sys.executable, str(script), str(tmp_path / "partial")], timeout=120, check=False)
    assert ended.returncode == 143 and not (tmp_path / "partial").exists()

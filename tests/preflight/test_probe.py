"""How the measuring process ends, and what is made of it; what the kernel says of memory."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch._utils import ExceptionWrapper

from navforge.core.errors import DataError
from navforge.preflight import machine
from navforge.preflight.finding import OK, REFUSED, WARNING, refused
from navforge.preflight.probe import finding_of, interpret, probe
from navforge.preflight.steps import StepCost, StepSample

STEP = StepCost(device="CPU", on_gpu=False, samples=(), weight_bytes=4, state_bytes=4, trainable=1)
ONE = StepSample(batch_size=8, peak_bytes=1 << 30, seconds=1.0)
UNTIL_STEP = [("begin", "step"), ("step", STEP), ("size", 8), ("sample", ONE), ("size", 32)]


def test_a_probe_that_is_killed_names_the_batch_and_the_one_that_passed() -> None:
    found = interpret(UNTIL_STEP, -9, late=False, limit_s=50)
    killed = found.findings[0]
    assert killed.level == REFUSED
    assert "killed at batch size 32, most likely out of host memory" in killed.message
    assert killed.remedy == "train.batch_size=8 passed"
    assert found.step is not None and found.step.failed_at == 32 and found.step.samples == (ONE,)


def test_a_probe_that_is_killed_while_loading() -> None:
    found = interpret([("begin", "loading")], -9, late=False, limit_s=50)
    assert found.findings[0].check == "loading" and "loader_workers" in found.findings[0].remedy
    assert found.step is None and found.loader is None


def test_a_probe_that_takes_too_long_is_a_warning_and_keeps_what_it_found() -> None:
    found = interpret(UNTIL_STEP, -9, late=True, limit_s=50)
    assert [(f.check, f.level) for f in found.findings] == [("step", WARNING), ("step", OK)]
    assert found.step is not None and found.step.failed_at is None


def test_a_probe_that_crashes() -> None:
    found = interpret([("begin", "planner")], -11, late=False, limit_s=50)
    assert [(f.check, f.level) for f in found.findings] == [("planner", REFUSED)]
    said = refused("planner", "no", "yes")
    again = interpret([("begin", "planner"), ("finding", said)], 1, late=False, limit_s=50)
    assert again.findings == (said,)


def test_running_out_of_gpu_memory_is_kept() -> None:
    found = interpret([*UNTIL_STEP, ("out_of_memory", 32), ("host", 5), ("done", None)], 0, late=False, limit_s=50)
    assert found.step is not None and (found.step.failed_at, found.step.host_bytes) == (32, 5)


def test_memory_limits_of_control_groups(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "v2"
    own.write_text("0::/slurm/job_7/step_0\n")
    for folder, limit, used, cache in (("slurm", "max", 900, 0), ("slurm/job_7", "1000", 700, 200)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "memory.max").write_text(limit)
        (root / folder / "memory.current").write_text(str(used))
        (root / folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
    (root / "slurm/job_7/step_0").mkdir()
    assert machine._cgroup_limits(own, root, tmp_path / "v1") == [(1000, 500)]
    assert machine._cgroup_limits(tmp_path / "nothing") == []


def test_memory_of_this_machine() -> None:
    available, _ = machine.available_memory()
    total, source = machine.total_memory()
    assert 0 < available <= total and source


def in_a_worker(error: Exception) -> Exception:
    """The error as torch raises it again in the rank."""
    try:
        try:
            raise error
        except Exception:
            ExceptionWrapper(where="in DataLoader worker process 0").reraise()
    except Exception as again:
        return again
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "says", "remedy"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "/data/a.jpg"),
            "loading fails: /data/a.jpg: No such file or directory",
            "check the path",
        ),
        (OSError(24, "Too many open files"), "loading fails: Too many open files", "ulimit -n"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "loading fails: Resource temporarily", "ulimit -u"),
        (
            in_a_worker(PermissionError(13, "Permission denied", "/data/a.jpg")),
            "a loader worker fails: [Errno 13] Permission denied: '/data/a.jpg'",
            "who may read",
        ),
        (in_a_worker(DataError("/data/a.jpg is damaged; copy it again")), "/data/a.jpg is damaged", "copy it again"),
        (in_a_worker(KeyError("panorama")), "a loader worker fails: KeyError: 'panorama'", "training would end"),
        (MemoryError(), "loading fails: out of host memory", "fewer train.loader_workers"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that"),
            "loading fails: out of shared memory (/dev/shm): DataLoader worker (pid 7) is killed",
            "--shm-size",
        ),
    ],
)
def test_an_error_of_the_probe_or_a_worker_is_a_refusal_of_one_line(error: Exception, says: str, remedy: str) -> None:
    found = finding_of(error, "loading")
    assert (found.check, found.level) == ("loading", REFUSED)
    assert found.message.startswith(says) and "\n" not in found.message and remedy in found.remedy


def test_a_probe_that_cannot_be_started_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pipe(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Pipe", no_pipe)
    request: Any = SimpleNamespace(seconds=1.0)
    (found,) = probe(request).findings
    assert found.level == REFUSED and found.message == "the probe cannot be started: Too many open files"

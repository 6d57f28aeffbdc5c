"""What a local run shows while it runs."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from navforge.launch import console as module
from navforge.launch.console import Console, line
from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.runs.status import RankStatus

NOW = RankStatus(
    rank=0, world_size=2, node="n", pid=1, attempt=0, job=None, phase="training", time=0.0, started=0.0,
    epoch=1, epochs=20, step=40, total_steps=400, samples_per_s=12.34, loss=0.53123, host_bytes=5 << 30, eta_s=750.4,
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line() -> None:
    assert line(NOW) == "epoch 2/20  step 40/400  loss 0.5312  12.3 samples/s  5.0 GiB  00:12:30 left"
    assert line(replace(NOW, phase="rendezvous")) == "rendezvous"
    bare = replace(NOW, phase="validating", samples_per_s=None, loss=None, host_bytes=0, eta_s=None, gpu_bytes=1 << 30)
    assert line(bare) == "epoch 2/20  step 40/400  validating  GPU 1.0 GiB"


def pipe(said: bytes) -> io.BufferedReader:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, said)
    os.close(writing)
    return os.fdopen(reading, "rb")


def test_a_terminal_shows_the_line_below_what_rank_0_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1e6))  # less than a second goes by
    folder, stream = RunFolder(tmp_path), Terminal()
    status.write(folder.status_file(0), NOW)
    console = Console(folder, stream)
    with pipe(b"epoch 1/20\n") as output:
        console.tick(output)
    console.tick(None)
    with pipe(b"epoch 2/20\n") as output:
        console.tick(output)
    console.close()
    assert stream.getvalue() == f"epoch 1/20\n\r\x1b[K{line(NOW)}\r\x1b[Kepoch 2/20\n"


def test_a_file_gets_what_rank_0_says_alone(tmp_path: Path) -> None:
    folder, stream = RunFolder(tmp_path), io.StringIO()
    status.write(folder.status_file(0), NOW)
    console = Console(folder, stream)
    with pipe("größer\n".encode()) as output:
        console.tick(output)
    console.close()
    assert stream.getvalue() == "größer\n"


def test_a_damaged_heartbeat_is_passed_over(tmp_path: Path) -> None:
    folder, stream = RunFolder(tmp_path), Terminal()
    folder.status_file(0).parent.mkdir()
    folder.status_file(0).write_text("{")
    Console(folder, stream).tick(None)
    assert stream.getvalue() == ""

"""Run folders made by hand, for tests of what is read from them."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from navforge.runs import status
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder, RunRecord
from navforge.runs.status import Attempt, Failure, RankStatus

NOW = 1_800_000_000.0
GONE_PID = 2**22 + 1
"""Above the kernel's largest pid."""


def record(**changes: Any) -> RunRecord:
    base = RunRecord(agent="ego_mlp", launch="local", nodes=1, devices=2, created="2027-01-15T08:00:00+00:00")
    return replace(base, **changes)


def beat(rank: int = 0, **changes: Any) -> RankStatus:
    """A heartbeat 2 s old of a rank that trains since 100 s."""
    base = RankStatus(
        rank=rank,
        world_size=2,
        node=socket.gethostname(),
        pid=GONE_PID,
        attempt=0,
        job=None,
        phase="training",
        time=NOW - 2,
        started=NOW - 100,
        epoch=1,
        epochs=10,
        step=120,
        total_steps=1000,
        samples_per_s=81.25,
        waiting=0.034,
        loss=0.4321,
        host_bytes=3_000_000_000 + 500_000_000 * rank,
        gpu_bytes=20_000_000_000,
        eta_s=8000.0,
    )
    return replace(base, **changes)


def failure(rank: int = 0, cause: str = "error", error: str = "RuntimeError: boom", **changes: Any) -> Failure:
    base = Failure(
        rank=rank, attempt=0, cause=cause, error=error, traceback=f"Traceback\n{error}\n", time=NOW - 1, step=120
    )
    return replace(base, **changes)


def make_run(
    path: Path,
    run: RunRecord | None = None,
    *,
    beats: tuple[RankStatus, ...] = (),
    failures: tuple[Failure, ...] = (),
    attempts: tuple[Attempt, ...] = (),
    ends: tuple[RankExit, ...] = (),
    finished: bool = False,
    logs: dict[str, str] | None = None,
) -> RunFolder:
    """A run folder with these records and logs (`rank-0.log`, `job-40.log`)."""
    folder = RunFolder(path)
    folder.write_record(run or record())
    for b in beats:
        status.write(folder.status_file(b.rank), b)
    for f in failures:
        status.write(folder.failure_file(f.rank), f)
    for a in attempts:
        status.append_line(folder.attempts, a)
    for e in ends:
        status.append_line(folder.exits, e)
    if finished:
        folder.finished.write_text("{}\n")
    for name, text in (logs or {}).items():
        folder.logs.mkdir(parents=True, exist_ok=True)
        (folder.logs / name).write_text(text)
    return folder


def alive_beat(rank: int = 0, **changes: Any) -> RankStatus:
    """A heartbeat of this very process, of just now."""
    now = time.time()
    return beat(rank, **{"pid": os.getpid(), "time": now, "started": now - 100, **changes})

"""Whether a process named in a run folder still lives on this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from navforge.core.errors import DataError

_KILLED_S = 10.0
"""How long the kernel may take to end a process that got SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The process that watches over the ranks of a local run."""

    host: str
    pid: int
    started: int
    """s since 1970."""
    slurm_job: str | None = None
    """The Slurm job it is a process of: where that is over, so is it, whatever its machine."""


def local_job() -> str:
    """Name of this process as the supervisor of a local run, for `RunRecord.jobs`.

    `HOST.PID.STARTED`, in a job of Slurm `HOST.PID.STARTED@JOB`.
    """
    job = os.environ.get("SLURM_JOB_ID")
    name = f"{socket.gethostname()}.{os.getpid()}.{int(psutil.Process().create_time())}"
    return name if job is None else f"{name}@{job}"


def parse_local_job(job: str) -> Supervisor:
    """What `local_job()` says.

    Raises:
        DataError: another text.
    """
    match = re.fullmatch(r"(.+)\.(\d+)\.(\d+)(?:@(\d+))?", job)
    if not match:
        raise DataError(f"{job!r} does not name a local supervisor (HOST.PID.STARTED)")
    return Supervisor(host=match[1], pid=int(match[2]), started=int(match[3]), slurm_job=match[4])


def is_alive(host: str, pid: int, seen: float) -> bool | None:
    """Whether the process that was seen alive at a time still lives.

    A process that took over a freed pid began after the one before it was last seen, which tells the two apart.

    Args:
        host: machine of the process.
        pid: its number there.
        seen: when it was last known to live, s since 1970.

    Returns:
        None where the process is on another machine.
    """
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(pid)
        return process.create_time() <= seen + 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_orphans(supervisor: Supervisor, ranks: Iterable[tuple[str, int, float]], *, grace_s: float = 10.0) -> list[int]:
    """End ranks of a local run whose supervisor is gone; return the numbers of the processes that were still alive.

    The kernel has sent them SIGTERM when the supervisor died. They get a while to end by that, then SIGKILL with
    whatever they have started: nobody else watches over them.

    Args:
        supervisor: that of the last start. Nothing is done while it lives or where it is on another machine.
        ranks: node, process number and last sign of life (s since 1970) of each rank.
        grace_s: how long to wait for them.
    """
    if is_alive(supervisor.host, supervisor.pid, supervisor.started) is not False:
        return []
    orphans = []
    for node, pid, seen in ranks:
        with suppress(psutil.NoSuchProcess):
            if is_alive(node, pid, seen):
                orphans.append(psutil.Process(pid))
    _, left = psutil.wait_procs(orphans, timeout=grace_s)
    killed = list(left)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            killed += process.children(recursive=True)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # a rank leads a group of its own
    psutil.wait_procs(killed, timeout=_KILLED_S)
    return [process.pid for process in orphans]

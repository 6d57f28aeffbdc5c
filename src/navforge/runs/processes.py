"""Whether a process named in a run folder still lives on this machine."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

import psutil

from navforge.core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The process that watches over the ranks of a local run."""

    host: str
    pid: int
    started: int
    """s since 1970."""


def local_job() -> str:
    """Name of this process as the supervisor of a local run, for `RunRecord.jobs`: `HOST.PID.STARTED`."""
    return f"{socket.gethostname()}.{os.getpid()}.{int(psutil.Process().create_time())}"


def parse_local_job(job: str) -> Supervisor:
    """What `local_job()` says.

    Raises:
        DataError: another text.
    """
    found = re.fullmatch(r"(.+)\.(\d+)\.(\d+)", job)
    if not found:
        raise DataError(f"{job!r} does not name a local supervisor (HOST.PID.STARTED)")
    return Supervisor(host=found[1], pid=int(found[2]), started=int(found[3]))


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

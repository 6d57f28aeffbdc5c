"""Whether a process named in a run folder still lives on this machine."""

from __future__ import annotations

import os
import socket

import psutil

from navforge.core.errors import DataError


def local_job() -> str:
    """Name of this process as the supervisor of a local run, for `RunRecord.jobs`: `HOST.PID`."""
    return f"{socket.gethostname()}.{os.getpid()}"


def parse_local_job(job: str) -> tuple[str, int]:
    """Host and pid of a `local_job()`.

    Raises:
        DataError: another text.
    """
    host, dot, pid = job.rpartition(".")
    if not dot or not host or not pid.isdigit():
        raise DataError(f"{job!r} does not name a local supervisor (HOST.PID)")
    return host, int(pid)


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

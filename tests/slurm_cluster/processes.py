"""Which processes live, and which belong to a cluster."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUTS = 0x04000000


def identity(pid: int) -> tuple[int, int] | None:
    """Pid and the kernel's start time, together unique; None for a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (pid, int(fields[19]))


def alive(who: Iterable[int] | None) -> bool:
    """Whether the process with this identity lives."""
    pair = tuple(who or ())
    return bool(pair) and identity(pair[0]) == pair


def members(conf: Path, *, daemons: bool) -> list[int]:
    """Steps and job processes of the cluster with this slurm.conf, whoever their parent is, and its daemons if wanted.

    A shell a person pointed at the cluster has the same SLURM_CONF, but is neither a part of a job nor of Slurm.
    """
    programs = ("slurmstepd", *(("slurm", "munged", "mariadbd") if daemons else ()))
    mark = f"SLURM_CONF={conf}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environ = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            program = os.path.basename(os.readlink(f"/proc/{entry}/exe"))
        except OSError:
            continue
        in_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in environ)
        if mark in environ and (in_job or program.startswith(programs)):
            found.append(int(entry))
    return found


def end(pids: Iterable[int], number: signal.Signals, seconds: float) -> bool:
    """Signal processes and wait for them; whether all are gone in time."""
    left = {who for pid in pids if (who := identity(pid))}
    for pid, _ in left:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    limit = time.monotonic() + seconds
    while left and time.monotonic() < limit:
        reap()
        left = {who for who in left if alive(who)}
        time.sleep(0.02)
    return not left


def reap() -> None:
    """Collect children that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def reap_child(pid: int) -> None:
    """Collect one child, if it is one and has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)

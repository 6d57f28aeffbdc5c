"""What people asked of a run through `navforge jobs cancel` and `requeue`: tells their doing from accidents."""

from __future__ import annotations

import getpass
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from navforge.runs.status import append_line


@dataclass(frozen=True, kw_only=True)
class Request:
    """One wish of a person."""

    action: str
    """`cancel` or `requeue`."""
    by: str
    """USER@HOST."""
    time: float
    """s since 1970."""


def append_request(path: Path, action: str) -> Request:
    """Note that the user of this process asked for something."""
    request = Request(action=action, by=f"{getpass.getuser()}@{socket.gethostname()}", time=time.time())
    append_line(path, request)
    return request

"""Named semaphores of `multiprocessing`: named after the process that made them, so that those of dead ones can go.

Python removes a process's semaphores from /dev/shm when it ends, by a tracker process. A `kill -9` of the whole process
group, as Slurm and supervisors send it, ends the tracker too, and the files stay until the machine restarts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import process, resource_tracker
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
_NAMESPACE = Path("/proc/self/ns/pid")
"""Process numbers mean something within one pid namespace; containers may share /dev/shm across several."""


def name_semaphores() -> None:
    """Name the semaphores this process makes from now on after it."""
    namespace = _pid_namespace()
    if namespace is not None:
        process.current_process()._config["semprefix"] = f"/navforge-{namespace}-{os.getpid()}"  # type: ignore[attr-defined]


@contextmanager
def released_at_the_end() -> Iterator[None]:
    """Remove what is left at the end of the named semaphores made within, by children that are killed there.

    Children name theirs after this process and share its tracker, which would warn of each when this process ends.
    """
    before = _own_names()
    try:
        yield
    finally:
        for name in _own_names() - before:
            with suppress(OSError):
                (SHARED_MEMORY / f"sem.{name}").unlink()
                resource_tracker.unregister(f"/{name}", "semaphore")


def _own_names() -> set[str]:
    """Names of the semaphores of this process and its children (see `name_semaphores`)."""
    prefix = f"sem.navforge-{_pid_namespace()}-{os.getpid()}-"
    return {path.name.removeprefix("sem.") for path in SHARED_MEMORY.glob(f"{prefix}*")}


def remove_leftovers(folder: Path = SHARED_MEMORY) -> list[str]:
    """Remove this user's named semaphores of processes that are gone; return their names."""
    namespace = _pid_namespace()
    removed = []
    for path in folder.glob(f"sem.navforge-{namespace}-*") if namespace is not None else ():
        match = re.fullmatch(r"sem\.navforge-\d+-(\d+)-.*", path.name)
        if match is None or Path(f"/proc/{match[1]}").exists():
            continue
        with suppress(OSError):  # removed by another command meanwhile, or another user's
            if path.stat().st_uid == os.getuid():
                path.unlink()
                removed.append(path.name)
    return removed


def _pid_namespace() -> int | None:
    """Number of this process's pid namespace; None where the system has none (then nothing is renamed or removed)."""
    try:
        return _NAMESPACE.stat().st_ino
    except OSError:
        return None

"""Why a rank ended: the cause of an error, by its type and what lies beneath it, as a `runs.status.Failure`.

Nothing heavy is imported here: a rank that cannot even meet the others must be able to say so.
"""

from __future__ import annotations

import errno
import re
import time
import traceback
from collections.abc import Iterator
from typing import Any

from navforge.core.errors import NavforgeError
from navforge.runs.status import Failure

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of errors that say: nothing more can be written."""
SIGNS = (
    ("gpu_memory", r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"),
    ("host_memory", r"DataLoader worker.* killed by signal|unable to allocate shared memory|Cannot allocate memory"),
    ("host_memory", r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|insufficient shared memory"),
    ("disk_full", r"No space left on device|Disk quota exceeded"),
    ("peer", r"Connection closed by peer|Connection reset by peer|[Rr]emote process exited|ncclRemoteError"),
    ("peer", r"Timed out waiting \d+ms for (?:recv|send)|Broken pipe|Watchdog caught collective operation timeout"),
)
"""Causes by the words of errors that torch raises with a general type."""
_SHARED_MEMORY = r"shared memory|/dev/shm|Bus error"
OUT_OF_SHARED_MEMORY = "out of shared memory (/dev/shm)"
MORE_SHARED_MEMORY = "more room in /dev/shm (container option such as --shm-size=64g), or fewer train.loader_workers"
"""What helps where loader workers find no room for their batches."""


class TrainingError(NavforgeError):
    """Training cannot go on; says of which cause, and which scenes are concerned."""

    def __init__(
        self, message: str, *, cause: str, tokens: tuple[str, ...] = (), record: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.tokens = tokens
        self.record = record
        """More than fits into a message, as plain values."""


def cause_of(error: BaseException) -> str:
    """One of `runs.status.CAUSES`: the first link of the error's chain that tells decides."""
    user = False
    for link in chain(error):
        if isinstance(link, TrainingError):
            return link.cause
        name = type(link).__name__
        if name in NAMES:
            return NAMES[name]
        if isinstance(link, MemoryError):
            return "host_memory"
        if isinstance(link, OSError) and link.errno in FULL:
            return "disk_full"
        if isinstance(link, OSError) and link.errno == errno.ENOMEM:
            return "host_memory"
        if isinstance(link, ConnectionError):
            return "peer"
        if not isinstance(link, NavforgeError):
            for cause, words in SIGNS:
                if re.search(words, str(link)):
                    return cause
        user = user or isinstance(link, NavforgeError)
    return "user_error" if user else "error"


def is_shared_memory(text: str) -> bool:
    """Whether the text of an error of cause `host_memory` is about /dev/shm."""
    return bool(re.search(_SHARED_MEMORY, text))


NAMES = {
    "CorruptSample": "corrupt_sample",
    "RendezvousError": "rendezvous",
    "OutOfMemoryError": "gpu_memory",
    "PreflightError": "preflight",
}
"""Causes by the name of types whose modules are not imported here."""


def failure(error: BaseException, *, rank: int, attempt: int, step: int = 0) -> Failure:
    """The record of an error."""
    return Failure(
        rank=rank,
        attempt=attempt,
        cause=cause_of(error),
        error=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
        time=time.time(),
        step=step,
        tokens=tokens_of(error),
    )


def tokens_of(error: BaseException) -> tuple[str, ...]:
    """Scenes an error names: `tokens` of a `TrainingError`, `token` of a `CorruptSample`."""
    token = getattr(error, "token", None)
    return tuple(getattr(error, "tokens", ())) or ((token,) if isinstance(token, str) else ())


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it, latest first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__

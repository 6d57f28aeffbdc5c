"""Ranks on this machine: one process each, watched by one that ends them all when one dies."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import IO

from navforge.core.errors import NavforgeError
from navforge.core.interrupts import end_with_parent
from navforge.runs import exits
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder
from navforge.runs.signals import STATUS, StopSignals
from navforge.runs.status import append_line

GRACE_S = 20.0
"""From SIGTERM to SIGKILL for ranks whose peer died: they wait for it in a collective and cannot write a checkpoint."""
STOP_GRACE_S = 300.0
"""The same for ranks that were asked to stop by a person or their system: they write a checkpoint first."""
_POLL_S = 0.1
_PORTS = range(30_000, 32_768)
"""Above those of jobs (`launch.script`), below those that Linux hands out."""
_PLANNED = (exits.FINISHED, exits.REQUEUE_ME, exits.STOPPED)
_LISTEN = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
Watch = Callable[[IO[bytes] | None], None]


@dataclass(kw_only=True)
class _Rank:
    """One rank process; it leads a process group of its own, its loader workers among them."""

    rank: int
    process: subprocess.Popen[bytes]
    asked: bool = False
    status: int | None = None

    def ask(self, number: int) -> None:
        """Send a signal to the rank alone."""
        if self.status is None:
            self.asked = True
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def kill(self) -> None:
        """End the rank and whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def launch(
    folder: RunFolder,
    *,
    devices: int,
    attempt: int,
    command: Sequence[str] | None = None,
    watch: Watch = lambda output: None,
    grace_s: float = GRACE_S,
) -> int:
    """Run the ranks of a run folder until all have ended; return the run's exit status.

    Every rank gets torchrun's variables and the code of the run folder. Ranks write logs of their own; what they print
    before that goes there too, and what rank 0 prints to `watch`. When one dies the others get SIGTERM, then SIGKILL.
    SIGINT and SIGTERM are passed on as SIGTERM, SIGUSR1 as itself: ranks write a checkpoint and end. A second signal
    ends them at once. Should this process be killed, ranks get SIGTERM.

    Args:
        folder: the run folder, made ready.
        devices: ranks to start.
        attempt: how often the run was started before.
        command: what a rank runs; default: `navforge rank RUN`.
        watch: called about ten times a second with the reading end of what rank 0 prints; should read it.
        grace_s: seconds from SIGTERM to SIGKILL after a death.

    Returns:
        `exits.FINISHED`, `exits.REQUEUE_ME` or `exits.STOPPED` if all ranks ended that way, the latter two also if the
        signal passed on killed a rank, which was still starting then; else the status of the rank that died first, 128
        plus the signal if one killed it.
    """
    command = command or [sys.executable, "-m", "navforge", "rank", str(folder.path)]
    (port,) = free_ports(1)
    folder.logs.mkdir(parents=True, exist_ok=True)
    with StopSignals(_LISTEN) as signals:
        ranks: list[_Rank] = []
        try:
            for rank in range(devices):
                environ = rank_environment(folder, rank=rank, devices=devices, port=port, attempt=attempt)
                ranks.append(_start(folder, rank, command, environ))
            return _supervise(folder, ranks, signals, attempt, watch, grace_s)
        finally:
            for started in ranks:
                started.kill()
                if started.process.stdout is not None:
                    started.process.stdout.close()


def rank_environment(folder: RunFolder, *, rank: int, devices: int, port: int, attempt: int) -> dict[str, str]:
    """Environment of a rank: this process's, torchrun's variables, and the snapshot of the code first on the path."""
    inherited = os.environ.get("PYTHONPATH")
    return {
        "OMP_NUM_THREADS": "1",  # per rank and loader worker, unless told otherwise: more would fight over the CPUs
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder.code), *([inherited] if inherited else [])]),
        "PYTHONUNBUFFERED": "1",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(devices),
        "LOCAL_WORLD_SIZE": str(devices),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RESTART_COUNT": str(attempt),
    }


def _start(folder: RunFolder, rank: int, command: Sequence[str], environ: dict[str, str]) -> _Rank:
    parent = os.getpid()

    with open(folder.rank_log(rank), "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if rank == 0 else log,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, parent, exits.STOPPED),  # noqa: PLW1509 (no thread of this process holds a lock the child needs)
        )
    if process.stdout is not None:
        os.set_blocking(process.stdout.fileno(), False)
    return _Rank(rank=rank, process=process)


def _supervise(
    folder: RunFolder, ranks: list[_Rank], signals: StopSignals, attempt: int, watch: Watch, grace_s: float
) -> int:
    first: int | None = None
    handled = 0
    passed: int | None = None
    deadline: float | None = None
    while any(rank.status is None for rank in ranks):
        for ended in _ended(ranks):
            append_line(folder.exits, _record(ended, attempt))
            if ended.status not in _PLANNED and first is None:
                # A signal that was passed on kills a rank that does not listen to it yet.
                first = STATUS[passed] if passed is not None and ended.status == -passed else ended.status
                deadline = time.monotonic() + grace_s
                _ask(ranks, signal.SIGTERM)
            elif ended.status != exits.FINISHED and deadline is None:
                deadline = time.monotonic() + STOP_GRACE_S  # the others stop within moments, or hang
        for number in signals.numbers[handled:]:
            handled += 1
            if handled == 1 and first is None:
                deadline = time.monotonic() + STOP_GRACE_S
                passed = signal.SIGUSR1 if number == signal.SIGUSR1 else signal.SIGTERM
                _ask(ranks, passed)
            elif number != signal.SIGUSR1 and handled > 1:
                deadline = time.monotonic()
        if deadline is not None and time.monotonic() >= deadline:
            for rank in ranks:
                rank.asked = rank.asked or rank.status is None
                rank.kill()
        watch(ranks[0].process.stdout)
        time.sleep(_POLL_S)
    watch(ranks[0].process.stdout)
    return _status(first, ranks)


def _ask(ranks: list[_Rank], number: int) -> None:
    for rank in ranks:
        rank.ask(number)


def _ended(ranks: list[_Rank]) -> list[_Rank]:
    """Ranks that have ended since the last look."""
    ended = []
    for rank in ranks:
        if rank.status is None and (status := rank.process.poll()) is not None:
            rank.status = status
            ended.append(rank)
    return ended


def _record(ended: _Rank, attempt: int) -> RankExit:
    assert ended.status is not None
    return RankExit(
        rank=ended.rank,
        attempt=attempt,
        pid=ended.process.pid,
        status=ended.status,
        time=time.time(),
        asked=ended.asked,
    )


def _status(first: int | None, ranks: list[_Rank]) -> int:
    if first is not None:
        return first if first >= 0 else 128 - first
    return max(rank.status or 0 for rank in ranks)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, outside the range from which the kernel chooses.

    A port of that range could be given to another process before the one it is meant for has opened it.

    Raises:
        NavforgeError: there are fewer.
    """
    free: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            return free
    raise NavforgeError(f"{count} free ports are needed, {len(free)} of {_PORTS.start} to {_PORTS.stop - 1} are free")

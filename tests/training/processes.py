"""Ranks of a run as real processes: forked from the test, so that they start at once and share its made-up scenes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import torch

from navforge.launch.local import free_ports
from navforge.models.checkpoints import read_checkpoint
from navforge.runs.folder import RunFolder
from navforge.training.loop.curves import read_curves
from navforge.training.ranks.rank import run_rank
from navforge.training.run_config import RunConfig, write_run_config
from tests.slurm_cluster.cluster import WAIT_S

Fault = Callable[[int], None]
"""Called in a rank's process with its number before it starts: what is to go wrong there."""


def start(
    config: RunConfig, *, world: int = 1, ranks: list[int] | None = None, fault: Fault | None = None
) -> list[int]:
    """Pids of the ranks that are started, by default all of them."""
    folder = RunFolder(config.out)
    write_run_config(folder.config, config)
    (port,) = free_ports(1)
    pids = []
    for rank in range(world) if ranks is None else ranks:
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                torch.set_num_threads(1)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                forget_servers()
                places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
                os.environ.update({name: str(value) for name, value in places.items()})
                os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
                if fault is not None:
                    fault(rank)
                status = run_rank(folder)
            finally:
                os._exit(status)
        pids.append(pid)
    return pids


def forget_servers() -> None:
    """What a rank forked from a test inherits of servers, if the test has started some; they are not its children."""
    for known, name in ((forkserver._forkserver, "_forkserver_pid"), (resource_tracker._resource_tracker, "_pid")):
        setattr(known, name, None)
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]


def wait(pids: list[int]) -> list[int]:
    """Exit statuses, minus the signal for those that one killed; fails when one does not end in time."""
    ends: dict[int, int] = {}
    deadline = time.monotonic() + WAIT_S
    while len(ends) < len(pids):
        for pid in [pid for pid in pids if pid not in ends]:
            done, raw = os.waitpid(pid, os.WNOHANG)
            if done:
                ends[pid] = os.waitstatus_to_exitcode(raw)
        if time.monotonic() > deadline:
            late = [pid for pid in pids if pid not in ends]
            for pid in late:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise AssertionError(f"{len(late)} of {len(pids)} ranks did not end within {WAIT_S:g} s")
        time.sleep(0.02)
    return [ends[pid] for pid in pids]


def run(config: RunConfig, *, world: int = 1, fault: Fault | None = None) -> list[int]:
    """Start all ranks and wait for them."""
    return wait(start(config, world=world, fault=fault))


def same_result(first: Path, second: Path) -> None:
    """Two runs have the same loss curves and weights, to the bit."""
    assert (first / "steps.csv").read_bytes() == (second / "steps.csv").read_bytes()
    rows = [read_curves(folder / "epochs.csv") for folder in (first, second)]
    for row in (*rows[0], *rows[1]):
        del row["seconds"]
    assert rows[0] == rows[1]
    for name in ("last.ckpt", "best.ckpt"):
        states = [read_checkpoint(folder / "checkpoints" / name).state for folder in (first, second)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0]), name

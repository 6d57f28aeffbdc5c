"""A rank without training, in place of `python -m navforge rank RUN`: writes heartbeats and does harm when told to.

`RUN/harm.json` holds `{"rank": K, "harm": NAME}`; rank K does it after its first heartbeats, the others go on until
they are ended. Nothing heavy is imported, so that a job of such ranks starts in a fraction of a second.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.status import Attempt, Failure, RankStatus

LONGEST_S = 600.0


def main() -> int:
    folder = RunFolder(Path(sys.argv[-1]))
    rank = int(os.environ.get("RANK") or os.environ["SLURM_PROCID"])
    orders = json.loads((folder.path / "harm.json").read_text())
    beat = RankStatus(
        rank=rank,
        world_size=int(os.environ.get("WORLD_SIZE") or os.environ["SLURM_NTASKS"]),
        node=os.environ.get("SLURMD_NODENAME", socket.gethostname()),
        pid=os.getpid(),
        attempt=len(status.read_attempts(folder.attempts)),
        job=os.environ.get("SLURM_JOB_ID"),
        phase="training",
        time=time.time(),
        started=time.time(),
        epochs=2,
        total_steps=1000,
    )
    if rank == 0:
        attempt = Attempt(
            attempt=beat.attempt, job=beat.job, world_size=beat.world_size, time=beat.time, resumed_step=0
        )
        status.append_line(folder.attempts, attempt)
    return go_on(folder, beat, orders["harm"] if rank == orders["rank"] else "none")


def go_on(folder: RunFolder, beat: RankStatus, harm: str) -> int:
    """Beat, and after the third time do harm; end on SIGTERM, never on SIGUSR1."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for step in range(int(LONGEST_S / 0.1)):
        beat = replace(beat, time=time.time(), step=step, loss=1.0 / (step + 1), host_bytes=50_000_000)
        if stop:
            checkpoint = folder.checkpoints / "last.ckpt"
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_bytes(b"as if")
            status.write(folder.status_file(beat.rank), replace(beat, phase="stopped"))
            return exits.STOPPED
        status.write(folder.status_file(beat.rank), beat)
        if step == 3 and harm != "none":
            return do(harm, folder, beat)
        time.sleep(0.1)
    return exits.FINISHED


def do(harm: str, folder: RunFolder, beat: RankStatus) -> int:
    """One of the harms a rank can come to."""
    if harm == "memory":
        hoard = b"x" * 600_000_000  # twice what the job may have, and no more than a small machine bears
        while hoard:
            time.sleep(0.05)
    if harm == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if harm == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if harm == "exit":
        return 9
    if harm == "exception":
        raise RuntimeError("the flux capacitor is empty")
    if harm in status.CAUSES:
        failure = Failure(
            rank=beat.rank,
            attempt=beat.attempt,
            cause=harm,
            error=f"TrainingError: made up {harm}",
            traceback="",
            time=time.time(),
            step=beat.step,
        )
        status.write(folder.failure_file(beat.rank), failure)
        return exits.FAILED
    raise ValueError(f"no such harm: {harm}")


if __name__ == "__main__":
    sys.exit(main())

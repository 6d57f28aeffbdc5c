"""`navforge study-task FOLDER task=N`: one task of a job array of a study."""

from __future__ import annotations

import signal
from types import FrameType

from navforge.cli.keys.study_task import Config
from navforge.cli.study_files import configure, visible_gpus
from navforge.core.screen import say
from navforge.launch.study_jobs import run_task
from navforge.runs import exits


class _NearLimit(BaseException):
    """SIGUSR1 arrived: the time limit is near."""


def run(config: Config) -> int:
    """Make the nodes of the task; on SIGUSR1 end them after a checkpoint, to go on when the job starts again."""
    signal.signal(signal.SIGUSR1, _stop)
    try:
        return exits.FAILED if run_task(config.folder, config.task, configure, visible_gpus()) else exits.FINISHED
    except _NearLimit:
        say("stopped before the time limit; what is whole is kept, runs go on from their checkpoints", flush=True)
        return exits.REQUEUE_ME


def _stop(number: int, frame: FrameType | None) -> None:
    for other in (signal.SIGUSR1, signal.SIGTERM):  # would interrupt the wait for the checkpoints
        signal.signal(other, signal.SIG_IGN)
    raise _NearLimit

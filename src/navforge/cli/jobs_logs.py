"""`navforge jobs logs RUN`: the logs of a run, finished or active."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from navforge.cli.keys.jobs_logs import Config
from navforge.core.errors import DataError
from navforge.core.screen import say
from navforge.jobs.logs import LogLine, follow, log_files, tail
from navforge.jobs.state import state_of
from navforge.jobs.table import slurm_answer
from navforge.jobs.view import read_run
from navforge.runs.folder import RunFolder

CHECK_EVERY_S = 5.0
"""How often to check whether the run is still active, s."""


def run(config: Config) -> None:
    """Print the logs.

    Raises:
        DataError: no run folder, no such rank, or no log yet and nothing to wait for.
    """
    folder = RunFolder(config.run)
    record = folder.read_record()
    if config.rank is not None and config.rank >= record.world_size:
        raise DataError(f"{folder.path} has ranks 0 to {record.world_size - 1}; rank {config.rank} is none of them")
    try:
        if config.follow:
            _follow(folder, config)
        else:
            _print_ends(folder, config)
    except BrokenPipeError:  # the reader has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_ends(folder: RunFolder, config: Config) -> None:
    files = log_files(folder, config.rank)
    if not files:
        raise DataError(f"{folder.logs} holds no log yet; navforge jobs show {folder.path} says what the run does")
    for name, path in files.items():
        for text in tail(path, config.lines):
            _print(LogLine(name, text), config.rank is None)


def _follow(folder: RunFolder, config: Config) -> None:
    rank = config.rank
    files = (lambda: log_files(folder)) if rank is None else lambda: {f"rank {rank}": folder.rank_log(rank)}
    try:
        for line in follow(files, _ended(folder), count=config.lines):
            _print(line, rank is None)
    except KeyboardInterrupt:
        return


def _print(line: LogLine, named: bool) -> None:
    say(f"{line.source:>8} | {line.text}" if named else line.text, flush=True)


def _ended(folder: RunFolder) -> Callable[[], bool]:
    """Whether the run is over, looked at every few seconds only: it may ask Slurm."""
    last = [float("-inf"), False]

    def ended() -> bool:
        if time.monotonic() - last[0] >= CHECK_EVERY_S:
            view = read_run(folder)
            job = slurm_answer([view]).of(view)
            last[:] = [time.monotonic(), state_of(view, job).ended]
        return bool(last[1])

    return ended

"""One rank of a launched run, from its first log line to its exit status.

Only what meeting the other ranks needs is imported at the top: many ranks on few CPUs have to be there in time.
"""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import psutil

from navforge.core import config as configs
from navforge.core.errors import ConfigError, DataError
from navforge.core.outside.text import read_yaml
from navforge.core.screen import say
from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.signals import STATUS, StopSignals
from navforge.training.config import TrainConfig
from navforge.training.ranks.failures import failure
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.rank_info import RankInfo, from_environment

if TYPE_CHECKING:
    from navforge.training.run_base import RunBase

Preflight = Callable[["RunBase", RankInfo], None]
"""Checks a rank on its node; raises what refuses it."""


def run_rank(folder: RunFolder | Path, *, preflight: Preflight | None = None) -> int:
    """Run this rank of the run in a folder to its end.

    Whatever happens is in the folder afterwards: the log, the last heartbeat, and a `Failure` if the rank failed.

    Args:
        folder: holds `train.config.yaml`.
        preflight: called on every rank once all have met; if one is refused, all end.

    Returns:
        The exit status: one of `runs.exits`.
    """
    folder = RunFolder(Path(folder)) if not isinstance(folder, RunFolder) else folder
    rank_info = from_environment()
    earlier = status.read_attempts(folder.attempts)
    attempt = max([rank_info.attempt, *(start.attempt + 1 for start in earlier)])
    with _log(folder, rank_info, attempt), StopSignals() as signals:
        folder.failure_file(rank_info.rank).unlink(missing_ok=True)
        with Heartbeat(folder, rank_info, attempt=attempt) as beat:
            try:
                return _run(folder, rank_info, beat, signals, preflight)
            except BaseException as error:  # the boundary of the process: recorded, said, and turned into a status
                return _record(error, folder, rank_info, beat)


def leave(code: int) -> None:
    """End this process now: loader workers with it, threads and NCCL unasked, which could wait for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(code)


def _run(
    folder: RunFolder, rank_info: RankInfo, beat: Heartbeat, signals: StopSignals, preflight: Preflight | None
) -> int:
    asked = _peek(folder)
    if (wanted := (asked["nodes"], asked["devices"])) != (found := (rank_info.nodes, rank_info.devices)):
        raise ConfigError(
            f"the run is for {wanted[0]} nodes x {wanted[1]} ranks, but {found[0]} x {found[1]} were started (Slurm: "
            f"--nodes={wanted[0]} --ntasks-per-node={wanted[1]} and srun)"
        )
    store: Any = None
    if rank_info.world_size > 1:
        beat.tell(phase="rendezvous")
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a warning per rank about a flag that is meant
        from navforge.training.ranks import rendezvous  # noqa: PLC0415 (imports torch, which takes seconds)

        store = rendezvous.meet(rank_info, asked["timeout"])
    if rank_info.rank == 0:
        _clear(folder, rank_info.world_size)
    # Everything else is imported once all ranks are there.
    from navforge.training.ranks.consensus import Stopped  # noqa: PLC0415
    from navforge.training.ranks.messages import Ranks  # noqa: PLC0415
    from navforge.training.ranks.strategy import backend_of  # noqa: PLC0415
    from navforge.training.run import turns  # noqa: PLC0415
    from navforge.training.run_config import read_run_config  # noqa: PLC0415

    config = read_run_config(folder.config)
    if store is not None:
        from navforge.training.ranks.rendezvous import join_group  # noqa: PLC0415

        join_group(rank_info, store, backend_of(config.train))
    if preflight is not None:
        beat.tell(phase="preflight")
        _check(preflight, config, rank_info, Ranks(rank_info.rank, rank_info.world_size))
    try:
        for _ in turns(config, folder, rank_info, beat=beat, signals=signals):
            pass
    except Stopped as stopped:
        beat.tell(phase="stopped")
        say(f"{stopped}, checkpoint written", file=sys.stderr, flush=True)
        return STATUS[signal.Signals(stopped.number)]
    return exits.FINISHED


def _check(preflight: Preflight, config: RunBase, rank_info: RankInfo, ranks: Any) -> None:
    refusal: Exception | None = None
    try:
        preflight(config, rank_info)
    except Exception as error:  # all ranks have to hear of it before any of them ends
        refusal = error
    ranks.raise_together(refusal)


def _peek(folder: RunFolder) -> dict[str, int]:
    """What has to be known before planners can be imported."""
    if not folder.config.exists():
        raise DataError(f"{folder.path} is not a run folder: it lacks {folder.config.name}; navforge train makes one")
    values = read_yaml(folder.config, "run config")
    try:
        train = configs.from_dict(TrainConfig, values["train"])
        return {
            "nodes": int(values["nodes"]),
            "devices": int(values["devices"]),
            "timeout": train.rendezvous_timeout_s,
        }
    except ConfigError as error:
        raise ConfigError(f"{folder.config}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder.config} is damaged: {type(error).__name__}: {error}") from error


def _clear(folder: RunFolder, world_size: int) -> None:
    """Records of ranks that earlier attempts had and this one has not."""
    for path in [*folder.path.glob("failures/rank-*.json"), *folder.path.glob("status/rank-*.json")]:
        if int(path.stem.removeprefix("rank-")) >= world_size:
            path.unlink(missing_ok=True)
    folder.finished.unlink(missing_ok=True)


def _record(error: BaseException, folder: RunFolder, rank_info: RankInfo, beat: Heartbeat) -> int:
    record = failure(error, rank=rank_info.rank, attempt=beat.status.attempt, step=beat.status.step)
    user = record.cause in ("user_error", "rendezvous", "preflight")
    say(f"{'' if user else record.traceback}error: {error}", file=sys.stderr, flush=True)
    try:
        status.write(folder.failure_file(rank_info.rank), record)
    except OSError as full:
        say(f"error: the failure could not be recorded: {full}", file=sys.stderr, flush=True)
    beat.tell(phase="failed")
    return exits.USER_ERROR if record.cause == "user_error" else exits.FAILED


@contextmanager
def _log(folder: RunFolder, rank_info: RankInfo, attempt: int) -> Iterator[None]:
    """Everything this process says goes to its log, of rank 0 also to the console; crashes of the interpreter too."""
    path = folder.rank_log(rank_info.rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", buffering=1, encoding="utf-8") as file:
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        file.write(
            f"=== {now} UTC: attempt {attempt}, rank {rank_info.rank} of {rank_info.world_size} on {rank_info.node}, "
            f"pid {os.getpid()}" + (f", job {rank_info.job}" if rank_info.job else "") + "\n"
        )
        faulthandler.enable(file)
        outer = sys.stdout, sys.stderr
        sys.stdout.flush()
        sys.stderr.flush()
        kept = [os.dup(1), os.dup(2)]
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        console: TextIO | None = os.fdopen(os.dup(kept[1]), "w", buffering=1) if rank_info.rank == 0 else None
        sys.stdout = sys.stderr = Both(file, console)  # type: ignore[assignment]
        try:
            yield
        finally:
            sys.stdout, sys.stderr = outer
            for number, handle in zip((1, 2), kept, strict=True):
                os.dup2(handle, number)
                os.close(handle)
            if console is not None:
                console.close()
            faulthandler.enable(sys.__stderr__ or 2)


class Both(io.TextIOBase):
    """Writes to the log and, if there is one, to the console, which may go away."""

    def __init__(self, log: TextIO, console: TextIO | None) -> None:
        self._log = log
        self._console = console

    def write(self, text: str) -> int:
        """Both; a full disk or a closed terminal does not end the run for the sake of a line."""
        for target in (self._log, self._console):
            if target is not None:
                try:
                    target.write(text)
                    target.flush()
                except (OSError, ValueError):
                    continue
        return len(text)

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """Of the log."""
        return self._log.fileno()

"""Ending and restarting runs so that nothing is lost: ranks write a checkpoint first wherever they can."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError, DataError, NavforgeError
from navforge.jobs.checkpoints import saved_states
from navforge.jobs.cluster import SlurmJob, ask
from navforge.jobs.evidence import read_command
from navforge.jobs.state import ACTIVE, State, state_of
from navforge.jobs.view import RunView, read_run
from navforge.runs import exits, processes
from navforge.runs.folder import LAST, PREVIOUS, RunFolder
from navforge.runs.processes import Supervisor, is_alive, parse_local_job
from navforge.runs.requests import append_request
from navforge.slurm import client as slurm

POLL_S = 0.5
TRAINS = ("training", "validating")
"""Phases in which ranks answer a signal with a checkpoint."""


class RefusedError(NavforgeError):
    """What was asked for makes no sense for this run now."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A run before something is done to it."""

    view: RunView
    state: State
    job: SlurmJob | None
    time: float

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return self.view.folder


def look(folder: RunFolder) -> Situation:
    """Read a run and ask Slurm.

    Raises:
        DataError: no run folder.
        RefusedError: Slurm runs it and cannot be asked.
    """
    view = read_run(folder)
    job = None
    if view.slurm_job is not None:
        answer = ask([view.slurm_job])
        if answer.note and view.slurm_job not in answer.jobs and view.record.launch == "slurm":
            raise RefusedError(f"{folder.path}: job {view.job} cannot be looked up: {answer.note}")
        job = answer.of(view)
    return Situation(view=view, state=state_of(view, job), job=job, time=time.time())


def end_orphans(view: RunView) -> bool:
    """End ranks of a local run whose supervisor was killed; whether there were any on this machine."""
    if view.record.launch != "local" or view.job is None:
        return False
    ranks = [(beat.node, beat.pid, beat.time) for beat in view.statuses.values()]
    return bool(processes.end_orphans(parse_local_job(view.job), ranks))


def require_idle(folder: RunFolder) -> None:
    """End orphaned ranks of a folder's run; it may then be trained in.

    Raises:
        ConfigError: ranks may be alive, or the job waits: two runs would write into one folder.
    """
    if not folder.record_file.is_file():
        return
    now = look(folder)
    if not now.state.ended and end_orphans(now.view):
        now = look(folder)
    if not now.state.ended and now.view.job is not None:
        raise ConfigError(
            f"out: {folder.path} is {now.state.name} as job {now.view.job}; navforge jobs cancel {folder.path} ends "
            "it, another out= starts another run"
        )


def cancel(folder: RunFolder, *, wait_s: float, say: Callable[[str], None]) -> str:
    """End a run; ranks that train write a checkpoint first. Returns what became of it.

    Args:
        folder: the run.
        wait_s: how long ranks may take for the checkpoint; a Slurm job is then cancelled outright.
        say: told what happens meanwhile.

    Raises:
        RefusedError: it is over already, or runs where it cannot be reached from here.
    """
    before = look(folder)
    if before.view.record.launch == "slurm":
        return _cancel_job(before, wait_s, say)
    supervisor = _local_supervisor(before)
    append_request(folder.requests, "cancel")
    os.kill(supervisor.pid, signal.SIGTERM)
    say(f"SIGTERM sent to the supervisor (pid {supervisor.pid}); ranks that train write a checkpoint first")
    if not _until(lambda: not is_alive(supervisor.host, supervisor.pid, supervisor.started), wait_s):
        return (
            f"still ending after {wait_s:g} s; a second navforge jobs cancel ends the ranks at once. "
            + checkpoint_words(folder, before.time)
        )
    return "ended. " + checkpoint_words(folder, before.time)


def requeue(folder: RunFolder, *, wait_s: float, say: Callable[[str], None]) -> str:
    """Have a run start again from its last checkpoint. Returns what became of it.

    A job that trains writes a checkpoint and goes back into the queue; one that is over is resubmitted; a local run
    that is over starts in the background.

    Raises:
        RefusedError: it is finished, already queued, or running on this machine.
    """
    before = look(folder)
    if before.state.name == "finished":
        raise RefusedError(f"{folder.path} is finished; to train longer give navforge train another out=")
    if before.view.record.launch == "slurm":
        return _requeue_job(before, wait_s, say)
    if before.state.name in ACTIVE:
        raise RefusedError(
            f"{folder.path} is still active ({before.state.name}); navforge jobs cancel {folder.path} ends it first"
        )
    if before.state.name == "unknown":
        raise RefusedError(
            f"{folder.path}: whether it still runs cannot be told from {socket.gethostname()}: {before.state.note}"
        )
    return _start_local(before, wait_s)


def checkpoint_words(folder: RunFolder, since: float) -> str:
    """Whether a checkpoint was written since a time, and how far the newest one is."""
    states = [state for state in saved_states(folder) if state.name in (LAST, PREVIOUS)]
    if not states:
        return "No checkpoint exists: a restart begins at step 0."
    newest = states[0]
    step = "" if newest.step is None else f" at step {newest.step}"
    if newest.written >= since:
        return f"A checkpoint was written: {newest.name}{step}."
    minutes = (since - newest.written) / 60
    return f"No checkpoint was written now; the newest is {newest.name}{step}, {minutes:.1f} min old."


def _cancel_job(before: Situation, wait_s: float, say: Callable[[str], None]) -> str:
    folder, job, known = before.folder, before.view.job, before.job
    if job is None or known is None or known.ended:
        raise RefusedError(f"{folder.path} is not in the queue: {before.state.name} {before.state.note}".rstrip())
    append_request(folder.requests, "cancel")
    if _trains(before):
        slurm.cancel(job, "TERM")
        say(f"SIGTERM sent to the ranks of job {job}; they write a checkpoint first (at most {wait_s:g} s)")
        if _until(lambda: _ended(job), wait_s):
            return f"job {job} ended. " + checkpoint_words(folder, before.time)
        say("the ranks did not end in time; the job is cancelled outright")
    slurm.cancel(job)
    if not _until(lambda: _ended(job), wait_s):
        return f"cancellation of job {job} requested; still shutting down. " + checkpoint_words(folder, before.time)
    return f"job {job} is cancelled. " + checkpoint_words(folder, before.time)


def _requeue_job(before: Situation, wait_s: float, say: Callable[[str], None]) -> str:
    folder, job, known = before.folder, before.view.job, before.job
    if job is not None and known is not None and known.waits:
        raise RefusedError(f"job {job} of {folder.path} waits in the queue already: {before.state.note}")
    if job is None or known is None or known.ended:
        if not folder.script.is_file():
            raise DataError(f"{folder.script} does not exist; navforge train launch=slurm writes it")
        new = slurm.submit(folder.script)
        folder.add_job(new)
        append_request(folder.requests, "requeue")
        return f"resubmitted as job {new}. " + checkpoint_words(folder, time.time() + 1)
    append_request(folder.requests, "requeue")
    if _trains(before):
        slurm.cancel(job, "USR1")
        say(f"SIGUSR1 sent to the ranks of job {job}; they write a checkpoint, then the job goes back into the queue")
        if _until(lambda: _waits(job), wait_s):
            return f"job {job} is back in the queue. " + checkpoint_words(folder, before.time)
        say("the ranks did not end in time; the job is put back into the queue outright")
    slurm.requeue(job)
    return f"job {job} is put back into the queue. " + checkpoint_words(folder, before.time)


def _local_supervisor(before: Situation) -> Supervisor:
    path = before.folder.path
    if before.view.job is None:
        raise RefusedError(
            f"{path} names no process that watches over it; it was not started by navforge train launch=local"
        )
    supervisor = parse_local_job(before.view.job)
    if supervisor.host != socket.gethostname():
        raise RefusedError(f"{path} was started on {supervisor.host}; run navforge jobs cancel there")
    if not is_alive(supervisor.host, supervisor.pid, supervisor.started):
        raise RefusedError(f"{path} does not run: {before.state.name} {before.state.note}".rstrip())
    return supervisor


def _start_local(before: Situation, wait_s: float) -> str:
    """The command the run was started with, in the background; it resumes from the checkpoint by itself."""
    folder = before.folder
    words, directory = read_command(folder)
    if "train" not in words:
        raise DataError(f"{folder.path} does not say how it was started; run its navforge train command again")
    command = [sys.executable, "-m", "navforge", *words[words.index("train") :]]
    folder.logs.mkdir(parents=True, exist_ok=True)
    log = folder.logs / "job-background.log"
    with open(log, "ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command,
            cwd=directory if Path(directory).is_dir() else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    known = before.view.record.jobs
    _until(lambda: process.poll() is not None or folder.read_record().jobs != known, wait_s)
    if process.poll() is not None and folder.read_record().jobs == known:
        with open(log, "rb") as file:
            file.seek(begin)
            said = file.read().decode("utf-8", errors="replace").strip()
        raise DataError(f"{folder.path} could not be started again: {said or exits.describe(process.returncode)}")
    append_request(folder.requests, "requeue")
    return (
        f"started in the background (pid {process.pid}); navforge jobs logs {folder.path} --follow shows it. "
        + checkpoint_words(folder, time.time() + 1)
    )


def _trains(before: Situation) -> bool:
    lead = before.view.lead
    return before.job is not None and before.job.runs and lead is not None and lead.phase in TRAINS


def _ended(job: str) -> bool:
    answer = ask([job])
    known = answer.jobs.get(job)
    return not answer.silent if known is None else known.ended


def _waits(job: str) -> bool:
    known = ask([job]).jobs.get(job)
    return known is not None and known.waits


def _until(done: Callable[[], bool], wait_s: float) -> bool:
    limit = time.monotonic() + wait_s
    while not done():
        if time.monotonic() >= limit:
            return False
        time.sleep(POLL_S)
    return True

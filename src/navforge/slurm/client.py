"""Slurm's commands as functions: each one call with a time limit, its output read by `slurm_output`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.slurm import output as slurm_output
from navforge.slurm.output import AccountedStep, Node, Partition, QueuedJob, RunningStep

TIMEOUT_S = 60.0
"""The commands themselves wait for a busy controller, then say so."""

_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER", "SLURM_JWT")
_UNKNOWN_JOB = "Invalid job id specified"


class SlurmError(NavforgeError):
    """A command of Slurm is missing, refused, or got no answer."""


class SlurmUnreachableError(SlurmError):
    """A command of Slurm is missing or got no answer: nothing is known of what was asked."""


_NO_CONTACT = ("Unable to contact slurm controller", "Socket timed out", "Connection refused")
"""What commands say that could not reach the controller."""


def available() -> bool:
    """Whether Slurm's commands are installed here."""
    return shutil.which("sbatch") is not None


def call(*command: str, timeout_s: float = TIMEOUT_S) -> str:
    """Standard output of a Slurm command.

    Variables that change what the commands do or print (`SBATCH_*`, `SQUEUE_*`, those of a job this process may be
    part of) are withheld from it.

    Raises:
        SlurmError: not installed, ended with an error, or silent for `timeout_s`.
    """
    return _answer(*command, timeout_s=timeout_s).stdout


def _answer(*command: str, timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """What a command printed; see `call`."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(), timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise SlurmUnreachableError(
            f"{command[0]}: no such command; run this where Slurm's commands are installed, or use launch=local"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmUnreachableError(
            f"{command[0]}: no answer within {timeout_s:g} s; the Slurm controller may be down, see scontrol ping"
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        message, kind = " / ".join(lines), SlurmError
        if any(words in message for words in _NO_CONTACT):
            message, kind = lines[-1], SlurmUnreachableError
        raise kind(f"{command[0]} failed: {message or f'exit status {done.returncode}'}")
    return done


def environment() -> dict[str, str]:
    """This process's environment without what would steer Slurm's commands behind the arguments' back."""
    prefixes = ("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SINFO_", "SRUN_", "SCANCEL_", "SCONTROL_")
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(prefixes)}
    whole = {"SLURM_TIME_FORMAT": "standard", "SLURM_BITSTR_LEN": "0"}  # else squeue cuts off long lists of tasks
    return {**kept, **whole, "LC_ALL": "C.UTF-8"}


def submit(script: Path, *options: str) -> str:
    """Submit a batch script; return the job id.

    Raises:
        SlurmError: Slurm refused the job.
    """
    return call("sbatch", "--parsable", *options, str(script)).strip().partition(";")[0]


def refusal(script: Path, *options: str) -> str | None:
    """Why `sbatch` would refuse a script, or None. Nothing is submitted.

    Some impossible jobs pass and then wait for ever (a time limit or a node count over the partition's); compare with
    `partitions()`.
    """
    try:
        call("sbatch", "--test-only", *options, str(script))
    except SlurmError as error:
        return str(error)
    return None


def expected_start(script: Path, *options: str) -> str | None:
    """When a script would start if it were submitted now, ISO local time; None where Slurm does not say.

    By `sbatch --test-only`, which submits nothing. Slurm lets the jobs that run or wait take their whole time limits.

    Raises:
        SlurmUnreachableError: Slurm does not answer.
        SlurmError: Slurm would refuse the job.
    """
    return slurm_output.parse_expected_start(_answer("sbatch", "--test-only", *options, str(script)).stderr)


def queue(jobs: Sequence[str] = ()) -> list[QueuedJob]:
    """Jobs as `squeue` knows them, those included that ended a short while ago; unknown ones are left out.

    Args:
        jobs: ids, or nothing for every job this user may see.
    """
    try:
        return _squeue(*(["-j", ",".join(jobs)] if jobs else []))
    except SlurmError as error:
        if _UNKNOWN_JOB in str(error):
            return []
        raise


def named(name: str) -> list[QueuedJob]:
    """Jobs of a name that run, end just now, or will run."""
    return [entry for entry in _squeue("-n", name) if entry.alive]


def _squeue(*options: str) -> list[QueuedJob]:
    return slurm_output.parse_queue(call("squeue", "-h", "-t", "all", "-o", slurm_output.QUEUE_FORMAT, *options))


def accounting(jobs: Sequence[str]) -> list[AccountedStep]:
    """Every run and step of jobs from the accounting database, oldest run first; unknown ones are left out.

    Raises:
        SlurmError: also where the cluster keeps no accounting.
    """
    if not jobs:
        return []
    fields = ",".join(slurm_output.ACCOUNTING_FIELDS)
    return slurm_output.parse_accounting(call("sacct", "-P", "-n", "-D", "-j", ",".join(jobs), f"--format={fields}"))


def running_steps(jobs: Sequence[str]) -> list[RunningStep]:
    """What the running steps of jobs use now; none for a job that does not run."""
    steps = []
    for job in jobs:  # one at a time: an unknown id would spoil the answer for the others
        fields = ",".join(slurm_output.STEP_FIELDS)
        steps += slurm_output.parse_steps(call("sstat", "-a", "-P", "-n", "-j", job, f"--format={fields}"))
    return steps


def partitions() -> list[Partition]:
    """The partitions of the cluster."""
    return slurm_output.parse_partitions(call("scontrol", "-o", "show", "partition"))


def nodes() -> list[Node]:
    """The nodes of the cluster."""
    return slurm_output.parse_nodes(call("scontrol", "-o", "show", "node"))


def cancel(job: str, signal: str | None = None) -> None:
    """Cancel a job, or send a signal such as `USR1` to its ranks.

    Raises:
        SlurmError: not this user's job, or the controller does not answer.
    """
    call("scancel", *([f"--signal={signal}"] if signal else []), job)


def requeue(job: str) -> None:
    """Put a job back into the queue: one that runs is stopped first; one that ended runs again under its id.

    Raises:
        SlurmError: unknown job, or one that may not be requeued.
    """
    call("scontrol", "requeue", job)


def alive(jobs: Sequence[str]) -> list[QueuedJob]:
    """Those of the jobs that run, end just now, or will run."""
    return [entry for entry in queue(jobs) if entry.alive] if jobs else []

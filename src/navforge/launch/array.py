"""Job arrays: the same command many times under Slurm, each time with its number; written, submitted, watched."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError
from navforge.core.parallel import progress
from navforge.launch.script import (
    RESTARTS,
    check_paths,
    directive_block,
    ending,
    further_options,
    python_environment,
    signal_near_limit,
    where,
)
from navforge.slurm import client as slurm
from navforge.slurm.output import QueuedJob
from navforge.slurm.profile import ClusterProfile

SCRIPT = "array.sbatch"
LOGS = "logs"
CODE = "code"
"""Snapshot of the package that tasks run."""
POLL_S = 2.0
SILENT_S = 600.0
"""How long squeue may fail before watching is given up."""


@dataclass(frozen=True, kw_only=True)
class ArrayFacts:
    """What the script of a job array has to know."""

    folder: Path
    """For script, logs and code; absolute."""
    name: str
    """Of the job."""
    command: tuple[str, ...]
    """Words after `navforge` that every task runs; the number of the task is added as `task=N`."""
    tasks: int
    first: int = 0
    """Number of the first task."""
    at_once: int | None = None
    """Tasks at once; None: as many as the cluster takes."""
    resumes: bool = False
    """Whether a task ends with `exits.REQUEUE_ME` when it is told that its time limit is near, to go on later."""
    cpus: int
    """CPUs of one task."""
    gpus: int = 0
    """GPUs of one task."""
    directory: Path
    """Where relative paths start."""
    python: str
    """The Python that runs the tasks, unless the profile names one."""

    def __post_init__(self) -> None:
        check_paths(out=self.folder, working_directory=self.directory)


def memory_gb(cpus: int, profile: ClusterProfile) -> int:
    """Host memory of a task, GiB: its CPUs' share of a node."""
    return max(profile.memory_gb * cpus // profile.cpus_per_node, 1)


def array_script(facts: ArrayFacts, profile: ClusterProfile) -> str:
    """Text of the batch script.

    Raises:
        ConfigError: a task would need more CPUs than a node of the profile has.
    """
    if facts.cpus > profile.cpus_per_node:
        raise ConfigError(
            f"cpus: {facts.cpus} asked for, a node of {profile.name} has {profile.cpus_per_node}; lower cpus"
        )
    log = str(facts.folder / LOGS).replace("%", "%%") + "/task-%A_%a.log"
    name = re.sub(r"[^\w.-]", "-", facts.name)
    python = shlex.quote(profile.python or facts.python)
    options = [f"--cpus-per-task={facts.cpus}", "--label", *profile.srun_options]
    share = f"{facts.cpus} CPU(s)" + (f" and {facts.gpus} GPU(s)" if facts.gpus else "")
    words = " ".join(shlex.quote(word) for word in facts.command)
    throttle = "" if facts.at_once is None else f"%{facts.at_once}"
    before_limit = [signal_near_limit(profile)] if facts.resumes else []
    task = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    return "\n".join(
        [
            "#!/bin/bash",
            f"# {facts.name}: {facts.tasks} task(s) of {share}, on {profile.name}. Written by navforge.",
            "",
            directive_block("", [f"--job-name={name}", *where(profile), f'--chdir="{facts.directory}"']),
            directive_block(
                "One process per task; it uses the CPUs by processes of its own.",
                [
                    f"--array={facts.first}-{facts.first + facts.tasks - 1}{throttle}",
                    "--nodes=1",
                    "--ntasks=1",
                    f"--cpus-per-task={facts.cpus}",
                    *([f"--gres={profile.gres(facts.gpus)}"] if facts.gpus else []),
                    f"--mem={memory_gb(facts.cpus, profile)}G",
                ],
            ),
            directive_block(
                "A node failure starts a task again; what it has finished is kept.",
                [
                    f"--time={profile.time_limit}",
                    *before_limit,
                    "--requeue",
                    f'--output="{log}"',
                    "--open-mode=append",
                ],
            ),
            *further_options(profile),
            *python_environment(profile, shlex.quote(str(facts.folder / CODE))),
            *(['mkdir -p "$TMPDIR"'] if profile.scratch is not None else []),
            'echo "navforge: task $SLURM_ARRAY_TASK_ID of job $SLURM_ARRAY_JOB_ID on $SLURM_JOB_NODELIST, '
            'restart ${SLURM_RESTART_COUNT:-0}, $(date +%FT%T%z)"',
            "",
            f"srun {' '.join(shlex.quote(option) for option in options)} \\",
            f'    {python} -m navforge {words} task="$SLURM_ARRAY_TASK_ID"',
            "",
            *(["status=$?", "", RESTARTS, ending(profile, task, again="the same command")] if facts.resumes else []),
        ]
    )


def log_path(folder: Path, job: str, task: int) -> Path:
    """The log of a task."""
    return folder / LOGS / f"task-{job}_{task}.log"


def watch(
    job: str, *, done: Callable[[], int], total: int, label: str, poll_s: float = POLL_S, silent_s: float = SILENT_S
) -> None:
    """Show how far a job array is until none of its tasks runs or waits.

    Args:
        job: id of the array.
        done: how many of the things it makes are there.
        total: how many there will be.
        label: text before the progress bar.
        poll_s: seconds between looks.
        silent_s: how long squeue may fail in a row.

    Raises:
        SlurmError: squeue has failed for `silent_s`.
    """
    heard = time.monotonic()
    with progress(label, total) as bar:
        while True:
            try:
                tasks = slurm.alive([job])
                heard = time.monotonic()
            except slurm.SlurmError:
                if time.monotonic() - heard > silent_s:
                    raise
                tasks = None
            if tasks is not None:
                bar.update(bar.task_ids[0], completed=done(), description=f"{label}: {describe(job, tasks)}")
            if tasks == []:
                return
            time.sleep(poll_s)


def numbers(shown_as: str) -> set[int]:
    """Tasks in one line of squeue: {3} of `12_3`, {0, 1, 5} of `12_[0-1,5%2]`, which wait together."""
    members: set[int] = set()
    for part in shown_as.partition("_")[2].strip("[]").partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            members |= set(range(int(first), int(last or first) + 1))
    return members


def describe(job: str, tasks: Sequence[QueuedJob]) -> str:
    """`job 12, 3 tasks running, waiting: Resources`."""
    running = sum(task.state == "RUNNING" for task in tasks)
    reasons = sorted({task.reason for task in tasks if task.state == "PENDING"})
    waiting = [f"waiting: {', '.join(reasons)}"] if reasons else []
    return ", ".join([f"job {job}", f"{running} tasks running", *waiting])

"""The batch script of a run: facts and a cluster profile in, text out."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError
from navforge.runs.exits import REQUEUE_ME
from navforge.slurm.profile import ClusterProfile
from navforge.training.ranks.rank_info import FIRST_PORT, PORTS

RESTARTS = "restarts=${SLURM_RESTART_COUNT:-0}"
"""Shell line before `ending`."""
_REQUEUE_WAIT_S = 300


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """What a batch script has to know of a run."""

    folder: Path
    """The run folder, absolute."""
    agent: str
    nodes: int
    devices: int
    """Ranks, and GPUs, per node."""
    directory: Path
    """Where relative paths of the run's config start."""
    python: str
    """The Python that runs the ranks, unless the profile names one."""
    gpus: bool = True
    """Whether ranks train on GPUs; if not, none are taken."""

    def __post_init__(self) -> None:
        check_paths(out=self.folder, working_directory=self.directory)


def check_paths(**paths: Path) -> None:
    """Raise ConfigError unless Slurm can be told these paths."""
    for name, path in paths.items():
        if not path.is_absolute() or re.search(r'[\n"\\]', str(path)):
            raise ConfigError(f'{name}: {path}: expected an absolute path without ", \\ and line breaks for Slurm')


def where(profile: ClusterProfile) -> list[str]:
    """Options that say which part of the cluster a job goes to."""
    choices = {"partition": profile.partition, "account": profile.account, "qos": profile.qos}
    return [f"--{option}={value}" for option, value in choices.items() if value is not None]


def batch_script(facts: JobFacts, profile: ClusterProfile) -> str:
    """Text of `RUN/job.sbatch`; it needs nothing but the run folder, so that it can be submitted by hand as well.

    Raises:
        ConfigError: the profile has fewer GPUs or nodes than asked for.
    """
    _check(facts, profile)
    ranks = facts.nodes * facts.devices
    sections = [
        f"""\
#!/bin/bash
# {facts.agent}: {ranks} rank(s), {facts.nodes} node(s) x {facts.devices}, on {profile.name}.
# Written by navforge train, which submits it. By hand, to start or to go on from the last checkpoint:
#   sbatch {shlex.quote(str(facts.folder / "job.sbatch"))}
""",
        *(_directives(facts, profile)),
        _environment(facts, profile),
        _step(facts, profile),
        ending(profile, "$SLURM_JOB_ID", again="sbatch $run/job.sbatch"),
    ]
    return "\n".join(sections)


def _check(facts: JobFacts, profile: ClusterProfile) -> None:
    for name, wanted, there in (
        ("nodes", facts.nodes, profile.nodes),
        ("devices", facts.devices, profile.gpus_per_node),
    ):
        if wanted > there:
            raise ConfigError(f"{name}: {wanted} asked for, {profile.name} has {there}; lower {name} or change cluster")


def _directives(facts: JobFacts, profile: ClusterProfile) -> list[str]:
    log = str(facts.folder / "logs" / "job-").replace("%", "%%") + "%j.log"
    name = re.sub(r"[^\w.-]", "-", facts.folder.name)
    return [
        directive_block("", [f"--job-name={name}", *where(profile), f'--chdir="{facts.directory}"']),
        directive_block(
            "One task per GPU: a task is a rank. CPUs and memory are the share of the node these GPUs are."
            if facts.gpus
            else "A task is a rank. Training is on CPUs (train.accelerator=cpu): no GPU is taken.",
            [
                f"--nodes={facts.nodes}",
                f"--ntasks-per-node={facts.devices}",
                *([f"--gres={profile.gres(facts.devices)}"] if facts.gpus else []),
                f"--cpus-per-task={profile.cpus_per_rank}",
                f"--mem={profile.job_memory_gb(facts.devices)}G",
            ],
        ),
        directive_block(
            f"{profile.signal_lead_s} s before the limit the ranks (not this script) get SIGUSR1: they write a "
            f"checkpoint and\n# end with status {REQUEUE_ME}. With --requeue a node failure starts the job again.",
            [
                f"--time={profile.time_limit}",
                signal_near_limit(profile),
                "--requeue",
            ],
        ),
        directive_block("A job that starts again keeps its log.", [f'--output="{log}"', "--open-mode=append"]),
        *further_options(profile),
    ]


def further_options(profile: ClusterProfile) -> list[str]:
    """The block of the profile's own options, if it has any."""
    comment = "sbatch_options of the cluster profile."
    return [directive_block(comment, profile.sbatch_options)] if profile.sbatch_options else []


def directive_block(comment: str, options: list[str] | tuple[str, ...]) -> str:
    """`#SBATCH` lines under a comment."""
    lines = [f"#SBATCH {option}" for option in options]
    return "\n".join([*([f"# {comment}"] if comment else []), *lines, ""])


def _environment(facts: JobFacts, profile: ClusterProfile) -> str:
    return "\n".join(
        [
            f"run={shlex.quote(str(facts.folder))}",
            "",
            *python_environment(profile, '"$run/code"'),
            "",
            "# The ranks meet on the first node, at a port of this job's own.",
            'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            f"MASTER_PORT=$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))",
            "export MASTER_ADDR MASTER_PORT",
            "",
            RESTARTS,
            'echo "navforge: job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restart $restarts, $(date +%FT%T%z)"',
            "",
        ]
    )


def python_environment(profile: ClusterProfile, code: str) -> list[str]:
    """Shell lines before Python starts: the profile's setup, the snapshot of the code, threads, temporary files.

    Args:
        profile: of the cluster.
        code: folder of the snapshot, as a word of the shell.
    """
    return [
        *(["# setup of the cluster profile.", *profile.setup, ""] if profile.setup else []),
        "# What runs is this snapshot of navforge, whatever becomes of the files it was taken from.",
        f'export PYTHONPATH={code}"${{PYTHONPATH:+:$PYTHONPATH}}"',
        "export PYTHONUNBUFFERED=1",
        "# One thread per process, unless told otherwise: more would compete for the CPUs.",
        'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"',
        *([f'export TMPDIR="{profile.scratch}"'] if profile.scratch is not None else []),
    ]


def _step(facts: JobFacts, profile: ClusterProfile) -> str:
    python = shlex.quote(profile.python or facts.python)
    options = ["--kill-on-bad-exit=1", f"--cpus-per-task={profile.cpus_per_rank}", "--label", *profile.srun_options]
    command = f'{python} -m navforge rank "$run"'
    if profile.scratch is not None:
        command = f"""bash -c 'mkdir -p "$TMPDIR" && exec "$@"' rank {command}"""
    return f"""\
# The one step: all ranks. When one dies the others are ended too (they would wait for it for ever). srun does not take
# the CPUs per task from the job by itself.
srun {" ".join(shlex.quote(option) for option in options)} \\
    {command}
status=$?
"""


def signal_near_limit(profile: ClusterProfile) -> str:
    """Option by which the ranks, and not the script, are told that the time limit is near."""
    return f"--signal=USR1@{profile.signal_lead_s}"


def ending(profile: ClusterProfile, job: str, again: str) -> str:
    """Shell lines after the step, whose exit status is in `$status`; `RESTARTS` stands before.

    Args:
        profile: of the cluster.
        job: this job, as a word of the shell.
        again: what makes the work go on by hand.
    """
    return f"""\
# Status {REQUEUE_ME}: a checkpoint is written, the work is not done. Slurm ends this script when it requeues the job.
if [ "$status" -eq {REQUEUE_ME} ]; then
    if [ "$restarts" -lt {profile.max_restarts} ]; then
        echo "navforge: stopped before the time limit; back into the queue, restart $((restarts + 1)) of at most\
 {profile.max_restarts}"
        scontrol requeue "{job}" && sleep {_REQUEUE_WAIT_S}
        echo "navforge: could not be requeued; to go on: {again}" >&2
    else
        echo "navforge: restarted $restarts times, which max_restarts allows; to go on: {again}" >&2
    fi
fi

# The job ends as its ranks did; without this Slurm would call it COMPLETED.
exit "$status"
"""

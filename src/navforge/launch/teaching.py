"""A teacher store made by a Slurm job array: each task makes the shards of some logs.

OUT/shards/slurm/array.sbatch, code/, logs/      the job, what it runs, what it says
OUT/shards/slurm/work.json                       what is to be made, and by which task
OUT/shards/slurm/job                             id of the array
OUT/shards/slurm/failed-TASK.json                logs that a task could not make, with the causes
"""

from __future__ import annotations

import heapq
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from navforge.core.errors import ConfigError, DataError, NavforgeError
from navforge.core.failures import FAILURES
from navforge.core.files import fingerprint, write_json, write_text
from navforge.core.screen import say
from navforge.launch import array, snapshot
from navforge.launch.array import ArrayFacts
from navforge.slurm import client as slurm
from navforge.slurm.profile import ClusterProfile
from navforge.teacher.shards import shard_path
from navforge.teacher.store import SHARDS
from navforge.teacher.teach import Item, Plan, Work, failed, teach_logs

WORK, JOB = "work.json", "job"


def folder_of(out: Path) -> Path:
    """Where the job of a store keeps its files."""
    return out.absolute() / SHARDS / "slurm"


def running_job(made: Plan) -> str | None:
    """Id of the array that makes this store now, if one does; also where its submission was cut off before the id.

    Raises:
        ConfigError: an array makes another store there.
        SlurmError: squeue gives no answer.
    """
    folder = folder_of(made.out)
    if not (folder / JOB).is_file():
        _adopt(made.out)
    if not (folder / JOB).is_file():
        return None
    job = (folder / JOB).read_text().strip()
    if not slurm.alive([job]):
        return None
    if json.loads((folder / WORK).read_text())["work"]["key"] != made.work.key:
        raise ConfigError(f"out: job {job} makes another store in {made.out}; cancel it (scancel {job}) or wait for it")
    return job


def _adopt(out: Path) -> None:
    """Write down the id of an array if the command that submitted it was cut off before that."""
    folder = folder_of(out)
    if (folder / WORK).is_file() and (found := slurm.named(job_name(out))):
        write_text(folder / JOB, f"{found[0].shown_as.partition('_')[0]}\n")


def job_name(out: Path) -> str:
    """Name of a store's array, the same for no other folder; letters, digits, - and _, as Slurm takes it."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", out.absolute().name)
    return f"teach-{readable}-{fingerprint(str(out.absolute()))}"


def submit(made: Plan, missing: Sequence[Item], profile: ClusterProfile, *, tasks: int, cpus: int, workers: int) -> str:
    """Submit an array for the shards that are missing; return its id.

    Args:
        made: the store to make.
        missing: its missing shards.
        profile: the cluster.
        tasks: most tasks of the array.
        cpus: CPUs of a task.
        workers: threads of a task; 0 one per CPU it may use.

    Raises:
        ConfigError: the cluster cannot do what is asked for.
        SlurmError: Slurm refused the job.
    """
    folder = folder_of(made.out)
    shares = share(missing, tasks)
    facts = ArrayFacts(
        folder=folder,
        name=job_name(made.out),
        command=("teach-task", str(made.out.absolute())),
        tasks=len(shares),
        cpus=cpus,
        directory=Path.cwd(),
        python=sys.executable,
    )
    script = array.array_script(facts, profile)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / array.LOGS).mkdir(parents=True)
    snapshot.take(folder / array.CODE)
    work = {"work": asdict(made.work), "logs": dict(missing), "tasks": shares, "workers": workers}
    write_json(folder / WORK, work)
    write_text(folder / array.SCRIPT, script)
    job = slurm.submit(folder / array.SCRIPT)
    write_text(folder / JOB, f"{job}\n")
    return job


def share(items: Sequence[Item], tasks: int) -> list[list[str]]:
    """Names of the logs of each task, scenes spread evenly: the largest log first, each to the task with the least."""
    loads = [(0, number) for number in range(min(tasks, len(items)))]
    shares: list[list[str]] = [[] for _ in loads]
    for log, tokens in sorted(items, key=lambda item: (-len(item[1]), item[0])):
        scenes, number = heapq.heappop(loads)
        shares[number].append(log)
        heapq.heappush(loads, (scenes + len(tokens), number))
    return shares


def run_task(out: Path, number: int) -> None:
    """Make the shards of one task of the array.

    Raises:
        DataError: there is no such work, or a log could not be made; all failures go into a file for `wait`.
    """
    folder = folder_of(out)
    try:
        found = json.loads((folder / WORK).read_text())
        work = Work(**found["work"])
        items = [(log, tuple(found["logs"][log])) for log in found["tasks"][number]]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{folder / WORK} holds no work for task {number} ({type(error).__name__}: {error})") from error
    _failed_file(folder, number).unlink(missing_ok=True)
    failures = []
    for outcome in teach_logs(items, work, workers=found["workers"]):
        say(f"log {outcome.item[0]}: {outcome.error or 'done'}", flush=True)
        if not outcome.ok:
            failures.append({"log": outcome.item[0], "error": outcome.error, "traceback": outcome.traceback})
            write_json(_failed_file(folder, number), failures)
    if failures:
        raise DataError(f"{len(failures)} of {len(items)} logs failed; the first: {failures[0]['log']}")


def wait(made: Plan, job: str) -> None:
    """Watch the array to its end.

    Raises:
        DataError: logs could not be made, or tasks ended without making theirs; names them.
        SlurmError: squeue has given no answer for minutes.
    """
    (made.out / FAILURES).unlink(missing_ok=True)
    array.watch(
        job,
        done=lambda: sum(shard_path(made.out, log).is_file() for log in made.logs),
        total=len(made.logs),
        label="teaching",
    )
    missing = {log for log, _ in made.missing()}
    if not missing:
        return
    folder = folder_of(made.out)
    failures = [failure for file in sorted(folder.glob("failed-*.json")) for failure in json.loads(file.read_text())]
    failures = [failure for failure in failures if failure["log"] in missing]
    ended = _ended_early(folder, job, missing - {failure["log"] for failure in failures})
    said = f"; tasks that ended early: {ended}" if ended else ""
    if failures:
        error = failed(made, failures)
        raise DataError(f"{error} (log of the task: {_log_of(folder, job, failures[0]['log'])}){said}")
    raise DataError(
        f"{len(missing)} of {len(made.logs)} logs are not scored{said}; finished logs are kept; run the same command "
        "again"
    )


def _ended_early(folder: Path, job: str, missing: set[str]) -> str:
    """Tasks whose logs are missing without a cause that they wrote down: how each ended, and its log."""
    told = []
    for number, logs in enumerate(json.loads((folder / WORK).read_text())["tasks"]):
        if missing & set(logs):
            told.append(f"{number} ({_end_of(job, number)}, {array.log_path(folder, job, number)})")
    return ", ".join(told)


def _end_of(job: str, number: int) -> str:
    """State of a task that ended, as far as Slurm tells."""
    try:
        known = [task.state for task in slurm.queue([job]) if number in array.numbers(task.shown_as)]
        known += [step.state for step in slurm.accounting([f"{job}_{number}"]) if step.step is None]
    except NavforgeError as error:
        return f"state unknown: {error}"
    return known[0] if known else "state unknown"


def _log_of(folder: Path, job: str, log: str) -> Path:
    tasks: list[list[str]] = json.loads((folder / WORK).read_text())["tasks"]
    return array.log_path(folder, job, next(number for number, logs in enumerate(tasks) if log in logs))


def _failed_file(folder: Path, number: int) -> Path:
    return folder / f"failed-{number}.json"

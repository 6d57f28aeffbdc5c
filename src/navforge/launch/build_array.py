"""The executor `slurm`: a job array, each task of which makes some pieces of a build (`core.build`).

OUT/slurm/array.sbatch, code/, logs/      the job, what it runs, what its tasks print
OUT/slurm/work.json, work.pickle          which task makes which pieces, for readers and for the tasks
OUT/slurm/job                             id of the array
OUT/slurm/results/PIECE.pickle            what became of a piece

The folder goes when all its pieces are made. Pieces are pickled, as for the workers of any pool: whoever can write
there could change the code that the tasks run as well.
"""

from __future__ import annotations

import heapq
import json
import pickle
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from navforge.core.build import Executor, Piece, Processes, Result
from navforge.core.errors import ConfigError, DataError, Deferred, NavforgeError
from navforge.core.files import atomic_path, fingerprint, write_json, write_text
from navforge.core.parallel import Outcome
from navforge.core.screen import say
from navforge.launch import array, snapshot
from navforge.launch.array import ArrayFacts
from navforge.slurm import client as slurm
from navforge.slurm.profile import ClusterProfile

WORK, PIECES, JOB, RESULTS = "work.json", "work.pickle", "job", "results"

Made = Outcome[Piece[Any], Result[Any]]


@dataclass(frozen=True, kw_only=True)
class SlurmArray:
    """The executor; see the module."""

    profile: ClusterProfile
    tasks: int
    """Most tasks of the array."""
    cpus: int
    """CPUs of a task."""
    gpus: int = 0
    """GPUs of a task."""
    wait: bool = True
    """Wait for the array; else raise `Deferred`."""
    within: Executor = field(default_factory=Processes)
    """What makes the pieces of a task; can be pickled."""

    def __call__(self, pieces: Sequence[Piece[Any]], label: str) -> Iterator[Made]:
        """Make pieces; also those of an array that an earlier command submitted.

        Raises:
            ConfigError: an array makes something else there, or the cluster cannot do what is asked for.
            SlurmError: Slurm refused the job, or squeue has given no answer for minutes.
            Deferred: `wait` is off.
        """
        out = pieces[0].out
        folder = folder_of(out)
        job = running_job(out, pieces)
        if job is not None:
            say(f"job {job} makes these logs already", flush=True)
        else:
            job = self._submit(pieces)
            say(f"job {job}: {len(pieces)} logs; its files: {folder}", flush=True)
        if not self.wait:
            raise Deferred(f"{out}: job {job} makes the logs; the same command, later, waits for it and finishes")
        results = [_result_path(folder, piece) for piece in pieces]
        array.watch(job, done=lambda: sum(path.is_file() for path in results), total=len(pieces), label=label)
        outcomes = list(map(partial(_outcome, folder, job), pieces))
        if all(outcome.result is not None and outcome.result.entry is not None for outcome in outcomes):
            shutil.rmtree(folder, ignore_errors=True)
        yield from outcomes

    def _submit(self, pieces: Sequence[Piece[Any]]) -> str:
        out = pieces[0].out
        folder = folder_of(out)
        shares = share(pieces, self.tasks)
        facts = ArrayFacts(
            folder=folder,
            name=job_name(out),
            command=("build-task", str(out.absolute())),
            tasks=len(shares),
            cpus=self.cpus,
            gpus=self.gpus,
            directory=Path.cwd(),
            python=sys.executable,
        )
        script = array.array_script(facts, self.profile)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / array.LOGS).mkdir(parents=True)
        snapshot.take(folder / array.CODE)
        _write_pickle(folder / PIECES, (self.within, shares))
        tasks = [{piece.name: piece.key for piece in pieces} for pieces in shares]
        write_json(folder / WORK, {"tasks": tasks})
        write_text(folder / array.SCRIPT, script)
        job = slurm.submit(folder / array.SCRIPT)
        write_text(folder / JOB, f"{job}\n")
        return job


def folder_of(out: Path) -> Path:
    """Where the array of a build keeps its files."""
    return out.absolute() / "slurm"


def running_job(out: Path, pieces: Sequence[Piece[Any]]) -> str | None:
    """Id of the array that makes the pieces now, if one does; also where its submission was cut off before the id.

    Raises:
        ConfigError: an array makes something else there.
        SlurmError: squeue gives no answer.
    """
    folder = folder_of(out)
    if not (folder / JOB).is_file() and (folder / WORK).is_file() and (named := slurm.named(job_name(out))):
        write_text(folder / JOB, f"{named[0].shown_as.partition('_')[0]}\n")
    if not (folder / JOB).is_file():
        return None
    job = (folder / JOB).read_text().strip()
    if not slurm.alive([job]):
        return None
    keys = {name: key for task in _tasks(folder) for name, key in task.items()}
    if any(keys.get(piece.name) != piece.key for piece in pieces):
        raise ConfigError(f"out: job {job} makes something else in {out}; cancel it (scancel {job}) or wait for it")
    return job


def job_name(out: Path) -> str:
    """Name of a folder's array, the same for no other folder; letters, digits, - and _, as Slurm takes it."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", out.absolute().name)
    return f"build-{readable}-{fingerprint(str(out.absolute()))}"


def share(pieces: Sequence[Piece[Any]], tasks: int) -> list[list[Piece[Any]]]:
    """Pieces of each task, scenes spread evenly: the largest piece first, each to the task with the least."""
    loads = [(0, number) for number in range(min(tasks, len(pieces)))]
    shares: list[list[Piece[Any]]] = [[] for _ in loads]
    for piece in sorted(pieces, key=lambda piece: (-piece.scenes, piece.name)):
        scenes, number = heapq.heappop(loads)
        shares[number].append(piece)
        heapq.heappush(loads, (scenes + piece.scenes, number))
    return shares


def run_task(out: Path, number: int) -> None:
    """Make the pieces of one task of the array; what a task that Slurm started again had made is kept.

    Raises:
        DataError: there is no such work, or a log could not be made; its result says why.
    """
    folder = folder_of(out)
    try:
        within, shares = pickle.loads((folder / PIECES).read_bytes())
        pieces: list[Piece[Any]] = shares[number]
    except (OSError, ValueError, IndexError, ImportError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{folder / PIECES} holds no work for task {number} ({type(error).__name__}: {error})"
        ) from error
    failed = []
    for outcome in within([piece for piece in pieces if not _result_path(folder, piece).is_file()], "building"):
        piece, result = outcome.item, outcome.result
        _write_pickle(_result_path(folder, piece), replace(outcome, item=None))
        cause = outcome.error if result is None else "; ".join(failure.error for failure in result.failures)
        say(f"log {piece.name}: {cause or 'done'}", flush=True)
        if result is None or result.entry is None:
            failed.append(piece.name)
    if failed:
        raise DataError(f"{len(failed)} of {len(pieces)} logs failed; the first: {failed[0]}")


def _outcome(folder: Path, job: str, piece: Piece[Any]) -> Made:
    """What a task wrote down of a piece; where it did not come to that, how it ended."""
    path = _result_path(folder, piece)
    if path.is_file():
        return replace(pickle.loads(path.read_bytes()), item=piece)
    number = next((number for number, task in enumerate(_tasks(folder)) if piece.name in task), None)
    if number is None:
        return Outcome(piece, None, f"job {job} does not make it; run the same command again", "")
    log = array.log_path(folder, job, number)
    return Outcome(piece, None, f"task {number} of job {job} ended early ({_end_of(job, number)}); its log: {log}", "")


def _end_of(job: str, number: int) -> str:
    """State of a task that ended, as far as Slurm tells."""
    try:
        known = [task.state for task in slurm.queue([job]) if number in array.numbers(task.shown_as)]
        known += [step.state for step in slurm.accounting([f"{job}_{number}"]) if step.step is None]
    except NavforgeError as error:
        return f"state unknown: {error}"
    return known[0] if known else "state unknown"


def _tasks(folder: Path) -> list[dict[str, str]]:
    """Names and keys of each task's pieces."""
    return json.loads((folder / WORK).read_text())["tasks"]


def _result_path(folder: Path, piece: Piece[Any]) -> Path:
    return folder / RESULTS / f"{piece.name}.pickle"


def _write_pickle(path: Path, value: object) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(value))

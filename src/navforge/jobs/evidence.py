"""What is known of the end of a run, gathered in one place: records, logs of the last start, Slurm's accounting."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.core.outside.files import open_regular, read_bytes
from navforge.core.outside.records import record
from navforge.core.outside.text import parse_json
from navforge.jobs.cluster import SlurmJob, ask
from navforge.jobs.state import State, state_of
from navforge.jobs.view import RunView, read_run
from navforge.runs.folder import DAMAGED, RunFolder
from navforge.slurm import client as slurm
from navforge.slurm.output import AccountedStep

COMMAND_FILE = "launch.provenance.json"
"""Written by `launch.start`, which cannot be imported here: it loads torch."""
LOG_BYTES = 4_000_000
"""Of a longer log only the end is read."""
_BEGINS = re.compile(r"^navforge: job \S+ on \S+, restart \d+")
"""Of the batch script, each time it starts (`launch.script`)."""
_RANK_BEGINS = re.compile(r"^=== .* UTC: attempt \d+, rank \d+ of \d+ on ")
"""Of a rank's log, each time it starts (`training.ranks.rank`)."""
_CANCELLED_AT = re.compile(r"\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT (\S+)")


@dataclass(frozen=True)
class Line:
    """A line that shows something."""

    source: str
    """File, relative to the run folder, or the command that printed it."""
    number: int
    """In the file, from 1; 0 for commands."""
    text: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.number}" if self.number else self.source
        return f"{place}: {self.text.strip()}"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of a run; pure data, so that rules are plain functions of it."""

    view: RunView
    state: State
    job: SlurmJob | None = None
    runs: tuple[AccountedStep, ...] = ()
    """Every run of the last job in the accounting, oldest first."""
    steps: tuple[AccountedStep, ...] = ()
    """Steps of the last run."""
    job_log: tuple[Line, ...] = ()
    """Of the last job's last run; of a local run: what its supervisor wrote."""
    rank_logs: dict[int, tuple[Line, ...]] = field(default_factory=dict)
    """Of the last start."""
    script: tuple[Line, ...] = ()
    """The batch script."""
    config: tuple[Line, ...] = ()
    """The resolved config."""
    command: tuple[str, ...] = ()
    """The command line the run was started with."""
    checkpoint: tuple[str, float] | None = None
    """Name of the newest checkpoint, and when it was written."""
    free_bytes: int | None = None
    """Room on the disk of the run folder, now."""
    notes: tuple[str, ...] = ()
    """What could not be asked."""
    now: float = 0.0

    @property
    def accounted(self) -> AccountedStep | None:
        """The last run of the job in the accounting."""
        return self.runs[-1] if self.runs else None

    def in_job_log(self, pattern: str) -> list[tuple[Line, re.Match[str]]]:
        """Lines of the job log that match, oldest first."""
        return _matches(self.job_log, pattern)

    def in_logs(self, pattern: str) -> list[tuple[Line, re.Match[str]]]:
        """Lines of any log that match: the job's first, then by rank."""
        found = self.in_job_log(pattern)
        for _, lines in sorted(self.rank_logs.items()):
            found += _matches(lines, pattern)
        return found

    def rank_lines(self, rank: int) -> list[tuple[Line, str]]:
        """What a rank printed, with its text: into its own log, and through `srun --label` into the job's."""
        labelled = self.in_job_log(rf"^{rank}: (.*)$")
        return [(line, match[1]) for line, match in labelled] + [
            (line, line.text) for line in self.rank_logs.get(rank, ())
        ]

    def record_line(self, path: Path, name: str) -> Line:
        """The line of a JSON record that holds a key."""
        for number, text in enumerate(_text(path).splitlines(), 1):
            if text.lstrip().startswith(f'"{name}":'):
                return Line(str(path.relative_to(self.view.folder.path)), number, text)
        return Line(str(path.relative_to(self.view.folder.path)), 0, "")

    def accounting_lines(self, *, steps: bool = True) -> tuple[Line, ...]:
        """What the accounting says of the last run, as `sacct` would show it."""
        last = (self.accounted,) if self.accounted is not None else ()
        return tuple(accounting_line(step) for step in (*last, *(self.steps if steps else ())))


def gather(folder: RunFolder) -> Evidence:
    """Read a run folder and ask Slurm.

    Raises:
        DataError: no run folder, or its record is damaged.
    """
    record = folder.read_record()
    if record.launch != "slurm" or not record.jobs:
        return assemble(folder)
    job = record.jobs[-1]
    answer = ask([job])
    notes = [answer.note] if answer.note else []
    rows: list[AccountedStep] = []
    try:
        rows = slurm.accounting([job])
    except NavforgeError as error:
        notes.append(f"the accounting of Slurm is not known: {error}")
    return assemble(folder, job=answer.jobs.get(job), rows=rows, notes=tuple(notes))


def assemble(
    folder: RunFolder,
    *,
    job: SlurmJob | None = None,
    rows: Sequence[AccountedStep] = (),
    notes: tuple[str, ...] = (),
    now: float | None = None,
) -> Evidence:
    """A run folder together with what Slurm said of its last job.

    Args:
        folder: the run.
        job: its last job in the queue or the accounting.
        rows: all runs and steps the accounting has of that job.
        notes: what could not be asked.
        now: s since 1970; default: the clock.
    """
    now = time.time() if now is None else now
    view = read_run(folder)
    started = job.started if job is not None and not job.waits else None
    if started is not None:
        view = view.since(started)
    runs, steps = last_run(rows)
    return Evidence(
        view=view,
        state=state_of(view, job, now=now),
        job=job,
        runs=runs,
        steps=steps,
        job_log=_job_log(folder, view.job, started),
        rank_logs={rank: _rank_log(folder, rank) for rank in range(view.record.world_size)},
        script=read_lines(folder.script, folder),
        config=read_lines(folder.config, folder),
        command=read_command(folder)[0],
        checkpoint=newest_checkpoint(folder),
        free_bytes=shutil.disk_usage(folder.path).free,
        notes=(*view.damaged, *notes),
        now=now,
    )


def last_run(rows: Sequence[AccountedStep]) -> tuple[tuple[AccountedStep, ...], tuple[AccountedStep, ...]]:
    """Runs of a job, and the steps of its last run, from all rows the accounting has of it."""
    runs = tuple(row for row in rows if row.step is None)
    start = runs[-1].start if runs else None
    return runs, tuple(row for row in rows if row.step is not None and start and row.start and row.start >= start)


def read_lines(path: Path, folder: RunFolder) -> tuple[Line, ...]:
    """Numbered lines of a text file, of its end if it is large; none where there is no file."""
    if not path.is_file():
        return ()
    name = str(path.relative_to(folder.path))
    with open_regular(path, "log", empty=True) as file:
        skipped = max(0, os.fstat(file.fileno()).st_size - LOG_BYTES)
        number = file.read(skipped).count(b"\n") if skipped else 0
        lines = file.read().decode("utf-8", errors="replace").split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return tuple(Line(name, number + i, line) for i, line in enumerate(shown, 1) if line.strip())


def newest_checkpoint(folder: RunFolder) -> tuple[str, float] | None:
    """Name of the newest checkpoint and when it was written."""
    checkpoints = [
        (path.name, path.stat().st_mtime)
        for path in folder.checkpoints.glob("*.ckpt")
        if not path.name.startswith(".") and path.name != DAMAGED
    ]
    return max(checkpoints, key=lambda item: item[1], default=None)


def accounting_line(step: AccountedStep) -> Line:
    """A row of the accounting as `sacct` shows it."""
    name = step.job if step.step is None else f"{step.job}.{step.step}"
    by = f" by {step.cancelled_by}" if step.cancelled_by is not None else ""
    rss = f"|MaxRSS {step.max_rss_bytes / 1e9:.2f} GB" if step.max_rss_bytes else ""
    nodes = f"|{step.node_list}" if step.node_list else ""
    return Line(f"sacct -j {step.job}", 0, f"{name}|{step.state}{by}|{step.exit_code}:{step.signal}{rss}{nodes}")


def slurm_time(text: str) -> float | None:
    """When Slurm wrote a line such as `*** JOB 3 ON gl001 CANCELLED AT <time> ***`, s since 1970."""
    match = _CANCELLED_AT.search(text)
    if not match:
        return None
    try:
        return datetime.fromisoformat(match[1]).timestamp()
    except ValueError:
        return None


def _job_log(folder: RunFolder, job: str | None, started: float | None) -> tuple[Line, ...]:
    """The log of a job from its last start on: behind the script's first line, and behind Slurm's last word before."""
    if job is None:
        return ()
    lines = read_lines(folder.job_log(job), folder)
    began = [i for i, line in enumerate(lines) if _BEGINS.search(line.text)]
    if started is not None:
        ends = ((i, slurm_time(line.text)) for i, line in enumerate(lines))
        began += [i + 1 for i, at in ends if at is not None and at <= started]
    return lines[max(began) :] if began else lines


@dataclass(frozen=True)
class _Provenance:
    """What is read of `launch.provenance.json`."""

    command: tuple[str, ...] = ()
    directory: str = ""


def read_command(folder: RunFolder) -> tuple[tuple[str, ...], str]:
    """The command line a run was started with, and in which directory; empty where it is not recorded."""
    try:
        # Ranks write train.provenance.json too, with the command of a rank.
        text = _text(folder.path / "launch.provenance.json") or _text(folder.path / COMMAND_FILE)
        provenance = record(_Provenance, parse_json(text or "{}"), newer=True)
    except ValueError:
        return (), ""  # damaged: as good as not recorded
    return provenance.command, provenance.directory


def _rank_log(folder: RunFolder, rank: int) -> tuple[Line, ...]:
    """The log of a rank from its last start on."""
    lines = read_lines(folder.rank_log(rank), folder)
    began = [i for i, line in enumerate(lines) if _RANK_BEGINS.search(line.text)]
    return lines[began[-1] :] if began else lines


def _matches(lines: tuple[Line, ...], pattern: str) -> list[tuple[Line, re.Match[str]]]:
    found = ((line, re.search(pattern, line.text)) for line in lines)
    return [(line, match) for line, match in found if match]


def _text(path: Path) -> str:
    return read_bytes(path, "record", empty=True).decode("utf-8", errors="replace") if path.is_file() else ""

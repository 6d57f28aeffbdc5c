"""What is known of the end of a run, gathered in one place: records, logs of the last start, Slurm's accounting."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.jobs.cluster import SlurmJob, ask
from navforge.jobs.state import State, state_of
from navforge.jobs.view import RunView, read_run
from navforge.launch import slurm
from navforge.launch.slurm_output import AccountedStep
from navforge.runs.folder import RunFolder

LOG_BYTES = 4_000_000
"""Of a longer log only the end is read."""
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
    checkpoint: tuple[str, float] | None = None
    """Name of the newest checkpoint, and when it was written."""
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
    now = time.time()
    view = read_run(folder)
    job: SlurmJob | None = None
    rows: list[AccountedStep] = []
    notes = list(view.damaged)
    if view.record.launch == "slurm" and view.job is not None:
        answer = ask([view.job])
        job = answer.jobs.get(view.job)
        notes += [answer.note] if answer.note else []
        try:
            rows = slurm.accounting([view.job])
        except NavforgeError as error:
            notes.append(f"no accounting: {error}")
    runs, steps = last_run(rows)
    if job is not None and not job.waits and job.started is not None:
        view = view.since(job.started)
    return Evidence(
        view=view,
        state=state_of(view, job, now=now),
        job=job,
        runs=runs,
        steps=steps,
        job_log=_job_log(folder, view.job, job.started if job is not None and not job.waits else None),
        rank_logs={rank: _rank_log(folder, rank) for rank in range(view.record.world_size)},
        script=read_lines(folder.script, folder),
        config=read_lines(folder.config, folder),
        checkpoint=newest_checkpoint(folder),
        notes=tuple(notes),
        now=now,
    )


def last_run(rows: list[AccountedStep]) -> tuple[tuple[AccountedStep, ...], tuple[AccountedStep, ...]]:
    """Runs of a job, and the steps of its last run, from all rows the accounting has of it."""
    runs = tuple(row for row in rows if row.step is None)
    start = runs[-1].start if runs else None
    return runs, tuple(row for row in rows if row.step is not None and start and row.start and row.start >= start)


def read_lines(path: Path, folder: RunFolder) -> tuple[Line, ...]:
    """Numbered lines of a text file, of its end if it is large; none where there is no file."""
    if not path.is_file():
        return ()
    name = str(path.relative_to(folder.path))
    with open(path, "rb") as file:
        skipped = max(0, os.fstat(file.fileno()).st_size - LOG_BYTES)
        number = file.read(skipped).count(b"\n") if skipped else 0
        lines = file.read().decode("utf-8", errors="replace").split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return tuple(Line(name, number + i, line) for i, line in enumerate(shown, 1) if line.strip())


def newest_checkpoint(folder: RunFolder) -> tuple[str, float] | None:
    """Name of the newest checkpoint and when it was written."""
    found = [(path.name, path.stat().st_mtime) for path in folder.checkpoints.glob("*.ckpt")]
    return max(found, key=lambda item: item[1], default=None)


def accounting_line(step: AccountedStep) -> Line:
    """A row of the accounting as `sacct` shows it."""
    name = step.job if step.step is None else f"{step.job}.{step.step}"
    by = f" by {step.cancelled_by}" if step.cancelled_by is not None else ""
    rss = f"|MaxRSS {step.max_rss_bytes / 1e9:.2f} GB" if step.max_rss_bytes else ""
    nodes = f"|{step.node_list}" if step.node_list else ""
    return Line(f"sacct -j {step.job}", 0, f"{name}|{step.state}{by}|{step.exit_code}:{step.signal}{rss}{nodes}")


def said_at(text: str) -> float | None:
    """When Slurm wrote a line such as `*** JOB 3 ON gl001 CANCELLED AT <time> ***`, s since 1970."""
    found = _CANCELLED_AT.search(text)
    if not found:
        return None
    try:
        return datetime.fromisoformat(found[1]).timestamp()
    except ValueError:
        return None


def _job_log(folder: RunFolder, job: str | None, started: float | None) -> tuple[Line, ...]:
    """The log of a job without what its earlier runs wrote: up to the last line Slurm wrote before it started again."""
    if job is None:
        return ()
    lines = read_lines(folder.job_log(job), folder)
    if started is None:
        return lines
    earlier = [i for i, line in enumerate(lines) if (at := said_at(line.text)) is not None and at <= started]
    return lines[earlier[-1] + 1 :] if earlier else lines


def _rank_log(folder: RunFolder, rank: int) -> tuple[Line, ...]:
    return read_lines(folder.rank_log(rank), folder)


def _matches(lines: tuple[Line, ...], pattern: str) -> list[tuple[Line, re.Match[str]]]:
    found = ((line, re.search(pattern, line.text)) for line in lines)
    return [(line, match) for line, match in found if match]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

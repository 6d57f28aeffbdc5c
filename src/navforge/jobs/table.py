"""The table of `navforge jobs`: one line per run, as many columns as the terminal holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from navforge.core.durations import write_duration
from navforge.core.errors import DataError
from navforge.jobs.cluster import Answer, SlurmJob, ask
from navforge.jobs.state import ACTIVE, STATES, State, state_of
from navforge.jobs.units import clock, fold_names, gigabytes, significant
from navforge.jobs.view import RunView, find_runs, read_run
from navforge.runs.status import RankStatus

COLOURS = {
    "queued": "cyan",
    "starting": "blue",
    "training": "green",
    "validating": "green",
    "stopped": "yellow",
    "failed": "red",
    "finished": "bright_black",
    "lost": "red",
    "unknown": "yellow",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of the table."""

    name: str
    view: RunView
    state: State
    job: SlurmJob | None


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All runs under a folder at one moment, those that go on or wait first."""

    root: Path
    time: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def survey(root: Path) -> Survey:
    """Read every run under a folder and ask Slurm once for all of them.

    Raises:
        DataError: the root is not a folder.
    """
    views: list[RunView] = []
    notes: list[str] = []
    for folder in find_runs(root):
        try:
            views.append(read_run(folder))
        except DataError as error:
            notes.append(str(error))
    answer = slurm_answer(views)
    now = time.time()
    rows = [
        Row(name=_name(view, root), view=view, state=state_of(view, job, now=now), job=job)
        for view in views
        for job in [answer.of(view)]
    ]
    notes += [note for view in views for note in view.damaged]
    rows.sort(key=lambda row: (row.state.ended, row.name))
    return Survey(root=root, time=now, rows=tuple(rows), notes=(*notes, *([answer.note] if answer.note else [])))


def slurm_answer(views: Sequence[RunView]) -> Answer:
    """What Slurm knows of the last jobs of the runs that it runs, or in whose jobs they run."""
    return ask([view.slurm_job for view in views if view.slurm_job is not None])


def render(survey: Survey, width: int) -> RenderableType:
    """The table with its notes, `width` characters wide."""
    notes = [Text(f"note: {note}", style="yellow") for note in survey.notes]
    if not survey.rows:
        return Group(Text(f"no runs under {survey.root}; navforge train out=FOLDER makes one"), *notes)
    columns = [column for column in COLUMNS if any(column.cell(row, survey.time) for row in survey.rows)]
    while len(columns) > 1 and _width(columns, survey) > width:
        columns.remove(max(columns, key=lambda column: column.rank))
    table = Table(box=None, pad_edge=False, header_style="bold", width=None)
    for column in columns:
        room = None if column.least is None else width - _width([c for c in columns if c is not column], survey) - 2
        justify = "right" if column.number else "left"
        table.add_column(column.title, justify=justify, no_wrap=True, overflow="ellipsis", max_width=room)
    for row in survey.rows:
        style = COLOURS[row.state.name]
        table.add_row(
            *(Text(column.cell(row, survey.time), style=style if column.title == "state" else "") for column in columns)
        )
    return Group(table, Text(_legend(survey, columns), style="bright_black"), *notes)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it shows of a run."""

    title: str
    cell: Callable[[Row, float], str]
    rank: int
    """Those of the highest rank go first where the terminal is narrow."""
    number: bool = False
    least: int | None = None
    """Narrowest width a cell may be cut to; None: never cut."""


def _legend(survey: Survey, columns: Sequence[Column]) -> str:
    counts = [(name, sum(row.state.name == name for row in survey.rows)) for name in STATES]
    parts = [", ".join(f"{count} {name}" for name, count in counts if count)]
    titles = {column.title for column in columns}
    parts += ["waits: share of the step spent waiting for data"] if "waits" in titles else []
    parts += ["memory: largest rank/fullest node"] if {"host GB", "GPU GB"} & titles else []
    return f"{datetime.fromtimestamp(survey.time):%H:%M:%S}  " + "; ".join(parts)


def _width(columns: Sequence[Column], survey: Survey) -> int:
    widest = [max([len(c.title), *(len(c.cell(row, survey.time)) for row in survey.rows)]) for c in columns]
    needed = [width if c.least is None else min(width, c.least) for c, width in zip(columns, widest, strict=True)]
    return sum(needed) + 2 * (len(columns) - 1)


def _name(view: RunView, root: Path) -> str:
    path = view.folder.path
    return path.name if path == root else str(path.relative_to(root))


def _job(row: Row, _: float) -> str:
    launch = row.view.record.launch
    job = row.view.slurm_job
    return launch if job is None else f"slurm {job}"


def _where(row: Row, _: float) -> str:
    record = row.view.record
    nodes = row.job.nodes if row.job is not None else ""
    nodes = nodes or fold_names(beat.node for beat in row.view.statuses.values())
    return f"{nodes or f'{record.nodes} node' + 's' * (record.nodes > 1)} x {record.devices}"


def _epoch(row: Row, _: float) -> str:
    lead = row.view.lead
    return f"{min(lead.epoch + 1, lead.epochs)}/{lead.epochs}" if lead is not None and lead.epochs else ""


def _step(row: Row, _: float) -> str:
    lead = row.view.lead
    return f"{lead.step}/{lead.total_steps}" if lead is not None and lead.total_steps else ""


def _lead_value(name: str, write: Callable[[float], str]) -> Callable[[Row, float], str]:
    """A value of the lead's heartbeat; speeds only while the run is active."""

    def cell(row: Row, _: float) -> str:
        lead = row.view.lead
        value = getattr(lead, name) if lead is not None else None
        if value is None or (name != "loss" and row.state.name not in ACTIVE):
            return ""
        return write(value)

    return cell


def _memory(name: str) -> Callable[[Row, float], str]:
    """Memory of the largest rank and of the fullest node."""

    def cell(row: Row, _: float) -> str:
        beats = row.view.statuses.values()
        if row.state.name not in ACTIVE or not any(getattr(beat, name) for beat in beats):
            return ""
        return f"{gigabytes(max(getattr(beat, name) for beat in beats))}/{gigabytes(max(per_node(beats, name)))}"

    return cell


def per_node(beats: Iterable[RankStatus], name: str) -> list[int]:
    """Sum of a memory figure over the ranks of each node."""
    sums: dict[str, int] = {}
    for beat in beats:
        sums[beat.node] = sums.get(beat.node, 0) + getattr(beat, name)
    return list(sums.values())


def _end(row: Row, now: float) -> str:
    """When a run ends, or why it does not go on."""
    lead = row.view.lead
    if row.state.name not in ACTIVE or lead is None or lead.eta_s is None:
        return row.state.note
    left = max(0.0, lead.eta_s - (now - lead.time))
    limit = row.job.ends if row.job is not None else None
    late = f"limit {clock(limit, now)}" if limit is not None and now + left > limit else ""
    end = f"{write_duration(left)} ({clock(now + left, now)})"
    return "; ".join(part for part in (end, row.state.note, late) if part)


def _restarts(row: Row, _: float) -> str:
    count = max(len(row.view.attempts) - 1, 0)
    return str(count) if count else ""


COLUMNS = (
    Column(title="run", cell=lambda row, _: row.name, rank=0),
    Column(title="job", cell=_job, rank=8),
    Column(title="state", cell=lambda row, _: row.state.name, rank=1),
    Column(title="nodes", cell=_where, rank=11),
    Column(title="epoch", cell=_epoch, rank=5, number=True),
    Column(title="step", cell=_step, rank=3, number=True),
    Column(title="samples/s", cell=_lead_value("samples_per_s", significant), rank=6, number=True),
    Column(title="waits", cell=_lead_value("waiting", lambda share: f"{share:.0%}"), rank=10, number=True),
    Column(title="loss", cell=_lead_value("loss", significant), rank=4, number=True),
    Column(title="host GB", cell=_memory("host_bytes"), rank=7, number=True),
    Column(title="GPU GB", cell=_memory("gpu_bytes"), rank=9, number=True),
    Column(title="restarts", cell=_restarts, rank=12, number=True),
    Column(title="ends in, or why not", cell=_end, rank=2, least=22),
)
"""The last one takes the width the others leave."""

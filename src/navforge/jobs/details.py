"""Everything about one run on a page: `navforge jobs show RUN`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from navforge.core.durations import write_duration
from navforge.core.errors import NavforgeError
from navforge.jobs.checkpoints import SavedState, saved_states
from navforge.jobs.cluster import SlurmJob
from navforge.jobs.curves import finite, read_columns
from navforge.jobs.state import ACTIVE, State
from navforge.jobs.table import COLOURS, per_node
from navforge.jobs.units import clock, gigabytes, significant, sparkline
from navforge.jobs.view import RunView
from navforge.runs.status import RankStatus
from navforge.runs.training_record import TrainingRecord
from navforge.slurm import client as slurm

SHOWN_RANKS = 64


def page(view: RunView, state: State, job: SlurmJob | None, *, now: float, width: int = 100) -> RenderableType:
    """The page of a run.

    Args:
        view: its folder.
        state: what it is doing.
        job: Slurm's view of its last job.
        now: s since 1970.
        width: characters.
    """
    head = Text.assemble(
        (str(view.folder.path), "bold"), "  ", (state.name, f"bold {COLOURS[state.name]}"), f"  {state.note}"
    )
    parts: list[RenderableType] = [head, _facts(view, state, job, now)]
    for title, part in (
        ("curves", _curves(view, width)),
        ("ranks", _ranks(view, now)),
        ("memory as Slurm samples it", _slurm_memory(job, view)),
        ("starts", _starts(view, now)),
        ("checkpoints", _checkpoints(saved_states(view.folder), now)),
        ("files", _files(view)),
    ):
        if part is not None:
            parts += [Text(f"\n{title}", style="bold"), part]
    return Group(*parts, *(Text(f"note: {note}", style="yellow") for note in view.damaged))


def _grid(*titles: str, numbers: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black", show_header=bool(titles))
    for title in titles:
        table.add_column(title, justify="right" if title in numbers else "left", no_wrap=True)
    return table


def _facts(view: RunView, state: State, job: SlurmJob | None, now: float) -> Table:
    record, lead = view.record, view.lead
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bright_black", no_wrap=True)
    table.add_column(overflow="fold")
    cluster = f" on {record.cluster}" if record.cluster else ""
    ranks = f"{record.nodes} node{'s' * (record.nodes > 1)} x {record.devices}"
    table.add_row("planner", f"{record.agent}, {record.launch}{cluster}, {ranks}, created {record.created}")
    if record.jobs:
        where = f" on {job.nodes}" if job is not None and job.nodes else ""
        table.add_row("job", f"{record.jobs[-1]}{where}" + (f", {job.state}" if job is not None else ""))
    if job is not None and job.waits and job.started is not None:
        table.add_row("starts", f"expected {clock(job.started, now)}")
    if job is not None and job.ends is not None:
        table.add_row("time limit", f"{clock(job.ends, now)}, in {write_duration(job.ends - now)}")
    if lead is not None and lead.total_steps:
        epoch = f"epoch {min(lead.epoch + 1, lead.epochs)} of {lead.epochs}, " if lead.epochs else ""
        table.add_row("progress", f"{epoch}step {lead.step} of {lead.total_steps} ({lead.step / lead.total_steps:.0%})")
    if lead is not None and state.name in ACTIVE:
        rate = f"{significant(lead.samples_per_s)} samples/s" if lead.samples_per_s is not None else ""
        waits = f"{lead.waiting:.1%} of the time waiting for data" if lead.waiting is not None else ""
        if rate or waits:
            table.add_row("speed", ", ".join(part for part in (rate, waits) if part))
        if lead.eta_s is not None:
            left = max(0.0, lead.eta_s - (now - lead.time))
            table.add_row("ends", f"in {write_duration(left)}, {clock(now + left, now)}")
    if view.training is not None:
        for name, words in _training(view.training):
            table.add_row(name, words)
    if lead is not None and lead.corrupt_samples:
        table.add_row("corrupt", f"{lead.corrupt_samples} scenes could not be read and were left out")
    for failure in view.failures[:3]:
        text = failure.error.partition("\n")[0]
        table.add_row("failure", f"rank {failure.rank}, {failure.cause}: {text[:300]}")
    if view.failures or state.name in ("failed", "lost"):
        table.add_row("", f"navforge diagnose {view.folder.path}")
    return table


def _training(done: TrainingRecord) -> Iterator[tuple[str, str]]:
    """What a finished training came to, in words."""
    gpus = f", {significant(done.gpu_hours)} GPU hours" if done.gpu_hours else ""
    yield "trained", f"{write_duration(done.seconds)}{gpus}, {done.samples} samples seen"
    if done.val_loss is not None and done.loss_gap is not None:
        losses = f"loss {significant(done.train_loss)} in training, {significant(done.val_loss)} in validation"
        yield "last epoch", f"{losses}, gap {significant(done.loss_gap)}"
    if done.train_score is not None and done.val_score is not None and done.score_gap is not None:
        scores = f"score {significant(done.train_score)} in training, {significant(done.val_score)} in validation"
        yield "", f"{scores}, gap {significant(done.score_gap)}"
    elif done.val_score is not None:
        yield "", f"score {significant(done.val_score)} in validation"
    if done.epochs_to_90 is not None:
        reached = f"90 % after {done.epochs_to_90} epochs, 95 % after {done.epochs_to_95} epochs"
        yield "best score", f"{reached} (of the best validation score)"


def _curves(view: RunView, width: int) -> Table | None:
    steps = read_columns(view.folder.steps)
    epochs = read_columns(view.folder.path / "epochs.csv")
    history = read_columns(view.folder.history)
    curves = [
        ("loss by step", steps.get("loss", []), significant, None),
        *(
            (f"{name} by epoch", epochs[name], significant, None)
            for name in ("train/loss", "val/loss", "train/score", "val/score")
            if name in epochs
        ),
        ("samples/s", history.get("samples_per_s", []), significant, 0.0),
        ("waiting for data", history.get("waiting", []), lambda share: f"{share:.0%}", 0.0),
        ("host GB of rank 0", history.get("host_bytes", []), gigabytes, 0.0),
        ("GPU GB of rank 0", history.get("gpu_bytes", []), gigabytes, 0.0),
    ]
    table = _grid("", "first", "", "last", "lowest", "highest", numbers=("first", "lowest", "highest"))
    room = max(10, width - 70)
    for name, values, write, low in curves:
        shown = finite(values)
        if shown and any(shown):
            ends = (
                write(shown[0]),
                sparkline(shown, room, low),
                write(shown[-1]),
                write(min(shown)),
                write(max(shown)),
            )
            table.add_row(name, *ends)
    return table if table.row_count else None


def _ranks(view: RunView, now: float) -> RenderableType | None:
    beats = list(view.statuses.values())
    if not beats:
        return None
    numbers = ("rank", "pid", "step", "host GB", "GPU GB")
    table = _grid("rank", "node", "pid", "phase", "step", "host GB", "GPU GB", "heartbeat", numbers=numbers)
    for beat in beats[:SHOWN_RANKS]:
        table.add_row(
            str(beat.rank),
            beat.node,
            str(beat.pid),
            beat.phase,
            str(beat.step),
            gigabytes(beat.host_bytes),
            gigabytes(beat.gpu_bytes),
            f"{write_duration(now - beat.time)} ago",
        )
    lines = [Text(_sums(beats), style="bright_black")]
    if view.missing:
        lines.append(Text(f"no heartbeat from ranks {', '.join(map(str, view.missing[:SHOWN_RANKS]))}", style="yellow"))
    return Group(table, *lines)


def _sums(beats: list[RankStatus]) -> str:
    host, gpu = per_node(beats, "host_bytes"), per_node(beats, "gpu_bytes")
    return f"fullest node: {gigabytes(max(host))} GB of host memory, {gigabytes(max(gpu))} GB of GPU memory"


def _slurm_memory(job: SlurmJob | None, view: RunView) -> RenderableType | None:
    if job is None or not job.runs or view.slurm_job is None:
        return None
    try:
        steps = [step for step in slurm.running_steps([view.slurm_job]) if step.max_rss_bytes]
    except NavforgeError as error:
        return Text(f"not known: {error}", style="yellow")
    if not steps:
        return None
    table = _grid("step", "tasks", "largest task", "on", numbers=("tasks",))
    for step in steps:
        task = f"task {step.max_rss_task} of " if step.max_rss_task is not None else ""
        amount = f"{gigabytes(step.max_rss_bytes or 0)} GB"
        table.add_row(f"{step.job}.{step.step}", str(step.tasks), amount, f"{task}{step.max_rss_node or ''}")
    return table


def _starts(view: RunView, now: float) -> Table | None:
    if not view.attempts:
        return None
    table = _grid("start", "when", "job", "ranks", "from step", numbers=("start", "ranks", "from step"))
    for attempt in view.attempts:
        when = f"{datetime.fromtimestamp(attempt.time):%Y-%m-%d %H:%M:%S} ({write_duration(now - attempt.time)} ago)"
        step = str(attempt.resumed_step)
        table.add_row(str(attempt.attempt), when, attempt.job or "", str(attempt.world_size), step)
    return table


def _checkpoints(states: list[SavedState], now: float) -> RenderableType:
    if not states:
        return Text("none yet")
    table = _grid("", "epochs done", "step", "written", "MB", numbers=("epochs done", "step", "MB"))
    for state in states:
        epoch = "?" if state.epoch is None else str(state.epoch)
        step = "?" if state.step is None else str(state.step)
        table.add_row(state.name, epoch, step, f"{write_duration(now - state.written)} ago", f"{state.bytes / 1e6:.1f}")
    return table


def _files(view: RunView) -> Table:
    folder = view.folder
    meanings = (
        (folder.config, "resolved config"),
        (folder.path / "launch.provenance.json", "versions, git state, command"),
        (folder.script, "batch script"),
        (folder.steps, "loss by step"),
        (folder.path / "epochs.csv", "learning curves by epoch"),
        (folder.history, "throughput and memory over time"),
        (folder.path / "preflight.json", "what preflight found"),
        (folder.logs, "logs of jobs and ranks: navforge jobs logs"),
        (folder.path / "tensorboard", "tensorboard --logdir"),
    )
    table = _grid()
    table.add_column(no_wrap=True)
    table.add_column(style="bright_black")
    for path, meaning in meanings:
        if path.exists():
            table.add_row(str(path.relative_to(folder.path)), meaning)
    return table

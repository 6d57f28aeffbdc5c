"""A plan for people: one row per option, what its figures rest on, what would measure the unknown ones, the best."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from navforge.cluster_plan.plan import Option, Work
from navforge.cluster_plan.predict import Shape
from navforge.core.device import CPU
from navforge.jobs.units import clock, significant
from navforge.launch.script import where
from navforge.preflight.duration import hours
from navforge.preflight.estimate import Estimate
from navforge.slurm.profile import ClusterProfile, read_profile

MEASURE_MINUTES = 10
"""Time limit of the job that measures: a preflight takes about one, a large split and a busy node some more."""


def show(
    options: Sequence[Option], work: Work, words: Sequence[str], console: Console, *, root: Path, now: float
) -> None:
    """Print the plan.

    Args:
        options: soonest first.
        work: what there is to do.
        words: keys of the run as the user gave them, for the commands.
        console: to print on.
        root: where reports of preflights are looked for.
        now: s since 1970, of the plan.
    """
    validated = f", {work.val_scenes} validated on" if work.val_scenes else ""
    console.print(f"{work.config.title}: {work.config.train.epochs} epochs of {work.scenes} scenes{validated}")
    console.print(_table([option for option in options if option.place.refusal is None], work, now))
    refused = [f"{_name(option)}: {option.place.refusal}" for option in options if option.place.refusal is not None]
    _list(console, "Not possible", refused)
    _list(console, "To measure an unknown speed, then plan again", list(_measuring(options, words, root)))
    console.print(_best(options, words, now), soft_wrap=True)


def train_command(words: Sequence[str], cluster: str, shape: Shape) -> str:
    """The command that starts a run on a cluster in a shape; keys of a planner or of a pre-training."""
    verb = "pretrain" if any(word.startswith("method=") for word in words) else "train"
    launch = ["launch=slurm", f"cluster={cluster}", f"nodes={shape.nodes}", f"devices={shape.devices}"]
    return shlex.join(["navforge", verb, *words, *launch])


def measure_command(words: Sequence[str], profile: ClusterProfile, report: Path, *, gpus: bool) -> str:
    """The command that measures a rank on a cluster and leaves the report where plans look.

    Args:
        words: keys of the run.
        profile: of the cluster.
        report: JSON file of the report.
        gpus: whether ranks train on GPUs.
    """
    gres = [f"--gres={profile.gres(1)}"] if gpus else []
    size = [
        f"--cpus-per-task={profile.cpus_per_rank}",
        f"--mem={profile.job_memory_gb(1)}G",
        f"--time={MEASURE_MINUTES}",
    ]
    return shlex.join(
        [
            "srun",
            *where(profile),
            *gres,
            *size,
            *profile.sbatch_options,
            "navforge",
            "preflight",
            *words,
            f"json={report}",
        ]
    )


def to_dict(option: Option) -> dict[str, Any]:
    """Plain values of an option."""
    return {
        "cluster": option.cluster,
        "nodes": option.shape.nodes,
        "devices": option.shape.devices,
        "samples_per_s": _ends(option.rate.samples_per_s),
        "basis": option.rate.basis,
        "training_s": _ends(option.training_s),
        "wait_s": _ends(option.place.wait_s),
        "ends": _ends(option.ends),
        "refusal": option.place.refusal,
        "notes": list(option.notes),
    }


def _ends(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [estimate.value, estimate.low, estimate.high]


def _table(options: Sequence[Option], work: Work, now: float) -> Padding:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("cluster", "shape", "scenes/step", "scenes/s", "training", "wait", "ends", "how sure"):
        table.add_column(name, no_wrap=name != "how sure", overflow="fold")
    train = work.config.train
    for option in options:
        table.add_row(
            option.cluster,
            str(option.shape),
            str(option.shape.ranks * train.accumulate * (train.batch_size or 0)),
            _written(option.rate.samples_per_s, significant),
            _written(option.training_s, hours),
            _wait(option),
            "unknown" if option.ends is None else option.ends.written(lambda moment: clock(moment, now)),
            "; ".join([option.rate.basis, *option.notes]),
        )
    return Padding(table, (1, 0, 1, 0))


def _written(estimate: Estimate | None, write: Any) -> str:
    return "unknown" if estimate is None else estimate.written(write)


def _wait(option: Option) -> str:
    wait = option.place.wait_s
    if wait is None:
        return "unknown"
    return f"at most {hours(wait.value)}" if wait.value >= 1.0 else "none"


def _name(option: Option) -> str:
    return f"{option.cluster}, {option.shape}"


def _measuring(options: Sequence[Option], words: Sequence[str], root: Path) -> Iterator[str]:
    """One line per kind with an unknown speed."""
    done: set[str | None] = set()
    for option in options:
        if option.rate.samples_per_s is not None or option.place.refusal is not None or option.kind in done:
            continue
        if option.kind is None:
            yield f"gpu_type in the profile {option.cluster} says whose speed counts"
            continue
        done.add(option.kind)
        report = root / f"speed-{option.kind.lower()}.json"
        yield measure_command(words, read_profile(option.cluster), report, gpus=option.kind != CPU)


def _best(options: Sequence[Option], words: Sequence[str], now: float) -> str:
    best = next((option for option in options if option.ends is not None), None)
    if best is None or best.ends is None:
        return "No end can be predicted: each option lacks its speed or its wait."
    when = best.ends.written(lambda moment: clock(moment, now))
    return f"Soonest: {_name(best)}, ends {when}\n{train_command(words, best.cluster, best.shape)}"


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"{title}:")
        for line in lines:
            console.print(f"  {line}", soft_wrap=True)
        console.print()

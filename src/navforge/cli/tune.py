"""`navforge tune`: inference weights for a trained planner that chooses from a vocabulary, on a validation split."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from navforge.cli.keys.tune import Config
from navforge.cli.notices import warn
from navforge.data.splits import load_split
from navforge.evaluation.summary import console
from navforge.statistics.intervals import Interval
from navforge.tuning.config import TUNED
from navforge.tuning.run import tune_checkpoint
from navforge.tuning.tune import Tuning


def run(config: Config) -> None:
    """Tune, and say how sure it is."""
    split = load_split(config.split, config.data, allow_missing=config.allow_missing)
    warn(split)
    _print(tune_checkpoint(config, split), config)


def _print(tuning: Tuning, config: Config) -> None:
    table = Table(box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for name in ("weight", "before", "after", *(f"without fold {part}" for part in range(config.folds))):
        table.add_column(name, justify="left" if name == "weight" else "right", no_wrap=True)
    for name in tuning.factors:
        cells = [weights[name] for weights in (tuning.before, tuning.after, *tuning.fold_weights)]
        table.add_row(name, *(f"{value:.3g}" for value in cells))
    printer = console()
    printer.print(table)
    printer.print(
        f"{tuning.protocol} of the chosen entries on {tuning.scenes} scenes of {tuning.logs} logs, points: "
        f"{100 * tuning.score_before:.2f} before, {100 * tuning.score_after:.2f} after, "
        f"gain {_points(tuning.gain)}; on logs not searched {_points(tuning.held_out_gain)}",
        soft_wrap=True,
    )
    if not tuning.improved:
        printer.print(f"none of {tuning.sets} sets is better than the weights the planner has, which are kept")
    elif tuning.held_out_gain.mean <= 0:
        printer.print("the gain does not carry over to logs that were not searched: do not expect any elsewhere")
    printer.print(
        f"{tuning.sets} sets on {tuning.candidates:.1f} candidates per scene in {tuning.search_s:.1f} s; "
        f"{config.out / TUNED}: the planner with the weights found",
        soft_wrap=True,
    )


def _points(interval: Interval) -> str:
    mean = f"{100 * interval.mean:+.2f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} (95% over logs {100 * interval.low:+.2f} to {100 * interval.high:+.2f})"

"""What training took, and how soon and how tightly it converged, from `finished.json` of run folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from navforge.core.durations import write_duration
from navforge.reports.sections import Section
from navforge.runs.folder import RunFolder
from navforge.runs.training_record import read_training_record

_COLUMNS = ("hours", "gpu_hours", "epochs", "updates", "samples", "epochs_to_90", "loss_gap", "score_gap")


def cost_frame(runs: Mapping[str, Sequence[Path]]) -> pl.DataFrame:
    """One row per planner: means over its runs; null where a run has not finished or had nothing to measure it by.

    Columns `planner`, `runs`, `hours` and `gpu_hours` of one run, `epochs`, `updates`, `samples`, `epochs_to_90` (of
    the best validation score), `loss_gap` (validation less training), `score_gap` (training less validation, points).

    Args:
        runs: run folders of each planner, one per seed.

    Raises:
        DataError: a record is damaged.
    """
    rows = []
    for planner, folders in runs.items():
        records = [read_training_record(RunFolder(path)) for path in folders]
        each = [
            {
                "hours": one.seconds / 3600,
                "gpu_hours": one.gpu_hours,
                "epochs": one.epochs,
                "updates": one.updates,
                "samples": one.samples,
                "epochs_to_90": one.epochs_to_90,
                "loss_gap": one.loss_gap,
                "score_gap": None if one.score_gap is None else 100 * one.score_gap,
            }
            for one in records
            if one is not None
        ]
        values = {column: [row[column] for row in each] for column in _COLUMNS}
        whole = {column: len(records) == len(found) > 0 and None not in found for column, found in values.items()}
        means = {column: sum(found) / len(found) if whole[column] else None for column, found in values.items()}  # type: ignore[arg-type]
        rows.append({"planner": planner, "runs": len(folders), **means})
    numbers = dict.fromkeys(_COLUMNS, pl.Float64)
    return pl.DataFrame(rows, schema={"planner": pl.String, "runs": pl.Int64, **numbers})


def cost_section(costs: pl.DataFrame) -> Section:
    """The frame as a table."""
    digits = {"epochs": 0, "updates": 0, "samples": 0, "epochs_to_90": 1, "loss_gap": 3, "score_gap": 1}
    rows = tuple(
        (
            row["planner"],
            str(row["runs"]),
            *("-" if row[name] is None else write_duration(3600 * row[name]) for name in ("hours", "gpu_hours")),
            *("-" if row[name] is None else f"{row[name]:,.{places}f}" for name, places in digits.items()),
        )
        for row in costs.to_dicts()
    )
    heads = (
        "planner",
        "runs",
        "a run",
        "its GPUs",
        "epochs",
        "updates",
        "samples seen",
        "epochs to 90 %",
        "loss gap",
        "score gap",
    )
    note = (
        "Means over the runs of each planner; 90 % of its best validation score; loss of validation less training, "
        "score of training less validation in points, both of the last epoch"
    )
    return Section("Cost and convergence", note, heads, rows)

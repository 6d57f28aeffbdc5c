"""`navforge score`: score trajectories from a file, without an agent."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from navforge.cli.keys.score import Config
from navforge.cli.notices import warn
from navforge.core import provenance
from navforge.core.files import check_writable
from navforge.core.screen import say
from navforge.data.splits import load_split
from navforge.evaluation import further_metrics, summary, tables, trajectories
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.folder import metrics_beside
from navforge.evaluation.score import open_cache, score_split
from navforge.evaluation.tables import ScoreTable
from navforge.scoring.protocols import parse_protocols


def run(config: Config) -> None:
    """Read, check, score, measure and write; nothing is written if any scene fails."""
    given = trajectories.read(config.trajectories)
    for doubt in given.doubts:
        say(f"navforge: warning: {config.trajectories}: {doubt}", file=sys.stderr)
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    split.require_annotations()
    warn(split)
    cache = open_cache(config.cache, split, allow_missing=config.allow_missing)
    check_writable(config.out)
    failures, measured = config.out.with_suffix(".failures.json"), metrics_beside(config.out)
    try:
        table = score_split(
            given,
            split,
            cache,
            parse_protocols(config.protocol),
            human_filter=config.human_filter,
            traffic=config.traffic,
            extended_comfort=config.extended_comfort,
            allow_missing=config.allow_missing,
            workers=config.workers,
        )
    except ScenesFailedError as failed:
        for earlier in (config.out, measured):  # they must not pass for this run's
            earlier.unlink(missing_ok=True)
        failed.write(failures)
        raise
    failures.unlink(missing_ok=True)
    measured.unlink(missing_ok=True)
    tables.write(config.out, table)
    if table.metrics is not None:
        tables.write_metrics(config.out, table)
    provenance.record(config.out.parent, config, name=f"{config.out.stem}.score")
    _report(table, given.per_scene, config.out)


def _report(table: ScoreTable, per_scene: int, out: Path) -> None:
    console = summary.console()
    console.print(
        f"{out}: {table.frame.height} rows, {per_scene} trajectories per scene, {table.meta.coverage()}", soft_wrap=True
    )
    if not table.meta.complete:
        say(f"navforge: warning: not the whole split was scored: {table.meta.coverage()}", file=sys.stderr)
    if per_scene > 1:
        means = table.frame.group_by("protocol", maintain_order=True).agg(pl.col("score").mean()).rows()
        for name, mean in means:
            console.print(f"{name}: mean score of all trajectories {mean:.4f}")
        if not table.meta.extended_comfort:
            console.print("extended comfort is undefined for alternatives without a previous plan: weight dropped")
        return
    for printed in summary.render(summary.summarise(table), "trajectories"):
        console.print(printed)
    if table.metrics is not None:
        measured = further_metrics.summarise(table.metrics)
        console.print(summary.render_columns(measured, "trajectories: beside the score"))

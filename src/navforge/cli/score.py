"""`navforge score`: score trajectories from a file, without an agent."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from navforge.cli.notices import warn
from navforge.core import provenance
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.screen import say
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.evaluation import summary, tables, trajectories
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.score import SWITCH, open_cache, parse_protocols, score_split
from navforge.evaluation.tables import ScoreTable
from navforge.scoring.protocols import protocol
from navforge.scoring.traffic import LOG_REPLAY, TRAFFIC, check_traffic

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge score`."""

    split: str = key(help="folder under data.logs or path of a scene-filter .yaml the trajectories belong to")
    cache: Path = key(help="metric cache of the split (navforge cache)")
    trajectories: Path = key(
        help="npz file: tokens (S,), poses (S, N, T, 3) x m, y m, heading rad in the ego rear-axle frame, interval_s"
    )
    protocol: str = key("epdms_v2", "pdms_v1, epdms_v2 or epdms_v2_before_fix; several separated by commas")
    human_filter: str = key("auto", "forgive what the human also fails; auto: the protocol's own rule", choices=SWITCH)
    traffic: str = key(
        LOG_REPLAY,
        "what others do: log_replay, or reactive: vehicles react to the plan (v2 protocols)",
        choices=TRAFFIC,
    )
    extended_comfort: str = key(
        "auto",
        "compare trajectory n of a scene with n of the scene before; auto: if there is one trajectory per scene",
        choices=SWITCH,
    )
    out: Path = key(help="score table to write, .parquet")
    data: DataConfig = key(DataConfig, "where logs are")
    allow_missing: bool = key(False, "go on without scenes of the split that are not on disk; the table says so")
    workers: int = key(0, "processes; 0: one per CPU", low=0)

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown protocol, traffic it does not have, or an `out` that is no Parquet file."""
        check_traffic(self.traffic, map(protocol, parse_protocols(self.protocol)))
        if self.out.suffix != ".parquet":
            raise ConfigError(f"out: expected a path ending in .parquet, got {str(self.out)!r}")


def run(config: Config) -> None:
    """Read, check, score and write; nothing is written if any scene fails."""
    given = trajectories.read(config.trajectories)
    for doubt in given.doubts:
        say(f"navforge: warning: {config.trajectories}: {doubt}", file=sys.stderr)
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    split.require_annotations()
    warn(split)
    cache = open_cache(config.cache, split, allow_missing=config.allow_missing)
    failures = config.out.with_suffix(".failures.json")
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
        config.out.unlink(missing_ok=True)  # an earlier table must not pass for this run's
        failed.write(failures)
        raise
    failures.unlink(missing_ok=True)
    tables.write(config.out, table)
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

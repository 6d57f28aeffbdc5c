"""What a study will take and what it will be able to show, before anything is spent: predictions with ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core.errors import ConfigError, NavforgeError
from navforge.data.filters import read_filter
from navforge.data.official_filters import official_size
from navforge.data.paths import DataConfig
from navforge.runs.folder import RunFolder
from navforge.runs.training_record import read_training_record
from navforge.statistics.intervals import LEVEL
from navforge.statistics.power import detectable, expected_errors
from navforge.studies.graph import Graph, GridCell

S_PER_H = 3600.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What runs take."""

    hours: tuple[float, float, float]
    """Predicted, least and most; of one run."""
    source: str
    """What the prediction is from, in words."""
    gpus: int = 0
    """Of a run; 0: on CPUs."""
    disk_bytes: int | None = None
    """Of a run."""
    memory_bytes: int | None = None
    """Of the host, by a run."""


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """Size of a split, as far as its index says."""

    scenes: int | None
    logs: int | None


def split_size(split: str, data: DataConfig) -> SplitSize:
    """Scenes and logs that a scene filter names, official ones also without a file, or logs of a folder.

    Nothing is read from logs.

    Args:
        split: as verbs take it.
        data: where filters and logs are.
    """
    scenes, logs = split_names(split, data)
    if scenes is None and logs is None and (official := official_size(split.partition("@")[0])) is not None:
        return SplitSize(scenes=official[0], logs=official[1])
    return SplitSize(
        scenes=None if scenes is None else len(scenes), logs=None if logs is None or not logs else len(logs)
    )


def split_names(split: str, data: DataConfig) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """Tokens and names of logs of a split, as far as its filter or folder says; None where it does not."""
    name = split.partition("@")[0]
    try:
        filters = [Path(name)] if name.endswith((".yaml", ".yml")) else data.scene_filters(name)
        if filters:
            found = read_filter(filters[0])
            named = (found.tokens, found.log_names)
            scenes, logs = (None if names is None else frozenset(names) for names in named)
            return scenes, logs
    except NavforgeError:
        return None, None
    folder = None if data.logs is None else data.logs / name
    if folder is None or not folder.is_dir():
        return None, None
    return None, frozenset(path.stem for path in folder.glob("*.pkl"))


def require_no_overlap(trained: str, scored: str, data: DataConfig) -> None:
    """Raise ConfigError where a split that is scored has scenes of one that is trained on, as far as indices tell.

    Parts of a split at locations (`NAME@LOCATION`) are not looked into.
    """
    if "@" in trained or "@" in scored:
        return
    for what, first, second in zip(
        ("scenes", "logs"), split_names(trained, data), split_names(scored, data), strict=True
    ):
        if first is None or second is None:
            continue
        if shared := sorted(first & second):
            raise ConfigError(
                f"evaluate: {len(shared)} of {len(second)} {what} of {scored} are in {trained} too, which is trained "
                f"on ({shared[0]} for one); give another split"
            )
        return


def recorded(cells: tuple[GridCell, ...]) -> dict[str, Cost]:
    """What runs of each cell took whose first ones have finished, by name of the cell."""
    costs = {}
    for cell in cells:
        records = [record for run in cell.runs if run.done and (record := read_training_record(RunFolder(run.out)))]
        if records:
            hours = sorted(record.seconds / S_PER_H for record in records)
            costs[cell.name] = Cost(
                hours=(sum(hours) / len(hours), hours[0], hours[-1]),
                source=f"{len(records)} finished runs of it",
                gpus=round(records[0].gpu_hours / max(hours[0], 1e-9)),
                disk_bytes=max(_bytes(run.out) for run in cell.runs if run.done),
            )
    return costs


def assumed(graph: Graph, config: Any, size: SplitSize) -> Cost | None:
    """What a run takes at the speeds that the file assumes; None without them or where the split's size is unknown.

    Args:
        graph: of the study.
        config: of the run (`RunConfig`).
        size: of the split it trains on.
    """
    speeds = graph.study.assumed.samples_per_s
    if not speeds or size.scenes is None:
        return None
    samples = size.scenes * config.labels.fraction * config.train.epochs
    middle = (speeds[0] * speeds[1]) ** 0.5
    hours = samples / middle / S_PER_H, samples / speeds[1] / S_PER_H, samples / speeds[0] / S_PER_H
    words = f"assumed {speeds[0]:g} to {speeds[1]:g} scenes/s"
    return Cost(hours=hours, source=words, gpus=0 if config.train.accelerator == "cpu" else config.devices)


def detectable_difference(graph: Graph, logs: int) -> Iterator[tuple[tuple[int, int], float]]:
    """Seeds of both sides of planned comparisons, and the difference in points that 80 % of them will find.

    By the spreads that the file assumes, at the level of the first step of Holm's correction over all comparisons.

    Args:
        graph: of the study.
        logs: of the evaluation.
    """
    seeds = {cell.name: len(cell.seeds) for cell in graph.cells}
    level = 1 - (1 - LEVEL) / max(1, len(graph.comparisons))
    spreads = graph.study.assumed
    for pair in sorted({(seeds[one.first], seeds[one.second]) for one in graph.comparisons}):
        if min(pair) > 1:
            errors = expected_errors(
                logs=logs, log_sd=spreads.log_sd, seeds=pair, seed_sds=(spreads.seed_sd, spreads.seed_sd)
            )
            yield pair, detectable(errors, level=level)


def differing_keys(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Keys in which the runs of two cells differ."""
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

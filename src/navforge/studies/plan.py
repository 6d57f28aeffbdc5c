"""What a study will take and what it will be able to show, before anything is spent: predictions with ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from navforge.runs.folder import RunFolder
from navforge.runs.training_record import read_training_record
from navforge.statistics.intervals import LEVEL
from navforge.statistics.power import detectable, expected_errors
from navforge.studies.graph import Configure, Graph, GridCell
from navforge.studies.splits import SplitSize, split_size
from navforge.studies.state import WAITING, state_of
from navforge.training.loop.epochs import training_length

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
    memory_bytes: int | None = None
    """Of the host, by a run."""


Measure = Callable[[Any], Cost | None]
"""What a run of a config (`RunConfig`) will take, by measuring its steps; None where it cannot tell."""


def predictions(graph: Graph, configure: Configure, measure: Measure | None) -> dict[str, Cost]:
    """What a run of each cell will take: as finished runs did, as measured, or as assumed; others are left out.

    One run of each kind is measured; cells that differ in nothing but the label fraction are of one kind.

    Args:
        graph: of the study.
        configure: config of a verb from its words.
        measure: None: nothing is measured.
    """
    costs = recorded(graph.cells)
    kinds: dict[str, tuple[Cost, float] | None] = {}
    for cell in graph.cells:
        if cell.name in costs:
            continue
        run = cell.runs[0]
        config = configure(run.verb, run.words)
        kind = str({name: value for name, value in cell.explicit.items() if not name.startswith("labels.")})
        if kind not in kinds and measure is not None and state_of(graph, run) != WAITING:
            cost = measure(config)
            kinds[kind] = None if cost is None else (cost, config.labels.fraction)
        if (known := kinds.get(kind)) is not None:
            longer = 1.0 if config.train.updates else config.labels.fraction / known[1]
            first, low, high = (hours * longer for hours in known[0].hours)
            costs[cell.name] = replace(known[0], hours=(first, low, high))
        elif cost := assumed(graph, config, split_size(config.split, config.data)):
            costs[cell.name] = cost
    return costs


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
                gpus=round(records[0].gpu_hours * S_PER_H / max(records[0].seconds, 1e-9)),
            )
    return costs


def assumed(graph: Graph, config: Any, size: SplitSize) -> Cost | None:
    """What a run takes at the speeds that the file assumes; None without them, or where split or batch are unknown.

    Args:
        graph: of the study.
        config: of the run (`RunConfig`).
        size: of the split it trains on.
    """
    speeds = graph.study.assumed.samples_per_s
    if not speeds or size.scenes is None or None in (config.train.batch_size, config.train.loader_workers):
        return None
    scenes = round(size.scenes * config.labels.fraction)
    samples = training_length(scenes, config.train, config.nodes * config.devices).samples
    middle = (speeds[0] * speeds[1]) ** 0.5
    hours = samples / middle / S_PER_H, samples / speeds[1] / S_PER_H, samples / speeds[0] / S_PER_H
    words = f"assumed {speeds[0]:g} to {speeds[1]:g} scenes/s"
    gpus = 0 if config.train.accelerator == "cpu" else config.nodes * config.devices
    return Cost(hours=hours, source=words, gpus=gpus)


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

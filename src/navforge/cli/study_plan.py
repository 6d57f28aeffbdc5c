"""`navforge study plan FILE`: the grid, what is there of it, what it will take, and what it will be able to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from navforge.cli.keys.study_plan import Config
from navforge.cli.study_files import configure, read_graph, require_no_overlap_in
from navforge.core.screen import say, screen
from navforge.core.sizes import write_size
from navforge.preflight import submission
from navforge.reports.sections import Section, print_section
from navforge.studies.graph import STAGE, Graph, Node
from navforge.studies.plan import (
    S_PER_H,
    Cost,
    SplitSize,
    assumed,
    detectable_difference,
    differing_keys,
    recorded,
    split_size,
)
from navforge.studies.state import state_of, why
from navforge.training.run_config import RunConfig, run_part

NONE = "-"


def run(config: Config) -> None:
    """Print the tables."""
    graph = read_graph(config.study, config.out)
    require_no_overlap_in(graph)
    console = screen(width=160)
    say(f"{graph.study.name}: {graph.study.question}\n{graph.out}")
    costs = predictions(graph, measure=config.measure)
    for section in (_stages(graph), _cells(graph, costs), _comparisons(graph)):
        if section.rows:
            print_section(console, section)
    say("")
    for line in (*_sums(graph, costs), *_power(graph)):
        say(line)
    for warning in graph.warnings:
        say(f"warning: {warning}")


def predictions(graph: Graph, *, measure: bool) -> dict[str, Cost]:
    """What a run of each cell will take: as finished runs did, as measured, or as assumed; others are left out."""
    costs = recorded(graph.cells)
    kinds: dict[str, tuple[Cost, float] | None] = {}
    for cell in graph.cells:
        if cell.name in costs:
            continue
        wanted = run_config_of(cell.runs[0])
        kind = str({name: value for name, value in cell.explicit.items() if not name.startswith("labels.")})
        if kind not in kinds and measure and state_of(graph, cell.runs[0]) != "waits":
            cost = measured(wanted)
            kinds[kind] = None if cost is None else (cost, wanted.labels.fraction)
        if (known := kinds.get(kind)) is not None:
            costs[cell.name] = _scaled(known[0], wanted.labels.fraction / known[1])
        elif cost := assumed(graph, wanted, split_size(wanted.split, wanted.data)):
            costs[cell.name] = cost
    return costs


def measured(config: RunConfig) -> Cost | None:
    """What a run will take by the preflight's measurement; None where it cannot tell."""
    report = submission.run(config)
    figures = report.figures
    if "duration_s" not in figures:
        return None
    hours = (figures["duration_s"] / S_PER_H, *(bound / S_PER_H for bound in figures["duration_range_s"]))
    on_gpu = figures.get("measured_on") != "CPU"
    return Cost(
        hours=hours,
        source=f"steps measured on {figures.get('measured_on')}",
        gpus=config.devices if on_gpu else 0,
        memory_bytes=figures.get("host_bytes"),
    )


def _scaled(cost: Cost, factor: float) -> Cost:
    first, low, high = (factor * hours for hours in cost.hours)
    return dataclasses.replace(cost, hours=(first, low, high))


def run_config_of(node: Node) -> RunConfig:
    """The config of a cell's run."""
    wanted = run_part(configure(node.verb, node.words))
    assert isinstance(wanted, RunConfig), "cells are trained"
    return wanted


def _stages(graph: Graph) -> Section:
    nodes = [node for node in graph.nodes.values() if node.kind == STAGE]
    nodes += [node for by_split in graph.floors.values() for node in by_split.values()]
    rows = tuple((node.name, node.verb, ", ".join(node.needs) or NONE, *_state(graph, node)) for node in nodes)
    return Section("Stages and floors, each made once", "", ("name", "verb", "reads", "state", ""), rows, words=5)


def _state(graph: Graph, node: Node) -> tuple[str, str]:
    return state_of(graph, node), "" if node.done else why(graph, node)


def _cells(graph: Graph, costs: dict[str, Cost]) -> Section:
    rows = []
    for cell in graph.cells:
        cost = costs.get(cell.name)
        done = f"{sum(run.done for run in cell.runs)} of {len(cell.runs)}"
        scored = [f"{split} {sum(node.done for node in nodes)}" for split, nodes in cell.evaluations.items()]
        hours = "unknown" if cost is None else _range(cost.hours)
        rows.append((*cell.levels.values(), done, ", ".join(scored), hours, NONE if cost is None else cost.source))
    heads = (*graph.study.factors, "seeds trained", "evaluated", "h per run", "predicted from")
    return Section("Cells", "hours are predictions: most likely (range)", heads, tuple(rows), words=len(heads))


def _comparisons(graph: Graph) -> Section:
    cells = {cell.name: cell for cell in graph.cells}
    rows = tuple(
        (one.name, one.factor, ", ".join(differing_keys(cells[one.first].explicit, cells[one.second].explicit)))
        for one in graph.comparisons
    )
    note = "Each split and protocol is a family of all of them (Holm)"
    return Section("Comparisons", note, ("first - second", "factor", "keys that differ"), rows, words=3)


def _sums(graph: Graph, costs: dict[str, Cost]) -> Iterator[str]:
    left = [(cell, len([run for run in cell.runs if not run.done])) for cell in graph.cells]
    runs = sum(count for _, count in left)
    known = [(costs[cell.name], count) for cell, count in left if count and cell.name in costs]
    yield f"{runs} of {sum(len(cell.runs) for cell in graph.cells)} runs are left"
    if not runs:
        return
    if not known:
        yield "predicted: unknown until what runs read is there (study run makes it), or assumed.samples_per_s is given"
        return
    hours = [sum(count * cost.hours[place] for cost, count in known) for place in range(3)]
    gpu_hours = [sum(count * cost.gpus * cost.hours[place] for cost, count in known) for place in range(3)]
    of = sum(count for _, count in known)
    at_once = graph.study.launch.at_once
    yield (
        f"predicted for {of} of them: {_range(hours)} hours of runs, {at_once} of them at once; "
        f"{_range(gpu_hours)} GPU hours"
    )
    disk = [cost.disk_bytes * count for cost, count in known if cost.disk_bytes is not None]
    memory = [cost.memory_bytes for cost, _ in known if cost.memory_bytes is not None]
    if disk:
        yield f"predicted disk of runs: {write_size(sum(disk))}"
    if memory:
        yield f"predicted memory of a run: {write_size(max(memory))}"


def _power(graph: Graph) -> Iterator[str]:
    spreads = graph.study.assumed
    for split, keys in graph.study.evaluate.items():
        size = _evaluated(graph, split)
        logs = spreads.logs or size.logs
        if logs is None or logs < 2:
            yield f"detectable on {split}: unknown, as its logs are (assumed.logs gives them)"
            continue
        for pair, points in detectable_difference(graph, logs):
            yield (
                f"detectable on {split} ({keys.get('split')}, {logs} logs), {pair[0]} against {pair[1]} seeds: "
                f"{points:.1f} points in 80 % of cases, over {len(graph.comparisons)} comparisons; assumed spreads: "
                f"{spreads.seed_sd:g} points over seeds, {spreads.log_sd:g} over logs"
            )


def _evaluated(graph: Graph, split: str) -> SplitSize:
    node = graph.cells[0].evaluations[split][0]
    wanted: Any = configure(node.verb, node.words)
    return split_size(wanted.split, wanted.data)


def _range(values: list[float] | tuple[float, float, float]) -> str:
    middle, low, high = (f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values)
    return f"{middle} ({low} to {high})"

"""The plan of a study as text: stages, cells, comparisons, predicted cost, detectable difference."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from navforge.core.durations import write_duration
from navforge.core.sizes import write_size
from navforge.reports.sections import Section
from navforge.studies.graph import STAGE, Configure, Graph, Node
from navforge.studies.plan import S_PER_H, Cost, detectable_difference, differing_keys
from navforge.studies.splits import split_size
from navforge.studies.state import state_of, why

NONE = "-"


def plan_sections(graph: Graph, costs: Mapping[str, Cost]) -> list[Section]:
    """The tables that have rows.

    Args:
        graph: of the study.
        costs: predicted, of a run of each cell, by its name; others are unknown.
    """
    return [section for section in (_stages(graph), _cells(graph, costs), _comparisons(graph)) if section.rows]


def _stages(graph: Graph) -> Section:
    nodes = [node for node in graph.nodes.values() if node.kind == STAGE]
    nodes += [node for by_split in graph.floors.values() for node in by_split.values()]
    rows = tuple((node.name, node.verb, ", ".join(node.needs) or NONE, *_state(graph, node)) for node in nodes)
    return Section("Stages and floors, each made once", "", ("name", "verb", "reads", "state", ""), rows, words=5)


def _state(graph: Graph, node: Node) -> tuple[str, str]:
    if graph.takes_over(node):
        return state_of(graph, node), f"in {os.path.relpath(node.out)}"
    return state_of(graph, node), "" if node.done else why(graph, node)


def _cells(graph: Graph, costs: Mapping[str, Cost]) -> Section:
    rows = []
    for cell in graph.cells:
        cost = costs.get(cell.name)
        taken = sum(graph.takes_over(run) for run in cell.runs)
        done = f"{sum(run.done for run in cell.runs)} of {len(cell.runs)}" + (f", {taken} taken over" if taken else "")
        scored = [f"{split} {sum(node.done for node in nodes)}" for split, nodes in cell.evaluations.items()]
        hours = "unknown" if cost is None else _range(cost.hours)
        rows.append((*cell.levels.values(), done, ", ".join(scored), hours, NONE if cost is None else cost.source))
    heads = (*graph.study.factors, "seeds trained", "evaluated", "per run", "predicted from")
    return Section("Cells", "times are predictions: most likely (range)", heads, tuple(rows), words=len(heads))


def _comparisons(graph: Graph) -> Section:
    cells = {cell.name: cell for cell in graph.cells}
    rows = []
    for one in graph.comparisons:
        keys = differing_keys(cells[one.first].explicit, cells[one.second].explicit)
        rows.append((one.name, one.factor, ", ".join(keys) or "seeds alone"))
    note = "Each split and protocol is a family of all of them (Holm)"
    return Section("Comparisons", note, ("first - second", "factor", "keys that differ"), tuple(rows), words=3)


def sum_lines(graph: Graph, costs: Mapping[str, Cost]) -> Iterator[str]:
    """What all runs that are left will take, in words."""
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
    together = "" if at_once is None else f", {at_once} of them at once"
    yield f"predicted for {of} of them: {_range(hours)} of runs{together}; of GPUs: {_range(gpu_hours)}"
    disk = [cost.disk_bytes * count for cost, count in known if cost.disk_bytes is not None]
    memory = [cost.memory_bytes for cost, _ in known if cost.memory_bytes is not None]
    if disk:
        yield f"predicted disk of runs: {write_size(sum(disk))}"
    if memory:
        yield f"predicted memory of a run: {write_size(max(memory))}"


def detectable_lines(graph: Graph, configure: Configure) -> Iterator[str]:
    """What difference the planned comparisons will find, in words, with the spreads that are assumed.

    Args:
        graph: of the study.
        configure: config of a verb from its words.
    """
    spreads = graph.study.assumed
    for split, keys in graph.study.evaluate.items():
        node = graph.cells[0].evaluations[split][0]
        config = configure(node.verb, node.words)
        size = split_size(config.split, config.data)
        logs = spreads.logs or size.logs
        if logs is None or logs < 2:
            yield f"detectable on {split}: unknown, as its logs are (assumed.logs gives them)"
            continue
        for pair, points in detectable_difference(graph, logs):
            yield (
                f"detectable on {split} ({keys.get('split')}, {logs} logs), {pair[0]} against {pair[1]} seeds: "
                f"{points:.1f} points in 80 % of cases (comparisons: {len(graph.comparisons)}); assumed spreads: "
                f"{spreads.seed_sd:g} points over seeds, {spreads.log_sd:g} over logs"
            )


def _range(values: Sequence[float]) -> str:
    """Hours, predicted, least and most, in words."""
    middle, low, high = (write_duration(S_PER_H * value) for value in values)
    return f"{middle} ({low} to {high})"

"""The plan of a study as text: stages, cells, comparisons, predicted cost, detectable difference."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from navforge.core.durations import write_duration
from navforge.core.sizes import write_size
from navforge.reports.sections import Section
from navforge.studies.disk import Room
from navforge.studies.graph import EVALUATION_KIND, RUN, STAGE, Configure, Graph, Node
from navforge.studies.plan import S_PER_H, Cost, detectable_difference, differing_keys
from navforge.studies.splits import split_size
from navforge.studies.state import state_of, why

NONE = "-"
PREDICTED_SIZE = "sizes after ~ are predictions"


def plan_sections(graph: Graph, costs: Mapping[str, Cost], rooms: Mapping[str, Room]) -> list[Section]:
    """The tables that have rows.

    Args:
        graph: of the study.
        costs: predicted, of a run of each cell, by its name; others are unknown.
        rooms: of every node, by its name.
    """
    sections = (_stages(graph, rooms), _cells(graph, costs, rooms), _comparisons(graph))
    return [section for section in sections if section.rows]


def _stages(graph: Graph, rooms: Mapping[str, Room]) -> Section:
    nodes = [node for node in graph.nodes.values() if node.kind == STAGE]
    nodes += [node for by_split in graph.floors.values() for node in by_split.values()]
    rows = tuple(
        (node.name, node.verb, ", ".join(node.needs) or NONE, _size(rooms[node.name]), *_state(graph, node))
        for node in nodes
    )
    heads = ("name", "verb", "reads", "disk", "state", "")
    return Section("Stages and floors, each made once", PREDICTED_SIZE, heads, rows, words=6)


def _size(room: Room) -> str:
    if room.bytes is None:
        return "unknown"
    return write_size(room.bytes) if room.there else f"~ {write_size(room.bytes)}"


def _state(graph: Graph, node: Node) -> tuple[str, str]:
    if graph.takes_over(node):
        return state_of(graph, node), f"in {os.path.relpath(node.out)}"
    return state_of(graph, node), "" if node.done else why(graph, node)


def _cells(graph: Graph, costs: Mapping[str, Cost], rooms: Mapping[str, Room]) -> Section:
    rows = []
    for cell in graph.cells:
        cost = costs.get(cell.name)
        taken = sum(graph.takes_over(run) for run in cell.runs)
        done = f"{sum(run.done for run in cell.runs)} of {len(cell.runs)}" + (f", {taken} taken over" if taken else "")
        scored = [f"{split} {sum(node.done for node in nodes)}" for split, nodes in cell.evaluations.items()]
        hours = "unknown" if cost is None else _range(cost.hours)
        size = _size(rooms[cell.runs[-1].name])
        source = NONE if cost is None else cost.source
        rows.append((*cell.levels.values(), done, ", ".join(scored), size, hours, source))
    heads = (*graph.study.factors, "seeds trained", "evaluated", "disk of a run", "per run", "predicted from")
    note = f"times are predictions: most likely (range); {PREDICTED_SIZE}"
    return Section("Cells", note, heads, tuple(rows), words=len(heads))


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
    memory = [cost.memory_bytes for cost, _ in known if cost.memory_bytes is not None]
    if memory:
        yield f"predicted memory of a run: {write_size(max(memory))}"


def disk_line(graph: Graph, rooms: Mapping[str, Room]) -> str:
    """What the study takes on the disk, in words: what is there, and what is predicted of the rest by kind."""
    there = sum(room.bytes or 0 for room in rooms.values() if room.there)
    parts = [f"{write_size(there)} are there"]
    for kind, words in ((STAGE, "stages"), (RUN, "runs"), (EVALUATION_KIND, "evaluations")):
        left = [rooms[node.name].bytes for node in graph.nodes.values() if node.kind == kind and not node.done]
        known = [size for size in left if size is not None]
        if known:
            lacks = f" ({len(left) - len(known)} of {len(left)} unknown)" if len(known) < len(left) else ""
            parts.append(f"~ {write_size(sum(known))} of {words} to come{lacks}")
        elif left:
            parts.append(f"{words} to come unknown")
    return f"disk: {', '.join(parts)}"


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

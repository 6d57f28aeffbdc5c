"""`navforge study status FILE`: what is there of a study, from its folders; live on a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from navforge.cli.keys.study_status import Config
from navforge.cli.study_files import read_graph
from navforge.cli.study_slurm import queue_lines, queued_nodes
from navforge.core.errors import NavforgeError
from navforge.core.screen import screen
from navforge.jobs.state import ACTIVE
from navforge.jobs.state import state_of as state_of_run
from navforge.jobs.view import read_run
from navforge.launch.study_jobs import QueuedTask
from navforge.runs.folder import RunFolder
from navforge.studies.graph import RUNS, STAGE, Graph, Node
from navforge.studies.state import DONE, FAILED, NEW, RUNNING, STOPPED, WAITING, remedy, state_of, why

QUEUED = "queued"
COLOURS = {DONE: "bright_black", RUNNING: "green", STOPPED: "yellow", FAILED: "red", QUEUED: "cyan"}


def run(config: Config) -> None:
    """Show the table, once where standard output is not a terminal."""
    graph = read_graph(config.study, config.out)
    console = screen(width=160)
    if not (config.watch and console.is_terminal):
        console.print(render(graph, *_jobs(graph)))
        return
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(render(graph, *_jobs(graph)), refresh=True)
                time.sleep(config.every_s)
        except KeyboardInterrupt:
            return


def _jobs(graph: Graph) -> tuple[Mapping[str, QueuedTask], str]:
    """Tasks of Slurm that wait or run, by fingerprints of nodes; why they are not known, where that is so."""
    try:
        return queued_nodes(graph), ""
    except NavforgeError as error:
        return {}, f"jobs are not shown: {error}"


def render(graph: Graph, queued: Mapping[str, QueuedTask], note: str) -> RenderableType:
    """Stages, then a row for each cell and a column for each seed, then what failed.

    Args:
        graph: of the study.
        queued: tasks of Slurm that wait or run, by fingerprints of nodes.
        note: printed at the end.
    """
    stages = Table("stage or floor", "state", box=None, pad_edge=False, header_style="bright_black")
    nodes = [node for node in graph.nodes.values() if node.kind == STAGE]
    for node in [*nodes, *(node for by_split in graph.floors.values() for node in by_split.values())]:
        stages.add_row(node.name, _shown(graph, node, queued))
    most = max(len(cell.seeds) for cell in graph.cells)
    cells = Table(*graph.study.factors, *[""] * most, box=None, pad_edge=False, header_style="bright_black")
    for cell in graph.cells:
        seeds = []
        for place, (seed, node) in enumerate(zip(cell.seeds, cell.runs, strict=True)):
            text = Text(f"seed {seed}: ").append(_shown(graph, node, queued))
            for split, evaluations in cell.evaluations.items():
                if node.done:
                    text.append(f", {split} ").append(_shown(graph, evaluations[place], queued))
            seeds.append(text)
        cells.add_row(*cell.levels.values(), *seeds)
    done = sum(node.done for node in graph.nodes.values())
    failed = [node for node in graph.nodes.values() if state_of(graph, node) == FAILED]
    lines = [Text(f"{node.name}: {why(graph, node)}\n    {remedy(graph, node)}", style="red") for node in failed]
    notes = [Text(line) for line in queue_lines(queued)]
    notes += [Text(f"note: {note}", style="yellow")] if note else []
    return Group(stages, Text(), cells, Text(f"\n{done} of {len(graph.nodes)} done"), *lines, *notes)


def _shown(graph: Graph, node: Node, queued: Mapping[str, QueuedTask]) -> Text:
    task = None if node.done else queued.get(node.key)
    words = state = _in_job(state_of(graph, node), task)
    if state == RUNNING and node.verb in RUNS and RunFolder(node.out).record_file.is_file():
        view = read_run(RunFolder(node.out))
        run_state = state_of_run(view, None)
        if run_state.name in ACTIVE:
            words = run_state.name if view.lead is None else f"{run_state.name}, epoch {view.lead.epoch}"
    return Text(words if task is None else f"{words}, job {task.id}", style=COLOURS.get(state, ""))


def _in_job(state: str, task: QueuedTask | None) -> str:
    """State of a node that a task of Slurm may make: one that runs and shows no lock may lie where there are none."""
    if task is None or state == RUNNING:
        return state
    return {STOPPED: RUNNING, NEW: WAITING}.get(state, state) if task.runs else QUEUED

"""What is there of a study, from artefacts alone: nodes that are done, results, and why others are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from navforge.core.files import lock
from navforge.runs.folder import RunFolder
from navforge.studies.graph import RUNS, Graph, GridCell, Node
from navforge.studies.results import Cell, StudyResults

DONE, RUNNING, FAILED, STOPPED, WAITING, NEW = "done", "running", "failed", "stopped", "waits", "to do"
LOGS = "logs"
ERROR = "navforge: error: "
"""What the line of a verb that failed begins with."""
START = "navforge study starts, "
"""What the line begins with by which a study marks each start in a node's log."""
_TAIL_BYTES = 64 << 10


def log_path(out: Path, node: Node) -> Path:
    """What a node's verb printed, every start appended."""
    return out / LOGS / f"{node.out.relative_to(out).as_posix().replace('/', '.')}.log"


def state_of(graph: Graph, node: Node) -> str:
    """State of a node: where it is not done, whether it is being made, failed, was stopped, or lacks what it reads."""
    if node.done:
        return DONE
    log = log_path(graph.out, node)
    if log.is_file():
        if _is_held(log):
            return RUNNING
        return STOPPED if last_error(log) is None else FAILED
    return NEW if all(graph.nodes[name].done for name in node.needs) else WAITING


def why(graph: Graph, node: Node) -> str:
    """What the verb of a node that is not done said last, or what it waits for, in words; empty where it runs."""
    state = state_of(graph, node)
    if state == FAILED:
        return last_error(log_path(graph.out, node)) or ""
    if state == STOPPED:
        return "was stopped; the same command goes on"
    if state == WAITING:
        return f"waits for {', '.join(name for name in node.needs if not graph.nodes[name].done)}"
    return "" if state in (DONE, RUNNING) else "has not run"


def last_error(log: Path) -> str | None:
    """The error that the last start in a log ended with, without its beginning; None where it was stopped."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        if line.startswith(ERROR):
            return line.removeprefix(ERROR)
        if line.startswith(START):
            return None
    return None


def remedy(graph: Graph, node: Node) -> str:
    """The command that says more of a failed node, or its log."""
    if node.verb in RUNS and RunFolder(node.out).record_file.is_file():
        return f"navforge diagnose {os.path.relpath(node.out)}"
    return f"its log: {os.path.relpath(log_path(graph.out, node))}"


def results(graph: Graph) -> StudyResults:
    """What reports read of a study."""
    return StudyResults(
        name=graph.study.name,
        question=graph.study.question,
        factors={name: tuple(levels) for name, levels in graph.study.factors.items()},
        cells=tuple(_cell(graph, cell) for cell in graph.cells),
        comparisons=graph.comparisons,
        floors={
            name: {split: node.out for split, node in by_split.items() if node.done}
            for name, by_split in graph.floors.items()
        },
        splits=tuple(graph.study.evaluate),
    )


def _cell(graph: Graph, cell: GridCell) -> Cell:
    whole = {split: nodes for split, nodes in cell.evaluations.items() if all(node.done for node in nodes)}
    return Cell(
        name=cell.name,
        levels=cell.levels,
        seeds=cell.seeds,
        runs=tuple(node.out for node in cell.runs),
        evaluations={split: tuple(node.out for node in nodes) for split, nodes in whole.items()},
        missing=tuple(_missing(graph, [*cell.runs, *(node for nodes in cell.evaluations.values() for node in nodes)])),
    )


def _missing(graph: Graph, nodes: Sequence[Node]) -> Iterable[str]:
    for node in nodes:
        if not node.done:
            yield f"{node.name}: {why(graph, node) or RUNNING}"


def _is_held(log: Path) -> bool:
    """Whether a process that prints into a log, or one that it started, lives."""
    try:
        held = os.open(log, os.O_RDWR)  # NFS locks for writing only what is open for it
    except PermissionError:
        return False
    try:
        lock(held)
    except BlockingIOError:
        return True
    finally:
        os.close(held)
    return False

"""Room on the disk that a study takes: what is there as it lies there, the rest as predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.studies.graph import Configure, Graph, Node
from navforge.studies.splits import split_size

BytesWritten = Callable[[str, Any, int | None], int | None]
"""What a verb will write, by its name, its config and the scenes of its splits; None where that cannot be told."""


@dataclass(frozen=True)
class Room:
    """Bytes of a node."""

    bytes: int | None
    """None where they cannot be told."""
    there: bool
    """As they lie on the disk, not predicted."""


def rooms(graph: Graph, configure: Configure, bytes_written: BytesWritten) -> dict[str, Room]:
    """Of every node, by its name; one that is not done takes as much as its siblings of the same cell that are.

    Args:
        graph: of the study.
        configure: config of a verb from its words.
        bytes_written: predicts what is not there.
    """
    there = {node.name: folder_bytes(node.out) for node in graph.nodes.values() if node.done}
    siblings = _siblings(graph)
    found = {}
    for node in graph.nodes.values():
        if node.name in there:
            found[node.name] = Room(there[node.name], True)
            continue
        like = [there[name] for name in siblings.get(node.name, ()) if name in there]
        found[node.name] = Room(max(like) if like else _predicted(node, configure, bytes_written), False)
    return found


def _predicted(node: Node, configure: Configure, bytes_written: BytesWritten) -> int | None:
    config = configure(node.verb, node.words)
    splits = [split for name in ("split", "val_split") if (split := getattr(config, name, None)) is not None]
    sizes = [split_size(split, config.data).scenes for split in splits]
    return bytes_written(node.verb, config, sum(size or 0 for size in sizes) if sizes and None not in sizes else None)


def _siblings(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """Nodes that differ in the seed alone, by name."""
    groups = [nodes for cell in graph.cells for nodes in (cell.runs, *cell.evaluations.values())]
    return {node.name: tuple(one.name for one in nodes) for nodes in groups for node in nodes}


def folder_bytes(folder: Path) -> int:
    """Of all files in a folder; those with several names count once."""
    facts = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum({(one.st_dev, one.st_ino): one.st_size for one in facts}.values())

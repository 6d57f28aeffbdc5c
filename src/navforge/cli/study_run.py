"""`navforge study run FILE`: make what is missing of a study; the same command goes on wherever it was stopped."""

from __future__ import annotations

import os

from navforge.cli.keys.study_run import Config
from navforge.cli.study_files import configure, read_graph
from navforge.core import provenance
from navforge.core.files import sole_use
from navforge.core.screen import say
from navforge.preflight.machine import count_gpus
from navforge.studies.run import Slots, run_nodes
from navforge.studies.splits import require_no_overlap_in


def run(config: Config) -> int:
    """Make the nodes; 1 where some could not be made."""
    graph = read_graph(config.study, config.out)
    require_no_overlap_in(graph, configure)
    for warning in graph.warnings:
        say(f"warning: {warning}")
    at_once = config.at_once or graph.study.launch.at_once
    with sole_use(graph.out):
        provenance.record(graph.out, config, name="study")
        failed = run_nodes(graph, list(graph.nodes), Slots(at_once=at_once, gpus=_gpus()))
    done = sum(node.done for node in graph.nodes.values())
    say(f"{done} of {len(graph.nodes)} done; navforge study report {config.study} out={graph.out}")
    return 1 if failed else 0


def _gpus() -> tuple[str, ...]:
    """GPUs of this machine, as `CUDA_VISIBLE_DEVICES` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(map(str, range(count_gpus()))) if visible is None else tuple(filter(None, visible.split(",")))

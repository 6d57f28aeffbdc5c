"""What the verbs of studies share: the graph of a study file, each node's keys checked by its verb."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from navforge.cli.jobs import default_root
from navforge.cli.keys.studies import StudyLaunchKeys
from navforge.core import config as configs
from navforge.preflight.machine import count_gpus
from navforge.studies.graph import Graph, needs_slurm, unfold
from navforge.studies.study_file import read_study


def read_graph(study: Path, out: Path | None) -> Graph:
    """The graph of a study file in its folder; without one it is called like the file, among the runs."""
    return unfold(read_study(study), (out or default_root() / study.stem).absolute(), configure)


def graph_to_launch(config: StudyLaunchKeys) -> Graph:
    """The graph of a study that is launched as the command line says, and its file where that says nothing."""
    graph = read_graph(config.study, config.out)
    return replace(graph, study=replace(graph.study, launch=config.settings(graph.study.launch)))


def configure(verb: str, words: Sequence[str]) -> Any:
    """The config that a verb would run with; a run on several nodes is one that Slurm starts, whatever the cluster."""
    if needs_slurm(verb, words):
        words = [*words, "launch=slurm", "cluster=any"]
    keys = importlib.import_module(f"navforge.cli.keys.{verb.replace('-', '_')}")
    return keys.configure(words) if hasattr(keys, "configure") else configs.merge(keys.Config, words)


def visible_gpus() -> tuple[str, ...]:
    """GPUs of this machine that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(map(str, range(count_gpus()))) if visible is None else tuple(filter(None, visible.split(",")))

"""What the verbs of studies share: the graph of a study file, each node's keys checked by its verb."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from navforge.cli.jobs import default_root
from navforge.core import config as configs
from navforge.studies.graph import Graph, unfold
from navforge.studies.study_file import read_study


def read_graph(study: Path, out: Path | None) -> Graph:
    """The graph of a study file in its folder; without one it is called like the file, among the runs."""
    return unfold(read_study(study), (out or default_root() / study.stem).absolute(), configure)


def configure(verb: str, words: Sequence[str]) -> Any:
    """The config that a verb would run with."""
    keys = importlib.import_module(f"navforge.cli.keys.{verb.replace('-', '_')}")
    return keys.configure(words) if hasattr(keys, "configure") else configs.merge(keys.Config, words)

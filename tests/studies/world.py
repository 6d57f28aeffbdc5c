"""A small study file, as plain values and as text."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from navforge.cli.study_files import configure
from navforge.studies.graph import Graph, unfold
from navforge.studies.study_file import read_study

STUDY: dict[str, Any] = {
    "name": "heads",
    "question": "Which head?",
    "data": {"logs": "${town}/navsim_logs", "maps": "${town}/maps"},
    "stages": {
        "town": {"verb": "town", "scale": "tiny", "sensors": "none"},
        "cache train": {"verb": "cache", "split": "train"},
        "cache test": {"verb": "cache", "split": "test"},
    },
    "shared": {
        "agent": "ego_mlp",
        "split": "train",
        "val_split": "val",
        "cache": "${cache train}",
        "preflight": False,
        "train": {"epochs": 2, "accelerator": "cpu", "smoke_scenes": 0},
    },
    "factors": {
        "width": {"narrow": {"planner.head.hidden": 16}, "wide": {"planner.head.hidden": 32}},
        "labels": {"50 %": {"labels.fraction": 0.5}, "100 %": {}},
    },
    "seeds": [0, 1],
    "evaluate": {
        "test": {
            "split": "test",
            "cache": "${cache test}",
            "protocol": "pdms_v1,epdms_v2",
            "device": "cpu",
            "workers": 1,
        }
    },
    "comparisons": [{"first": {"width": "wide"}, "second": {"width": "narrow"}}],
    "floors": {"constant velocity": {"agent": "constant_velocity"}},
    "launch": {"at_once": 2},
}


def study(**changes: Any) -> dict[str, Any]:
    """The study with other values at the top."""
    return {**copy.deepcopy(STUDY), **changes}


def write(path: Path, values: dict[str, Any]) -> Path:
    """A study file."""
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def graph(tmp_path: Path, **changes: Any) -> Graph:
    """The graph of the study with other values at the top, its folder being OUT below the given one."""
    return unfold(read_study(write(tmp_path / "study.yaml", study(**changes))), tmp_path / "OUT", configure)

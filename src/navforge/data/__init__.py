"""Logs, scenes, sensor files and splits, as downloaded (or made by `navforge town`)."""

from navforge.data.filters import SceneFilter, read_filter
from navforge.data.logs import Frame, Log, read_log
from navforge.data.paths import DataConfig
from navforge.data.scenes import EgoStatus, Scene, read_scenes
from navforge.data.splits import Split, load_split

__all__ = [
    "DataConfig",
    "EgoStatus",
    "Frame",
    "Log",
    "Scene",
    "SceneFilter",
    "Split",
    "load_split",
    "read_filter",
    "read_log",
    "read_scenes",
]

"""Where logs, sensor files and maps lie: the one place that reads the environment names of the NAVSIM ecosystem."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import DataError

DATA_ROOT_VARIABLE = "OPENSCENE_DATA_ROOT"
MAPS_ROOT_VARIABLE = "NUPLAN_MAPS_ROOT"
DEVKIT_ROOT_VARIABLE = "NAVSIM_DEVKIT_ROOT"

DEVKIT_FILTERS = (
    "navsim/planning/script/config/common/train_test_split/scene_filter",
    "navsim/planning/script/config/common/scene_filter",
)
"""Folders of scene filters in a checkout of the devkit: v1.1 and later, and before."""

SPLIT_HELP = (
    "folder under data.logs, a scene-filter YAML, or the name of one in data.splits (navtest); "
    "@LOCATION: its part there"
)
"""What a key that names a split takes."""


def _below_data_root(folder: str) -> Path | None:
    root = os.environ.get(DATA_ROOT_VARIABLE)
    return Path(root).expanduser() / folder if root else None


def _maps_root() -> Path | None:
    root = os.environ.get(MAPS_ROOT_VARIABLE)
    return Path(root).expanduser() if root else None


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The config group `data` of every verb that reads logs."""

    logs: Path | None = key(
        lambda: _below_data_root("navsim_logs"),
        f"folder of log pickles, one subfolder per split (default ${DATA_ROOT_VARIABLE}/navsim_logs)",
    )
    sensors: Path | None = key(
        lambda: _below_data_root("sensor_blobs"),
        f"folder of camera and LiDAR files, one subfolder per split (default ${DATA_ROOT_VARIABLE}/sensor_blobs)",
    )
    maps: Path | None = key(_maps_root, f"folder of nuPlan maps (default ${MAPS_ROOT_VARIABLE})")

    splits: Path | None = key(
        None,
        f"folder of scene-filter .yaml files, for split=NAME; null: those of ${DEVKIT_ROOT_VARIABLE} and the "
        "current folder",
    )

    def scene_filters(self, name: str) -> list[Path]:
        """Existing files of the scene filter called `NAME.yaml`, one per folder, the preferred folder first.

        A `scene_filter` folder within comes first: beside it the devkit keeps other files of the same names.
        """
        paths = []
        for folder in self.filter_folders():
            places = [
                place / f"{name}{end}" for place in (folder / "scene_filter", folder) for end in (".yaml", ".yml")
            ]
            paths += [path for path in places if path.is_file()][:1]
        return paths

    def filter_folders(self) -> list[Path]:
        """Folders that are searched for scene filters.

        Raises:
            DataError: `data.splits` is not a folder.
        """
        if self.splits is not None:
            return [_existing(self.splits, "data.splits", "", "scene filters")]
        devkit = os.environ.get(DEVKIT_ROOT_VARIABLE)
        folders = [Path(devkit).expanduser() / folder for folder in DEVKIT_FILTERS] if devkit else []
        return [*folders, Path()]

    def log_root(self) -> Path:
        """The folder of logs; DataError if it is not set or not there."""
        return _existing(self.logs, "data.logs", DATA_ROOT_VARIABLE, "log pickles (navsim_logs)")

    def sensor_root(self) -> Path:
        """The folder of sensor files; DataError if it is not set or not there."""
        return _existing(self.sensors, "data.sensors", DATA_ROOT_VARIABLE, "sensor files (sensor_blobs)")

    def map_root(self) -> Path:
        """The folder of maps; DataError if it is not set or not there."""
        return _existing(self.maps, "data.maps", MAPS_ROOT_VARIABLE, "maps")


def _existing(path: Path | None, name: str, variable: str, what: str) -> Path:
    if path is None:
        raise DataError(f"no folder of {what} is known: set {name}=FOLDER or the environment variable {variable}")
    if not path.is_dir():
        source = f"{name} or {variable}" if variable else name
        raise DataError(f"the folder of {what} does not exist: {path} (from {source})")
    return path

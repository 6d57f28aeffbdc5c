"""Where logs, sensor files and maps lie: the one place that reads the environment names of the NAVSIM ecosystem."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import DataError

DATA_ROOT_VARIABLE = "OPENSCENE_DATA_ROOT"
MAPS_ROOT_VARIABLE = "NUPLAN_MAPS_ROOT"


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
        raise DataError(f"the folder of {what} does not exist: {path} (from {name} or {variable})")
    return path

"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("NAVFORGE_TEST_DATA", Path(__file__).parents[2] / "shared"))


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.exists():
        pytest.skip(f"{folder} not found beside the checkout (set NAVFORGE_TEST_DATA to the folder that holds it)")
    return path


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Two real logs with outputs of the official devkit; not part of the repository."""
    return _shared("realdata")


@pytest.fixture(scope="session")
def navsim_files() -> Path:
    """Public split and vocabulary files; not part of the repository."""
    return _shared("navsim-files")


@pytest.fixture(scope="session")
def real_cache(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The metric cache of the real logs, built once per test process; mark its tests `xdist_group("real_cache")`."""
    from navforge.caching.pool import cache_split  # noqa: PLC0415 (imports what most tests do not need)
    from navforge.data.paths import DataConfig  # noqa: PLC0415
    from navforge.data.splits import load_split  # noqa: PLC0415

    data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=realdata / "maps")
    out = tmp_path_factory.mktemp("real_cache")
    report = cache_split(load_split("real", data), data, out, workers=1)
    assert not report.failures
    return out


@pytest.fixture(scope="session")
def tiny_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny world with cameras and LiDAR (64 x 36 px), made once per test process.

    The folder serves as OPENSCENE_DATA_ROOT, its `maps` as NUPLAN_MAPS_ROOT; splits `train`, `val` and `test`. Mark
    tests that use it `xdist_group("tiny_town")`, and do not write into it.
    """
    from navforge.town.generate import SCALES, generate  # noqa: PLC0415 (imports what most tests do not need)
    from navforge.town.sensors import Rig  # noqa: PLC0415

    out = tmp_path_factory.mktemp("tiny_town")
    rig = Rig(width=64, height=36, lidar_columns=200)
    outcomes = list(generate(out, SCALES["tiny"], seed=0, sensors="all", sensor_frames="all", rig=rig, workers=1))
    assert all(outcome.ok for outcome in outcomes), [outcome.traceback for outcome in outcomes if not outcome.ok]
    return out

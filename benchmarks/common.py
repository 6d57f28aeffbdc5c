"""What benchmarks share: real scenes or a town, the public vocabulary, CPU time, the name of the processor."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from navforge.data.paths import DataConfig  # noqa: E402
from navforge.metric_cache.scene import CachedScene  # noqa: E402
from navforge.town.generate import generate  # noqa: E402
from navforge.town.scales import SCALES  # noqa: E402
from navforge.town.sensors import Rig  # noqa: E402
from tests.scoring.golden import scene_from_golden  # noqa: E402
from tests.scoring.scenes import random_plans, random_scene  # noqa: E402

SHARED = ROOT.parent / "shared"
"""Where real logs (`realdata`) and public files (`navsim-files`) lie, beside the checkout."""
REPEATS = 5
INTERVAL_S = 0.1
"""Between the poses of `vocabulary_poses`."""


def best_s(work: Callable[[], object], repeats: int = REPEATS, clock: Callable[[], float] = time.process_time) -> float:
    """Least seconds of several runs, after one that compiles and warms up; CPU time unless another clock is given."""
    work()
    taken = []
    for _ in range(repeats):
        started = clock()
        work()
        taken.append(clock() - started)
    return min(taken)


def scenes(shared: Path) -> list[CachedScene]:
    """The scenes of the stored whole-vocabulary results, or a crowded random one where they are absent."""
    stored = sorted((shared / "realdata" / "golden" / "v2_full8192").glob("full8192_*.npz"))
    if not stored:
        return [random_scene(np.random.default_rng(1))]
    return [scene_from_golden(shared / "realdata", path.stem.removeprefix("full8192_")) for path in stored]


def vocabulary_poses(shared: Path, count: int) -> np.ndarray:
    """(count, 40, 3) the first entries of the public vocabulary, or random plans where it is absent."""
    path = shared / "navsim-files" / "vocabulary_8192.npy"
    if path.exists():
        return np.load(path)[:count].astype(np.float64)
    return random_plans(np.random.default_rng(0), count)


def town(folder: Path, *, sensors: str = "none", sensor_frames: str = "all", workers: int = 1) -> DataConfig:
    """A tiny town with cameras of official size, written unless it is there.

    Raises:
        DataError: a log could not be made.
    """
    data = DataConfig(
        logs=folder / "navsim_logs",
        sensors=None if sensors == "none" else folder / "sensor_blobs",
        maps=folder / "maps",
    )
    rig = Rig(width=1920, height=1080)
    report = generate(
        folder, SCALES["tiny"], seed=0, sensors=sensors, sensor_frames=sensor_frames, rig=rig, workers=workers
    )
    if not report.complete:
        raise report.error()
    return data


def logs(shared: Path, scratch: Path) -> tuple[str, DataConfig]:
    """Split and roots of the real logs, or of a town written for the occasion; without sensors."""
    real = shared / "realdata"
    if real.exists():
        return "real", DataConfig(logs=real / "navsim_logs", sensors=None, maps=real / "maps")
    return "train", town(scratch / "town")


def machine() -> str:
    """Processor, Python and numpy."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"

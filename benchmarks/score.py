"""How many trajectories per second one core simulates and scores, and how long caching a scene takes.

Run from the repository: `python benchmarks/score.py [--shared DIR] [--plans N] [--protocol NAME]`. With the real logs
and the public vocabulary beside the checkout it times the scenes of the stored whole-vocabulary results and caches
those logs; without them, a crowded random scene and the logs of a town. The plain reference implementation of the tests
is timed in the same run, on a few plans.

Times are CPU seconds of this process (kernels run on one thread), the best of several repeats, so a busy machine
disturbs them little. Kernels are compiled before anything is timed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from navforge.caching.build import build_log  # noqa: E402
from navforge.caching.pool import cache_split  # noqa: E402
from navforge.data.paths import DataConfig  # noqa: E402
from navforge.data.splits import load_split  # noqa: E402
from navforge.metric_cache.scene import CachedScene, Devkit  # noqa: E402
from navforge.metric_cache.store import MetricCache  # noqa: E402
from navforge.scoring.engine import RASTER_FROM_PROPOSALS, score_plans, score_proposals  # noqa: E402
from navforge.scoring.prepare import prepare  # noqa: E402
from navforge.scoring.protocols import protocol  # noqa: E402
from navforge.simulation.plans import to_reference_poses  # noqa: E402
from navforge.simulation.rollout import simulate  # noqa: E402
from navforge.town.generate import SCALES, generate  # noqa: E402
from navforge.town.sensors import Rig  # noqa: E402
from tests.scoring.golden import scene_from_golden  # noqa: E402
from tests.scoring.reference import Reference  # noqa: E402
from tests.scoring.scenes import random_plans, random_scene  # noqa: E402
from tests.simulation.reference import simulate_one  # noqa: E402

INTERVAL_S = 0.1
REFERENCE_PLANS = 4
REPEATS = 5


def scenes(shared: Path) -> list[CachedScene]:
    """The scenes of the stored whole-vocabulary results, or a random one."""
    stored = sorted((shared / "realdata" / "golden" / "v2_full8192").glob("full8192_*.npz"))
    if not stored:
        return [random_scene(np.random.default_rng(1))]
    return [scene_from_golden(shared / "realdata", path.stem.removeprefix("full8192_")) for path in stored]


def plans(shared: Path, count: int) -> np.ndarray:
    """The first entries of the public vocabulary, or random plans."""
    path = shared / "navsim-files" / "vocabulary_8192.npy"
    if path.exists():
        return np.load(path)[:count].astype(np.float64)
    return random_plans(np.random.default_rng(0), count)


def best_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least CPU seconds of several runs, after one that compiles."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def measure(scene: CachedScene, poses: np.ndarray, name: str) -> dict[str, float]:
    """Trajectories per second by stage, and milliseconds of preparation, of one scene."""
    rules = protocol(name)
    count = len(poses)
    inputs = to_reference_poses(scene, poses, INTERVAL_S)
    states = simulate(scene.ego_state, inputs)
    prepared = prepare(scene)
    reference = Reference(scene, Devkit(rules.devkit))

    def reference_work() -> None:
        for one in inputs[:REFERENCE_PLANS]:
            reference.score(simulate_one(scene.ego_state, one))

    return {
        "interpolate": count / best_s(lambda: to_reference_poses(scene, poses, INTERVAL_S)),
        "simulate": count / best_s(lambda: simulate(scene.ego_state, inputs)),
        "score": count / best_s(lambda: score_proposals(prepared, states, rules)),
        "whole": count / best_s(lambda: score_plans(scene, poses, INTERVAL_S, [rules])),
        "one plan": 1.0 / best_s(lambda: score_plans(scene, poses[:1], INTERVAL_S, [rules]), 20),
        "prepare": 1e3 * best_s(lambda: prepare(scene, raster=count >= RASTER_FROM_PROPOSALS), 20),
        "reference": REFERENCE_PLANS / best_s(reference_work, 1),
    }


def logs(shared: Path, scratch: Path) -> tuple[str, DataConfig]:
    """Split and roots of the real logs, or of a town written for the occasion."""
    real = shared / "realdata"
    if real.exists():
        return "real", DataConfig(logs=real / "navsim_logs", sensors=None, maps=real / "maps")
    town = scratch / "town"
    made = generate(town, SCALES["tiny"], seed=0, sensors="none", sensor_frames="all", rig=Rig(), workers=1)
    failed = [outcome.error for outcome in made if not outcome.ok]
    if failed:
        raise RuntimeError(failed[0])
    return "train", DataConfig(logs=town / "navsim_logs", sensors=None, maps=town / "maps")


def measure_cache(split_name: str, data: DataConfig, scratch: Path) -> dict[str, float]:
    """CPU seconds and bytes per scene of the metric cache, and milliseconds to load a scene."""
    split = load_split(split_name, data, workers=1)
    build_s = sum(best_s(lambda log=log: build_log(split, data, log), 2) for log in split.logs)
    out = scratch / "cache"
    cache_split(split, data, out, workers=1)
    cache = MetricCache.open(out)
    load_s = sum(best_s(lambda log=log: cache.load_log(log), 3) for log in split.logs)
    stored = sum(path.stat().st_size for path in (out / "logs").iterdir())
    count = len(split)
    return {
        "scenes": count,
        "build s": build_s / count,
        "load ms": 1e3 * load_s / count,
        "kB": stored / count / 1e3,
    }


def print_cache(console: Console, split_name: str, found: dict[str, float]) -> None:
    """Caching, beside what loading saves."""
    table = Table(title=f"metric cache of {found['scenes']:.0f} scenes of {split_name}, one core, CPU time")
    for column in ("from log and map, s/scene", "from the cache, ms/scene", "ratio", "kB/scene"):
        table.add_column(column, justify="right")
    ratio = f"{1e3 * found['build s'] / found['load ms']:,.0f}x"
    table.add_row(f"{found['build s']:.4f}", f"{found['load ms']:.2f}", ratio, f"{found['kB']:.1f}")
    console.print(table)
    console.print(
        "reading the log, route, tracks, drivable map and PDM-Closed of both releases, the map file being "
        "open; ratio = build / load"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of realdata, navsim-files")
    parser.add_argument("--plans", type=int, default=8192)
    parser.add_argument("--protocol", default="epdms_v2")
    options = parser.parse_args()
    chosen = scenes(options.shared)
    poses = plans(options.shared, options.plans)
    table = Table(title=f"{len(poses)} plans per scene, {options.protocol}, one core: plans per CPU second")
    for column in ("scene", "objects", "interpolate", "simulate", "score", "whole", "reference", "ratio"):
        table.add_column(column, justify="left" if column == "scene" else "right", overflow="fold")
    table.add_column("one plan: scenes/s", justify="right")
    table.add_column("prepare ms", justify="right")
    for scene in chosen:
        found = measure(scene, poses, options.protocol)
        objects = scene.objects(protocol(options.protocol).devkit).valid.sum(axis=0).mean()
        rates = [f"{found[stage]:,.0f}" for stage in ("interpolate", "simulate", "score", "whole")]
        ratio = f"{found['whole'] / found['reference']:,.0f}x"
        table.add_row(
            scene.token[:8],
            f"{objects:.0f}",
            *rates,
            f"{found['reference']:.2f}",
            ratio,
            f"{found['one plan']:,.0f}",
            f"{found['prepare']:.2f}",
        )
    console = Console(width=140)
    console.print(table)
    console.print(
        "whole = interpolate + simulate + prepare + score + PDM-Closed reference + human filter; one plan: the same "
        "for a single plan.\n"
        f"reference = plain NumPy and shapely, {REFERENCE_PLANS} plans; ratio = whole / reference.\n"
        f"{cpu_model()}, Python {platform.python_version()}, numpy {np.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        split_name, data = logs(options.shared, Path(folder))
        print_cache(console, split_name, measure_cache(split_name, data, Path(folder)))


def cpu_model() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()

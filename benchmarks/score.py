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
import tempfile
from pathlib import Path

import numpy as np
from common import INTERVAL_S, SHARED, best_s, logs, machine, scenes, vocabulary_poses
from rich.console import Console
from rich.table import Table

from navforge.caching.build import build_log
from navforge.caching.pool import cache_split
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.metric_cache.scene import CachedScene, Devkit
from navforge.metric_cache.store import MetricCache
from navforge.scoring.engine import RASTER_FROM_PROPOSALS, score_plans, score_proposals
from navforge.scoring.prepare import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.rollout import simulate
from tests.scoring.reference import Reference
from tests.simulation.reference import simulate_one

REFERENCE_PLANS = 4


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
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of realdata, navsim-files")
    parser.add_argument("--plans", type=int, default=8192)
    parser.add_argument("--protocol", default="epdms_v2")
    options = parser.parse_args()
    chosen = scenes(options.shared)
    poses = vocabulary_poses(options.shared, options.plans)
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
        f"{machine()}"
    )
    with tempfile.TemporaryDirectory() as folder:
        split_name, data = logs(options.shared, Path(folder))
        print_cache(console, split_name, measure_cache(split_name, data, Path(folder)))


if __name__ == "__main__":
    main()

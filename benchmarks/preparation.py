"""What lies around scoring: metric caches, loading, preparation, evaluation of one plan per scene, memory.

Run from the repository: `python benchmarks/preparation.py [--shared DIR] [--plans N] [--official PYTHON]`. With the
real logs beside the checkout it takes their scenes, without them those of a town. Every line names a reference timed in
the same run: the plain NumPy and shapely implementation of the tests, or the way without the cache. `--official` names
an interpreter that has the official devkit, which is then timed as well; else its figures are those measured elsewhere
on the same real logs.

Times are CPU seconds of one process on one thread, the best of several repeats, after one that compiles.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import INTERVAL_S, SHARED, best_s, logs, machine, vocabulary_poses
from rich.console import Console
from rich.table import Table

from navforge.cache_builder.build import build_log
from navforge.cache_builder.pool import cache_split
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.geometry.columns import State
from navforge.metric_cache.container import read_arrays
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.log_file import write_log
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring.engine import score_plans
from navforge.scoring.prepare.scene import prepare
from navforge.simulation.plans import to_reference_poses
from tests.scoring.reference import Reference
from tests.simulation.reference import simulate_one

PROTOCOL = "epdms_v2"
PLAN_POSES, PLAN_INTERVAL_S = 8, 0.5
REFERENCE_SCENES = 4
OFFICIAL_COMPUTE_S, OFFICIAL_WRITTEN_S = 0.92, 1.09
"""Seconds per scene of the official devkit on the real logs, measured elsewhere: computing; with pickle and lzma."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A line of the table."""

    name: str
    value: float
    unit: str
    target: float | None
    at_most: bool
    """Whether less is better, and the target an upper bound."""
    reference: float
    reference_name: str

    @property
    def verdict(self) -> str:
        """Whether the target is met, in a word."""
        if self.target is None:
            return ""
        return "yes" if (self.value <= self.target if self.at_most else self.value >= self.target) else "NO"

    @property
    def ratio(self) -> float:
        """How many times better than the reference."""
        return self.reference / self.value if self.at_most else self.value / self.reference


def plan_of(scene: CachedScene) -> np.ndarray:
    """(1, 8, 3) straight on at the speed of the moment."""
    poses = np.zeros((1, PLAN_POSES, 3))
    poses[0, :, 0] = scene.ego_state[State.VELOCITY_X] * PLAN_INTERVAL_S * np.arange(1, PLAN_POSES + 1)
    return poses


def read_all(folder: Path) -> list[CachedScene]:
    """Every scene of a cache, from its files."""
    cache = MetricCache.open(folder)
    return [scene for log in cache.logs for scene in cache.load_log(log)]


def evaluate(folder: Path, human_filter: bool) -> None:
    """One plan per scene scored, from the files on."""
    for scene in read_all(folder):
        score_plans(scene, plan_of(scene), PLAN_INTERVAL_S, [PROTOCOL], human_filter)


def reference_s(scenes: list[CachedScene], human_filter: bool) -> float:
    """Seconds per scene of the plain implementation for plan, PDM-Closed reference and, with the filter, human."""

    def work() -> None:
        for scene in scenes[:REFERENCE_SCENES]:
            inputs = [to_reference_poses(scene, plan_of(scene), PLAN_INTERVAL_S)[0]]
            inputs.append(scene.pdm_reference_input[Devkit.V2])
            if human_filter and scene.human_poses is not None:
                inputs.append(to_reference_poses(scene, scene.human_poses[None], PLAN_INTERVAL_S)[0])
            reference = Reference(scene, Devkit.V2)
            for one in inputs:
                reference.score(simulate_one(scene.ego_state, one))

    return best_s(work, 1) / min(len(scenes), REFERENCE_SCENES)


def preparation_figures(folder: Path, build_s: float) -> list[Figure]:
    """Loading, preparation and evaluation; `build_s` per scene without the cache."""
    scenes = read_all(folder)
    count = len(scenes)

    def prepared(raster: bool) -> float:
        def work() -> None:
            for scene in read_all(folder):
                prepare(scene, raster=raster)

        return best_s(work) / count

    load_s = best_s(lambda: [scene.objects_v2.pose for scene in read_all(folder)]) / count
    figures = [
        _figure("load", 1e3 * load_s, "ms", None, 1e3 * build_s, "from log and map"),
        _figure("load and prepare, with raster", 1e3 * prepared(True), "ms", 4.0, 1e3 * build_s, "from log and map"),
        _figure("load and prepare, without", 1e3 * prepared(False), "ms", None, 1e3 * build_s, "from log and map"),
    ]
    for human_filter, words in ((False, "plan and reference"), (True, "plan, reference and human")):
        plain = 1.0 / reference_s(scenes, human_filter)
        rate = count / best_s(lambda human_filter=human_filter: evaluate(folder, human_filter))
        figures.append(
            Figure(
                name=f"load, prepare, score {words}",
                value=rate,
                unit="scenes/s",
                target=1000.0,
                at_most=False,
                reference=plain,
                reference_name="plain implementation",
            )
        )
    return figures


def _figure(name: str, value: float, unit: str, target: float | None, reference: float, reference_name: str) -> Figure:
    return Figure(
        name=name,
        value=value,
        unit=unit,
        target=target,
        at_most=True,
        reference=reference,
        reference_name=reference_name,
    )


def cache_figures(split_name: str, data: DataConfig, folder: Path, official: tuple[float, float]) -> list[Figure]:
    """Seconds and bytes per scene of the metric cache; the map is read before."""
    split = load_split(split_name, data, workers=1)
    count = len(split)
    scratch = folder.parent / "written"

    def written(log: str) -> None:
        write_log(scratch / f"{log}.nfc", build_log(split, data, log).record, {})

    scratch.mkdir()
    compute_s = sum(best_s(lambda log=log: build_log(split, data, log), 3) for log in split.logs) / count
    written_s = sum(best_s(lambda log=log: written(log), 3) for log in split.logs) / count
    files = sorted((folder / "logs").iterdir())
    stored = sum(path.stat().st_size for path in files) / count
    compute_target, written_target = OFFICIAL_COMPUTE_S / 50, OFFICIAL_WRITTEN_S / 50
    raw = sum(array.nbytes for file in files for array in read_arrays(file)[1].values()) / count
    return [
        _figure("metric cache, computed", 1e3 * compute_s, "ms", 1e3 * compute_target, 1e3 * official[0], "official"),
        _figure("metric cache, written", 1e3 * written_s, "ms", 1e3 * written_target, 1e3 * official[1], "official"),
        _figure("metric cache on disk", stored / 1e3, "kB", 60.0, raw / 1e3, "uncompressed"),
    ]


def official_s(python: str | None, shared: Path, tokens: list[str]) -> tuple[float, float, str]:
    """Seconds per scene of the official devkit, computing and with writing, and where they come from."""
    if python is None:
        return OFFICIAL_COMPUTE_S, OFFICIAL_WRITTEN_S, "measured elsewhere"
    real, vocabulary = shared / "realdata", shared / "navsim-files" / "vocabulary_8192.npy"
    command = [python, str(Path(__file__).with_name("official_devkit.py")), "--real", str(real)]
    command += ["--vocabulary", str(vocabulary), "--tokens", ",".join(tokens), "--plans", "1"]
    environment = {**os.environ, "NUPLAN_MAPS_ROOT": str(real / "maps")}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    seconds = float(np.mean([json.loads(line)["cache_s"] for line in printed.splitlines()]))
    return seconds, seconds + OFFICIAL_WRITTEN_S - OFFICIAL_COMPUTE_S, "computing measured in this run"


def worker(folder: Path, shared: Path, plans: int) -> None:
    """A scoring worker: scores a vocabulary in one scene and prints its peak of memory in bytes."""
    cache = MetricCache.open(folder)
    scene = cache.load(cache.tokens[0])
    empty = peak_bytes()
    score_plans(scene, vocabulary_poses(shared, plans), INTERVAL_S, [PROTOCOL])
    print(json.dumps([empty, peak_bytes()]))


def peak_bytes() -> int:
    """Peak memory of this process alone (`getrusage` also counts that of the process that started it)."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))


def memory_figure(folder: Path, shared: Path, plans: int) -> Figure:
    """Peak memory of a worker in a process of its own."""
    command = [sys.executable, __file__, "--worker", str(folder), "--shared", str(shared), "--plans", str(plans)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    empty, peak = (value / 1e9 for value in json.loads(printed))
    name = f"peak memory of a worker, {plans} plans"
    return _figure(name, peak, "GB", 1.5, empty, "before it scores")


def print_figures(figures: list[Figure], scenes: int, split: str, about_official: str) -> None:
    """The table."""
    table = Table(title=f"{scenes} scenes of {split}, {PROTOCOL}, per scene, one core, CPU time")
    for column in ("figure", "measured", "target", "met", "reference", "", "ratio"):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for one in figures:
        table.add_row(
            one.name,
            f"{_number(one.value)} {one.unit}",
            "" if one.target is None else f"{'<=' if one.at_most else '>='} {_number(one.target)}",
            one.verdict,
            _number(one.reference),
            one.reference_name,
            f"{_number(one.ratio)}x",
        )
    console = Console(width=140)
    console.print(table)
    console.print(f"ratio: times better than the reference; official: {about_official}\n{machine()}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of realdata, navsim-files")
    parser.add_argument("--plans", type=int, default=8192)
    parser.add_argument("--official", help="interpreter that has the official devkit")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.shared, options.plans)
        return
    with tempfile.TemporaryDirectory() as scratch:
        split_name, data = logs(options.shared, Path(scratch))
        split = load_split(split_name, data, workers=1)
        folder = Path(scratch) / "cache"
        cache_split(split, data, folder, workers=1)
        tokens = list(split.tokens)[:REFERENCE_SCENES]
        *official, about = official_s(options.official, options.shared, tokens)
        cached = cache_figures(split_name, data, folder, (official[0], official[1]))
        figures = preparation_figures(folder, 1e-3 * cached[0].value) + cached
        figures.append(memory_figure(folder, options.shared, options.plans))
        print_figures(figures, len(split), split_name, about)


if __name__ == "__main__":
    main()

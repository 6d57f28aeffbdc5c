"""How fast whole vocabularies are scored: one scene on one core, many scenes from their stored caches, rewards.

Run from the repository: `python benchmarks/vocabulary.py [--shared DIR] [--plans N] [--copies N] [--official PYTHON]`.
With the real logs and the public vocabulary beside the checkout it takes the scenes of the stored whole-vocabulary
results and copies of those logs; without them, a crowded random scene and the logs of a town.

Every figure stands beside a reference timed in the same run: the plain NumPy and shapely implementation of the tests
and, where `--official` names an interpreter that has it, the official devkit, both on some of the plans. One scene on
one core is CPU time of the best of several repeats; work on several cores is wall-clock time, so the machine should be
idle. Kernels are compiled before anything is timed. Figures of a GPU: `benchmarks/gpu_engine.py`; of preparation,
evaluation, caching and memory: `benchmarks/preparation.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import INTERVAL_S, SHARED, best_s, logs, machine, scenes, vocabulary_poses
from rich.console import Console
from rich.table import Table

from navforge.cache_builder.pool import cache_split
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.batch.scenes import prepare_batch
from navforge.scoring.library import score
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import prepare_plans, to_reference_poses
from navforge.teacher.build import teach
from navforge.vocabulary.vocabulary import Vocabulary
from tests.scoring.reference import Reference
from tests.simulation.reference import simulate_one

REFERENCE_PLANS = 4
OFFICIAL_PLANS = 64
REWARD_SCENES, REWARD_PLANS = 64, 64
TARGET_ONE_CORE, TARGET_TWO_CORES, TARGET_SCALING, TARGET_REWARD_MS = 300_000, 350_000, 1.85, 25.0
LOG_ENDING = ".pkl"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure beside what is aimed at."""

    work: str
    measured: str
    target: str
    met: bool


def one_scene(scene: CachedScene, poses: np.ndarray, name: str) -> dict[str, float]:
    """Trajectories per CPU second of one prepared scene, by the engine and by the plain implementation."""
    rules = protocol(name)
    plans, batch = prepare_plans(poses, INTERVAL_S), prepare_batch([scene], rules)
    inputs = to_reference_poses(scene, poses[:REFERENCE_PLANS], INTERVAL_S)
    reference = Reference(scene, Devkit(rules.devkit))

    def reference_work() -> None:
        for one in inputs:
            reference.score(simulate_one(scene.ego_state, one))

    return {
        "engine": len(poses) / best_s(lambda: score(batch, plans, rules, threads=1)),
        "plain": len(inputs) / best_s(reference_work, 1),
        "prepare ms": 1e3 * best_s(lambda: prepare(scene, rules.devkit), 20),
    }


def official_rates(python: str | None, shared: Path, tokens: list[str]) -> dict[str, float]:
    """Trajectories per CPU second of the official devkit by token; empty without an interpreter that has it."""
    if python is None:
        return {}
    real, vocabulary = shared / "realdata", shared / "navsim-files" / "vocabulary_8192.npy"
    command = [python, str(Path(__file__).with_name("official_devkit.py")), "--real", str(real)]
    command += ["--vocabulary", str(vocabulary), "--tokens", ",".join(tokens), "--plans", str(OFFICIAL_PLANS)]
    environment = {**os.environ, "NUPLAN_MAPS_ROOT": str(real / "maps")}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found = [json.loads(line) for line in printed.splitlines()]
    stages = ("interpolate_s", "simulate_s", "score_s")
    return {one["token"]: one["plans"] / sum(one[stage] for stage in stages) for one in found}


def scene_table(
    chosen: list[CachedScene], poses: np.ndarray, name: str, official: dict[str, float]
) -> tuple[Table, float]:
    """One row per scene, and the median of the engine's rates."""
    table = Table(title=f"{len(poses)} trajectories x 1 prepared scene, {name}, one core: trajectories per CPU second")
    columns = ("scene", "objects", "engine", "us each", "plain", "ratio", "official", "ratio", "prepare ms")
    for column in columns:
        table.add_column(column, justify="left" if column == "scene" else "right")
    rates = []
    for scene in chosen:
        found = one_scene(scene, poses, name)
        rates.append(found["engine"])
        devkit = official.get(scene.token)
        table.add_row(
            scene.token[:8],
            f"{scene.objects(protocol(name).devkit).valid.sum(axis=0).mean():.0f}",
            f"{found['engine']:,.0f}",
            f"{1e6 / found['engine']:.2f}",
            f"{found['plain']:.1f}",
            f"{found['engine'] / found['plain']:,.0f}x",
            "-" if devkit is None else f"{devkit:.1f}",
            "-" if devkit is None else f"{found['engine'] / devkit:,.0f}x",
            f"{found['prepare ms']:.2f}",
        )
    median = statistics.median(rates)
    table.caption = f"median {median:,.0f}"
    return table, median


def copied_logs(name: str, data: DataConfig, folder: Path, copies: int) -> tuple[str, DataConfig]:
    """Copies of the logs of a split under other names and tokens: as much work as that many logs."""
    split = load_split(name, data, workers=1)
    target = folder / "navsim_logs" / "copies"
    target.mkdir(parents=True)
    assert data.logs is not None  # the split was read from there
    for log in split.logs:
        with open(data.log_root() / name / f"{log}{LOG_ENDING}", "rb") as file:
            frames: list[dict[str, Any]] = pickle.load(file)  # its own data: real logs beside the checkout, or a town
        for copy in range(copies):
            for frame in frames:
                frame["log_name"] = f"{log}.copy{copy}"
                frame["token"] = hashlib.sha1(f"{frame['token']}{copy}".encode()).hexdigest()[:16]
            with open(target / f"{log}.copy{copy}{LOG_ENDING}", "wb") as file:
                pickle.dump(frames, file)
    return "copies", DataConfig(logs=folder / "navsim_logs", sensors=None, maps=data.maps)


def end_to_end(poses: np.ndarray, name: str, data: DataConfig, folder: Path, protocol_name: str) -> dict[int, float]:
    """Trajectories per second from stored caches to the teacher store on disk, by number of threads."""
    split = load_split(name, data, workers=0)
    cache_split(split, data, folder / "cache", workers=0)
    vocabulary = Vocabulary(poses.astype(np.float32))
    found = {}
    for workers in (1, 2):
        taken = []
        for repeat in range(2):
            started = time.monotonic()
            out = folder / f"teacher_{workers}_{repeat}"
            teach(
                vocabulary,
                split,
                folder / "cache",
                out,
                protocol_name=protocol_name,
                human_filter=True,
                workers=workers,
            )
            taken.append(time.monotonic() - started)
        found[workers] = len(poses) * len(split) / min(taken)
    return found


def reward_ms(chosen: list[CachedScene], poses: np.ndarray, name: str, threads: int) -> float:
    """Wall-clock milliseconds to score proposals of prepared scenes, as in a training loop."""
    batch = prepare_batch([chosen[n % len(chosen)] for n in range(REWARD_SCENES)], protocol(name))
    rng = np.random.default_rng(0)
    sampled = poses[rng.integers(len(poses), size=(REWARD_SCENES, REWARD_PLANS))]
    return 1e3 * best_s(lambda: score(batch, sampled, name, threads=threads), 10, time.monotonic)


def target_table(targets: list[Target]) -> Table:
    """Figures beside what is aimed at."""
    table = Table(title="targets")
    for column in ("work", "measured", "target", "met"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for one in targets:
        table.add_row(one.work, one.measured, one.target, "yes" if one.met else "NO")
    return table


def many_scenes(poses: np.ndarray, shared: Path, copies: int, name: str) -> list[Target]:
    """End to end from stored caches."""
    with tempfile.TemporaryDirectory() as scratch:
        split, data = copied_logs(*logs(shared, Path(scratch)), Path(scratch) / "copies", copies)
        rates = end_to_end(poses, split, data, Path(scratch), name)
    scaling = rates[2] / rates[1]
    work = f"{len(poses)} x many scenes, stored cache to teacher store"
    return [
        Target(work=f"{work}, 1 thread", measured=f"{rates[1]:,.0f}/s", target="", met=True),
        Target(
            work=f"{work}, 2 threads",
            measured=f"{rates[2]:,.0f}/s",
            target=f">= {TARGET_TWO_CORES:,}/s",
            met=rates[2] >= TARGET_TWO_CORES,
        ),
        Target(
            work="2 threads against 1",
            measured=f"{scaling:.2f}x",
            target=f">= {TARGET_SCALING}x",
            met=scaling >= TARGET_SCALING,
        ),
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of realdata, navsim-files")
    parser.add_argument("--plans", type=int, default=8192)
    parser.add_argument("--protocol", default="epdms_v2")
    parser.add_argument("--copies", type=int, default=10, help="of every log, for the work on many scenes; 0: skip it")
    parser.add_argument("--official", help="interpreter that has the official devkit")
    options = parser.parse_args()
    console = Console(width=140)
    chosen, poses = scenes(options.shared), vocabulary_poses(options.shared, options.plans)
    official = official_rates(options.official, options.shared, [scene.token for scene in chosen])
    table, median = scene_table(chosen, poses, options.protocol, official)
    console.print(table)
    console.print(
        f"engine: interpolation, simulation, all sub-scores, PDM-Closed reference, human filter; plain: NumPy and "
        f"shapely, {REFERENCE_PLANS} plans; official: NAVSIM v2.2, {OFFICIAL_PLANS} plans\n{machine()}"
    )
    targets = [
        Target(
            work=f"{len(poses)} x 1 prepared scene, one core, median",
            measured=f"{median:,.0f}/s",
            target=f">= {TARGET_ONE_CORE:,}/s",
            met=median >= TARGET_ONE_CORE,
        )
    ]
    for threads in (1, 2):
        taken = reward_ms(chosen, poses, options.protocol, threads)
        targets.append(
            Target(
                work=f"reward, {REWARD_SCENES} prepared scenes x {REWARD_PLANS} proposals, {threads} thread(s)",
                measured=f"{taken:.1f} ms",
                target=f"<= {TARGET_REWARD_MS:.0f} ms" if threads == 2 else "",
                met=threads == 1 or taken <= TARGET_REWARD_MS,
            )
        )
    if options.copies:
        targets += many_scenes(poses, options.shared, options.copies, options.protocol)
    console.print(target_table(targets))


if __name__ == "__main__":
    main()

"""Figures of the scoring engine on a GPU; on a machine without one the same at tiny size on the CPU, to show it runs.

    python benchmarks/gpu_engine.py CACHE [--vocabulary FILE] [--scenes 256] [--workers 16]

CACHE is a metric cache (`navforge cache`); its scenes are repeated to the number asked for. Rows:

- `prepared`: every entry of a vocabulary in many prepared scenes, scenes and vocabulary on the device.
- `reward`: 64 scenes x 64 proposals through `navforge.scoring.score`, tensors on the device.
- `end to end`: `navforge teach` with a GPU, stored caches to the packed store on disk; scaled to navtrain. Logs are
  taught again and again, each shard over the one before, until the scenes are enough; the merge is timed once.
- `agreement`: raw results equal those of the CPU, all bits.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from navforge.core import parallel
from navforge.data.filters import SceneFilter
from navforge.data.splits import Split
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.store import MetricCache
from navforge.scoring import SceneBatch, prepare_batch, score
from navforge.scoring.batch.cpu import score_batch_on_cpu
from navforge.scoring.batch.cuda import TorchDevice, make_resident, score_batch_on_device
from navforge.teacher.build import plan
from navforge.teacher.store import TeacherStore
from navforge.teacher.teach_batched import AHEAD, scorer_on_cpu, scorer_on_gpu, shards
from navforge.vocabulary.vocabulary import Vocabulary

INTERVAL_S = 0.1
NAVTRAIN_SCENES = 103_288
REWARD_SCENES, REWARD_PROPOSALS = 64, 64
BATCH = 32


def repeated(items: Sequence[Any], count: int) -> list[Any]:
    """`count` items, from the start again when they end."""
    return [items[i % len(items)] for i in range(count)]


def best_of(work: Callable[[], Any], rounds: int = 5) -> float:
    """Least seconds of a call, the GPU's work included."""
    least = np.inf
    for _ in range(rounds):
        _wait()
        begun = time.perf_counter()
        work()
        _wait()
        least = min(least, time.perf_counter() - begun)
    return float(least)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def runner(batch: SceneBatch, entries: np.ndarray) -> Callable[[], tuple[Any, Any]]:
    """Scoring of every entry in every scene of a batch, on the GPU or else the CPU; results on the device."""
    if not torch.cuda.is_available():
        return lambda: score_batch_on_cpu(batch.arrays, batch.devkit, entries, INTERVAL_S, shared=True)
    device = TorchDevice(torch.device("cuda", torch.cuda.current_device()))
    resident = make_resident(device, batch.arrays, batch.layout, batch.memory)
    poses = device.upload(entries)
    return lambda: score_batch_on_device(device, resident, batch.devkit, poses, INTERVAL_S, shared=True)


def prepared(scenes: Sequence[Any], entries: np.ndarray, count: int) -> dict[str, float]:
    """Trajectories/s of every entry in `count` prepared scenes."""
    work = runner(prepare_batch(repeated(scenes, count)), entries)
    work()  # compiles
    seconds = best_of(work)
    return {"scenes": count, "entries": len(entries), "trajectories/s": count * len(entries) / seconds}


def reward(scenes: Sequence[Any], entries: np.ndarray, scene_count: int, proposals: int) -> dict[str, float]:
    """Milliseconds of one call of the library."""
    batch = prepare_batch(repeated(scenes, scene_count))
    chosen = np.random.default_rng(0).integers(0, len(entries), (scene_count, proposals))
    trajectories = torch.from_numpy(entries[chosen])
    if torch.cuda.is_available():
        trajectories = trajectories.cuda()
    score(batch, trajectories)
    seconds = best_of(lambda: score(batch, trajectories), rounds=20)
    return {"scenes": scene_count, "proposals": proposals, "ms": 1e3 * seconds}


def end_to_end(cache: Path, entries: np.ndarray, count: int, workers: int) -> dict[str, float]:
    """Scenes/s from the stored cache to the store, and what navtrain would take at that rate."""
    stored, known = MetricCache.open(cache), Vocabulary(entries.astype(np.float32))
    logs = {log: stored.tokens_of(log) for log in stored.logs if stored.tokens_of(log)}
    split = Split("benchmark", SceneFilter(), logs, dict.fromkeys(logs, "benchmark"))
    with tempfile.TemporaryDirectory() as folder, parallel.process_pool(workers) as pool:
        planned = plan(known, split, cache, Path(folder) / "store", protocol_name="epdms_v2", human_filter=True)
        work = planned.pieces[0].work
        scorer = (scorer_on_gpu if torch.cuda.is_available() else scorer_on_cpu)(work)
        ahead, items = AHEAD * workers, [(piece.name, piece.tokens) for piece in planned.pieces]

        def teach(chosen: Sequence[Any]) -> float:
            begun = time.perf_counter()
            for outcome in shards(work, chosen, scorer, pool, ahead=ahead):
                if not outcome.ok:
                    raise RuntimeError(outcome.traceback)
            return time.perf_counter() - begun

        start = teach(items)  # workers begin, kernels load; also makes every shard
        start += teach(repeated(items, ahead))  # every worker has its kernels
        chosen = repeated(items, math.ceil(count * len(items) / len(split)))
        scenes, seconds = sum(len(tokens) for _, tokens in chosen), teach(chosen)
        begun = time.perf_counter()
        planned.finish()
        merge = (time.perf_counter() - begun) / len(split)
        TeacherStore.open(planned.out, known).check()
    per_scene = seconds / scenes + merge
    return {
        "scenes": scenes,
        "entries": len(entries),
        "workers": workers,
        "seconds": seconds,
        "start, seconds (not counted)": start,
        "merge, ms per scene": 1e3 * merge,
        "scenes/s": 1.0 / per_scene,
        "trajectories/s": len(entries) / per_scene,
        "navtrain, minutes (scaled)": NAVTRAIN_SCENES * per_scene / 60.0,
    }


def agreement(scenes: Sequence[Any], entries: np.ndarray) -> dict[str, float]:
    """Numbers of raw results that differ from the CPU's."""
    batch = prepare_batch(list(scenes))
    expected, steps = score_batch_on_cpu(batch.arrays, Devkit.V2, entries, INTERVAL_S, shared=True)
    results, events = runner(batch, entries)()
    if isinstance(results, torch.Tensor):
        results, events = (raw.reshape(len(raw), len(scenes), -1).cpu().numpy() for raw in (results, events))
    return {
        "results": expected.size,
        "results that differ": int((results != expected).sum()),
        "steps that differ": int((events != steps).sum()),
    }


def main() -> None:
    """Print each row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--vocabulary", type=Path, help=".npy (N, 40, 3); without, straight and turning plans are made")
    parser.add_argument("--scenes", type=int, default=256 if torch.cuda.is_available() else 4)
    parser.add_argument("--workers", type=int, default=16 if torch.cuda.is_available() else 2)
    given = parser.parse_args()
    entries = vocabulary(given.vocabulary, 8192 if torch.cuda.is_available() else 64)
    stored = MetricCache.open(given.cache)
    scenes = [stored.load(token) for token in stored.tokens[:BATCH]]
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU: tiny sizes, figures mean nothing"
    print(json.dumps({"device": where, "torch": torch.__version__}))
    small = torch.cuda.is_available()
    rows = {
        "agreement": lambda: agreement(scenes[:4], entries),
        "prepared": lambda: prepared(scenes, entries, given.scenes),
        "reward": lambda: reward(scenes, entries, *((REWARD_SCENES, REWARD_PROPOSALS) if small else (4, 8))),
        "end to end": lambda: end_to_end(given.cache, entries, 16 * given.scenes, given.workers),
    }
    for name, row in rows.items():
        print(json.dumps({"row": name, **row()}), flush=True)


def vocabulary(path: Path | None, count: int) -> np.ndarray:
    """(N, 40, 3) entries, of a file or made."""
    if path is not None:
        return np.ascontiguousarray(np.load(path), dtype=np.float64)
    rng = np.random.default_rng(0)
    t = INTERVAL_S * np.arange(1, 41)
    speed = np.maximum(rng.uniform(0, 14, (count, 1)) + rng.normal(0, 1.5, (count, 1)) * t, 0.0)
    heading = rng.normal(0, 0.1, (count, 1)) * t
    step = INTERVAL_S * speed[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return np.concatenate([np.cumsum(step, axis=1), heading[..., None]], axis=-1)


if __name__ == "__main__":
    main()

"""How fast the inference-weight search is, against trying every set of weights on every entry.

Run from the repository: `python benchmarks/tune.py [--scenes N] [--sets M]`. Scenes are made up, in two
kinds, both with 8192 entries:

- `alike`: logits as functions of where an entry goes (speed and curvature), smooth over neighbours as a trained
  planner's are, with noise on each entry: imitation peaks at the human's plan, safety falls and progress rises with
  speed, the drivable area is a band of curvatures that narrows with speed;
- `independent`: every logit of every head drawn on its own, as an untrained planner's nearly are: the hardest case for
  pruning.

The reference (a matrix product and an argmax over all entries, float64 BLAS) is timed in the same run on a few of the
same scenes and its sums are compared: they must be equal. Times are CPU seconds of this process, all its threads
together, so a busy machine disturbs them little. What is said of 18,179 scenes is extrapolated and marked so.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from navforge.models.heads.weight_sets import SearchConfig, weight_sets
from navforge.tuning.search import Candidates, score_sums, unbeaten

ENTRIES = 8192
BLOCK = 100
"""Sets the reference tries at once: 6.5 MB of values, which stay in the cache."""
NAVTRAIN_VAL = 18_179
"""Scenes of navtrain's validation logs."""
FACTORS = {
    "pdms_v1": ("imitation", "no_at_fault_collisions", "drivable_area_compliance", "weighted"),
    "epdms_v2": (
        "imitation",
        "no_at_fault_collisions",
        "drivable_area_compliance",
        "driving_direction_compliance",
        "traffic_light_compliance",
        "weighted",
    ),
}
Scene = tuple[NDArray[np.float32], NDArray[np.float32]]


def log_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.logaddexp(0, -x)


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(log_sigmoid(x))


def joined(
    imitation: NDArray[np.float64],
    gates: list[NDArray[np.float64]],
    parts: list[tuple[float, NDArray[np.float64]]],
    rng: np.random.Generator,
) -> Scene:
    """Log confidences (N, K) of logits, and true scores that agree with them more or less."""
    imitation = imitation - imitation.max()
    columns = [imitation - np.log(np.exp(imitation).sum()), *(log_sigmoid(gate) for gate in gates)]
    weighted = sum(w * sigmoid(part) for w, part in parts)
    columns.append(np.log(weighted))
    passed = np.prod([sigmoid(2 * gate) > rng.random() for gate in gates], axis=0)
    scores = passed * weighted / sum(w for w, _ in parts)
    return np.stack(columns, axis=1).astype(np.float32), scores.astype(np.float32)


def alike(rng: np.random.Generator, gates: int) -> Scene:
    speed, bend = rng.uniform(0, 14, ENTRIES), rng.normal(0, 0.08, ENTRIES)
    own_speed, own_bend, limit = rng.uniform(0, 13), rng.normal(0, 0.05), rng.uniform(3, 16)
    noise = [0.5 * rng.standard_normal(ENTRIES) for _ in range(gates + 4)]
    away = (speed - own_speed) ** 2 / 2 + ((bend - own_bend) * speed * 8) ** 2 / 2
    side = np.abs(bend - own_bend) * speed * 8
    safety = [6 - 1.5 * side + noise[0], 5 - 1.2 * np.maximum(speed - limit, 0) - 0.4 * side + noise[1]]
    safety += [6 - 0.5 * side + noise[2 + n] for n in range(gates - 2)]
    progress = -2 + 4 * speed / max(own_speed, 3) - 0.5 * side + noise[gates + 1]
    ttc = 4 - 1.2 * np.maximum(speed - limit + 1.5, 0) + noise[gates + 2]
    comfort = 4 - 0.5 * np.abs(speed - own_speed) + noise[gates + 3]
    return joined(-away + noise[gates], safety, [(5, ttc), (5, progress), (2, comfort)], rng)


def independent(rng: np.random.Generator, gates: int) -> Scene:
    logits = rng.normal(0, 0.5, (gates + 4, ENTRIES))
    return joined(logits[0], list(logits[1 : gates + 1]), [(w, logits[-n]) for n, w in ((1, 5), (2, 5), (3, 2))], rng)


def by_trying(scenes: list[Scene], sets: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) sums of true scores: every entry under every set."""
    total = np.zeros(len(sets))
    for confidences, scores in scenes:
        columns = np.ascontiguousarray(confidences.T.astype(np.float64))
        for start in range(0, len(sets), BLOCK):
            values = sets[start : start + BLOCK] @ columns
            total[start : start + BLOCK] += scores.astype(np.float64)[values.argmax(axis=1)]
    return total


def measure(kind: str, name: str, words: argparse.Namespace) -> list[str]:
    factors = FACTORS[name]
    search = SearchConfig(sets=words.sets)
    low, high = search.box(factors)
    sets = weight_sets(search, factors)
    make = {"alike": alike, "independent": independent}[kind]
    rng = np.random.default_rng(0)
    scenes = [make(rng, len(factors) - 2) for _ in range(words.scenes)]
    unbeaten(scenes[0][0], low, high)  # compiles
    with ThreadPoolExecutor(words.threads) as pool:
        begun = time.process_time()
        kept = list(pool.map(lambda scene: unbeaten(scene[0], low, high), scenes))
        pruning = time.process_time() - begun
    sizes = [len(k) for k in kept]
    candidates = Candidates(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate(kept).astype(np.int32),
        np.concatenate([scene[0][k] for scene, k in zip(scenes, kept, strict=True)]),
        np.concatenate([scene[1][k] for scene, k in zip(scenes, kept, strict=True)]),
    )
    folds = np.zeros(len(scenes), np.int64)
    few = min(words.reference, len(scenes))
    first = Candidates(candidates.offsets[: few + 1], candidates.entries, candidates.confidences, candidates.scores)
    ours = score_sums(first, sets, folds[:few], threads=words.threads)[0]  # compiles
    begun = time.process_time()
    expected = by_trying(scenes[:few], sets)
    reference = (time.process_time() - begun) / few
    if not np.allclose(ours, expected, rtol=0, atol=1e-9):
        raise SystemExit(f"{kind} {name}: the search and trying everything disagree by {np.abs(ours - expected).max()}")
    begun = time.process_time()
    score_sums(candidates, sets, folds, threads=words.threads, chunk=32)
    searching = time.process_time() - begun
    each = (pruning + searching) / len(scenes)
    return [
        kind,
        name,
        f"{np.mean(sizes):.1f} ({max(sizes)})",
        f"{1e3 * pruning / len(scenes):.2f}",
        f"{1e3 * searching / len(scenes):.2f}",
        f"{1e3 * reference:.0f}",
        f"{reference / each:,.0f}x",
        f"{each * NAVTRAIN_VAL:.0f} s",
        f"{reference * NAVTRAIN_VAL / 60:.0f} min",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="speed of the inference-weight search")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--reference", type=int, default=4, help="scenes on which everything is tried")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    words = parser.parse_args()
    table = Table(title=f"{words.sets} sets, {ENTRIES} entries, {words.scenes} scenes, {words.threads} threads")
    for name in ("scenes", "protocol", "candidates (most)", "prune ms", "search ms", "reference ms", "ratio"):
        table.add_column(name, justify="right")
    table.add_column(f"{NAVTRAIN_VAL:,} scenes*", justify="right")
    table.add_column("reference*", justify="right")
    for kind in ("alike", "independent"):
        for name in FACTORS:
            table.add_row(*measure(kind, name, words))
    console = Console(width=160)
    console.print(table)
    machine = f"{platform.processor() or platform.machine()}, numpy {np.__version__}"
    console.print(f"times per scene, CPU time of all threads together; * extrapolated; {machine}")


if __name__ == "__main__":
    main()

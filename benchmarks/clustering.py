"""k-means of driven trajectories: ours, scikit-learn's mini-batches and full rounds, and faiss where it is installed.

Run from the repository: `python benchmarks/clustering.py [--shared DIR] [--trajectories N] [--size K] [--threads T]
[--methods ours,minibatch,lloyd,faiss]`. Every method runs in a process of its own, so that its peak memory is its own.
The error is the mean squared distance of 20,000 of the trajectories to their nearest centre (m2, summed over 40 poses;
heading counts in radians), the same for all. "Same bits" repeats the method on 20,000 trajectories and 256 clusters
with one thread and two, and with the BLAS kernels of another processor.

Trajectories are entries of the public vocabulary (or arcs, where it is absent) with speed, curvature, heading and
starting noise changed at random; entries are drawn unevenly, as driving repeats itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from common import ROOT, SHARED, machine
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin_min
from threadpoolctl import threadpool_limits

from navforge.core.files import fingerprint
from navforge.vocabulary.kmeans import kmeans

METHODS = ("ours", "minibatch", "lloyd", "faiss")
ROUNDS = 25
"""Of faiss and of scikit-learn's full rounds."""
JUDGED = 20_000
CHECK = (20_000, 256)


def mutated(shared: Path, count: int) -> np.ndarray:
    """(count, 40, 3) float32."""
    generator = np.random.default_rng(0)
    entries = source(shared)
    weight = generator.lognormal(0.0, 1.0, len(entries))
    out = np.empty((count, 40, 3), np.float32)
    time_ = np.linspace(0.025, 1.0, 40)
    for first in range(0, count, 20_000):
        last = min(first + 20_000, count)
        some = entries[generator.choice(len(entries), last - first, p=weight / weight.sum())]

        def noise(scale: float, rows: int = last - first) -> np.ndarray:
            return scale * generator.standard_normal((rows, 1))

        step = np.diff(some[..., :2], axis=1, prepend=0.0)
        length = np.hypot(step[..., 0], step[..., 1])
        slip = np.arctan2(step[..., 1], step[..., 0]) - some[..., 2]
        turned = noise(0.02) * np.minimum(length.sum(axis=1, keepdims=True) / 5.0, 1.0)
        heading = some[..., 2] * (1.0 + noise(0.1)) + turned * time_
        length = length * np.exp(noise(0.06) + noise(0.06) * time_) + np.abs(noise(0.002))
        out[first:last, :, 0] = np.cumsum(length * np.cos(heading + slip), axis=1)
        out[first:last, :, 1] = np.cumsum(length * np.sin(heading + slip), axis=1)
        out[first:last, :, 2] = heading
    return out


def source(shared: Path) -> np.ndarray:
    """(N, 40, 3) the public vocabulary, or arcs."""
    path = shared / "navsim-files" / "vocabulary_8192.npy"
    if path.exists():
        return np.load(path).astype(np.float64)
    generator = np.random.default_rng(1)
    speed, rate = generator.gamma(1.5, 4.0, (8192, 1)), generator.normal(0.0, 0.15, (8192, 1))
    heading = rate * 0.1 * np.arange(1, 41)
    steps = 0.1 * speed[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return np.concatenate([np.cumsum(steps, axis=1), heading[..., None]], axis=-1)


def centres_of(method: str, flat: np.ndarray, size: int, threads: int) -> np.ndarray:
    """(size, 120) centres, seed 0."""
    if method == "ours":
        return kmeans(flat, size, seed=0, workers=threads).centres
    with threadpool_limits(threads):
        if method == "minibatch":
            fitted = MiniBatchKMeans(size, random_state=0, batch_size=max(4096, 2 * size)).fit(flat)
            return np.asarray(fitted.cluster_centers_)
        if method == "lloyd":
            lloyd = KMeans(size, n_init=1, random_state=0, max_iter=ROUNDS)  # pyright: ignore[reportArgumentType]
            return np.asarray(lloyd.fit(flat).cluster_centers_)
        import faiss  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        faiss.omp_set_num_threads(threads)
        found = faiss.Kmeans(flat.shape[1], size, niter=ROUNDS, seed=0, max_points_per_centroid=len(flat))
        found.train(flat)
        return found.centroids


def one(shared: Path, method: str, count: int, size: int, threads: int) -> dict[str, float | str]:
    """Run a method in this process."""
    flat = mutated(shared, count).reshape(count, -1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    centres = centres_of(method, flat, size, threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    judged = flat[:: max(1, count // JUDGED)].astype(np.float64)
    _, distance = pairwise_distances_argmin_min(judged, centres.astype(np.float64))
    error = float((distance**2).mean())
    return {
        "wall_s": wall, "cpu_s": cpu, "peak_mb": peak / 1e3, "more_mb": (peak - before) / 1e3, "error": error,
        "bits": fingerprint(np.ascontiguousarray(centres)),
    }  # fmt: skip


def apart(shared: Path, method: str, count: int, size: int, threads: int, blas: str = "") -> dict[str, float | str]:
    """Run a method in a process of its own, `blas` naming the processor whose OpenBLAS kernels it takes."""
    words = ["--one", method, "--trajectories", str(count), "--size", str(size), "--threads", str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src") + os.pathsep + os.environ.get("PYTHONPATH", "")}
    if blas:
        environment["OPENBLAS_CORETYPE"] = blas
    command = [sys.executable, __file__, "--shared", str(shared), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def same_bits(shared: Path, method: str) -> str:
    """Whether threads, and whether another BLAS kernel, change the centres."""
    usual = apart(shared, method, *CHECK, 1)["bits"]
    threads = apart(shared, method, *CHECK, 2)["bits"] == usual
    kernels = apart(shared, method, *CHECK, 1, blas="Prescott")["bits"] == usual
    return f"{'yes' if threads else 'no'} / {'yes' if kernels else 'no'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--trajectories", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", default="ours,minibatch,lloyd")
    parser.add_argument("--no-bits", action="store_true", help="leave out the comparison of bits")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.shared, given.one, given.trajectories, given.size, given.threads)))
        return
    table = Table("method", "CPU s", "wall s", "against ours", "peak MB", "error", "against ours", "same bits")
    first: dict[str, float | str] | None = None
    for method in given.methods.split(","):
        found = apart(given.shared, method, given.trajectories, given.size, given.threads)
        first = first or found
        table.add_row(
            method,
            f"{found['cpu_s']:.1f}",
            f"{found['wall_s']:.1f}",
            f"{float(found['cpu_s']) / float(first['cpu_s']):.1f}x",
            f"{found['peak_mb']:.0f}",
            f"{found['error']:.4f}",
            f"{float(found['error']) / float(first['error']):.3f}x",
            "" if given.no_bits else same_bits(given.shared, method),
        )
    print(f"{machine()}; {given.trajectories:,} trajectories, {given.size:,} clusters, {given.threads} thread(s)")
    print("same bits: one thread and two / another processor's BLAS kernels")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

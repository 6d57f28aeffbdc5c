"""How far the preflight's prediction of time and memory is from what a run then takes.

Run from the repository: `python benchmarks/preflight.py [--agent NAME ...] [--batch N ...] [--epochs N] [--load N]`.
A tiny town with cameras is cached, taught to a vocabulary of 8 and trained on by every planner with every batch size:
first the preflight, then the run itself, both beside `--load` processes that compute without end. Other work on the
machine counts as load too: quiet rows need a quiet machine. The run's time is that of its rank, from the first sign of
its process to its end; its memory is the largest sum over the rank and its workers that its heartbeat noted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ROOT
from rich.console import Console
from rich.table import Table

from navforge.core.sizes import write_size

AGENTS = ("ego_mlp", "hydra_mdp_tiny", "transfuser_tiny", "hydra_mdp_tiny+accumulate", "transfuser_tiny+bf16")
"""Planner, and after `+` a variant of its training."""
VARIANTS = {"accumulate": ("train.accumulate=2",), "bf16": ("train.precision=bf16-mixed",)}
BATCHES = (2, 5, 10)
POLL_S = 0.2


def main() -> None:
    """Make the files, measure every cell, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", nargs="+", default=AGENTS)
    parser.add_argument("--batch", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where town and stores are kept between calls")
    options = parser.parse_args()
    table = Table(
        "planner", "batch", "load", "predicted", "range", "real", "ratio", "inside", "memory", "real", "ratio"
    )
    with tempfile.TemporaryDirectory() as scratch:
        files = options.folder or Path(scratch)
        environ = _files(files)
        with _busy(options.load):
            for agent in options.agent:
                for batch in options.batch:
                    table.add_row(*_cell(agent, batch, options, files, environ, Path(scratch)))
                    Console(width=160).print(table)


def _files(folder: Path) -> dict[str, str]:
    """Town, caches, vocabulary and teachers, made unless they are there; the environment that names the town."""
    town = folder / "town"
    environ = {**os.environ, "OPENSCENE_DATA_ROOT": str(town), "NUPLAN_MAPS_ROOT": str(town / "maps")}
    _navforge(environ, "town", "scale=tiny", f"out={town}", "sensors=all", "sensor_frames=current")
    for split in ("train", "val"):
        _navforge(environ, "cache", f"split={split}", f"out={folder / 'cache' / split}")
    words = f"vocabulary={folder / 'v8.npy'}"
    _navforge(environ, "vocab", "split=train", f"out={folder / 'v8.npy'}", "size=8")
    for split in ("train", "val"):
        cache, out = folder / "cache" / split, folder / "teacher" / split
        _navforge(environ, "teach", words, f"split={split}", f"cache={cache}", f"out={out}", "protocol=epdms_v2")
    return environ


def _cell(agent: str, batch: int, options: Any, files: Path, environ: dict[str, str], scratch: Path) -> tuple[str, ...]:
    name, _, variant = agent.partition("+")
    out, report = scratch / f"{agent}-{batch}", scratch / "report.json"
    words = [f"agent={name}", "split=train", "val_split=val", f"cache={files / 'cache' / 'train'}", f"out={out}"]
    words += [f"train.batch_size={batch}", f"train.epochs={options.epochs}", "train.accelerator=cpu"]
    words += VARIANTS.get(variant, ())
    if name.startswith("hydra"):
        words += [f"vocabulary={files / 'v8.npy'}", f"teacher={files / 'teacher' / 'train'}"]
        words += [f"val_teacher={files / 'teacher' / 'val'}"]
    _navforge(environ, "preflight", *words, f"json={report}")
    figures = json.loads(report.read_text())["figures"]
    real_s, real_bytes = _train(environ, words, out)
    if "duration_s" not in figures:
        return (
            agent,
            str(batch),
            str(options.load),
            "unknown",
            "",
            f"{real_s:.1f} s",
            "",
            "",
            "",
            write_size(real_bytes),
            "",
        )
    value, (low, high) = figures["duration_s"], figures["duration_range_s"]
    held = figures["host_bytes"]
    return (
        agent,
        str(batch),
        str(options.load),
        f"{value:.1f} s",
        f"{low:.1f} to {high:.1f}",
        f"{real_s:.1f} s",
        f"{value / real_s:.2f}",
        "yes" if low <= real_s <= high else "NO",
        write_size(held),
        write_size(real_bytes),
        f"{held / real_bytes:.2f}",
    )


def _train(environ: dict[str, str], words: list[str], out: Path) -> tuple[float, int]:
    """Seconds from the first sign of the rank to the end of the command, and the largest memory its heartbeat noted."""
    process = subprocess.Popen(
        [sys.executable, "-m", "navforge", "train", *words, "preflight=false"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    began, most = 0.0, 0
    status = out / "status" / "rank-0.json"
    while process.poll() is None:
        if status.is_file():
            began = began or time.monotonic()
            with contextlib.suppress(ValueError):  # it is being replaced
                most = max(most, json.loads(status.read_text()).get("host_bytes", 0))
        time.sleep(POLL_S)
    if process.returncode:
        assert process.stderr is not None
        raise RuntimeError(process.stderr.read().decode())
    return time.monotonic() - began, most


@contextmanager
def _busy(count: int) -> Iterator[None]:
    processes = [multiprocessing.get_context("spawn").Process(target=_compute, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _compute() -> None:
    while True:
        sum(range(100_000))


def _navforge(environ: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "navforge", *words], env=environ, capture_output=True, text=True, cwd=ROOT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"navforge {' '.join(words)}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()

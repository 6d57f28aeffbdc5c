"""How far the preflight's prediction of time and memory is from what a run then takes.

Run from the repository: `python benchmarks/preflight.py [--agent NAME ...] [--batch N ...] [--load N ...]`.
A tiny town with cameras is cached, taught to a vocabulary of 8 and trained on by every planner with every batch size:
first the preflight, then the run itself, both beside `--load` processes that compute without end. Other work on the
machine counts as load too: quiet rows need a quiet machine, and every row has the load average before it. The run's
time is that of its rank, from the first sign of its process to its end; its memory is the largest sum over the rank and
its workers that its heartbeat noted. With `--folder` the town and the rows are kept: a call goes on where the last one
ended, so that the table can be measured in pieces, and `--print` shows it as Markdown.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from common import ROOT

from navforge.core.sizes import write_size

AGENTS = ("ego_mlp", "hydra_mdp_tiny", "transfuser_tiny", "hydra_mdp_tiny+accumulate", "transfuser_tiny+bf16")
"""Planner, and after `+` a variant of its training."""
VARIANTS = {"accumulate": ("train.accumulate=2",), "bf16": ("train.precision=bf16-mixed",)}
BATCHES = (2, 5, 10)
LOADS = (0, 2)
POLL_S = 0.2
ROWS = "rows.jsonl"


@dataclass(frozen=True)
class Row:
    """One run, as predicted and as it was; None where the preflight predicted nothing."""

    agent: str
    batch: int
    load: int
    """Busy processes beside it."""
    load_average: float
    """Of the minute before."""
    day: str
    real_s: float
    real_bytes: int
    predicted_s: float | None
    low_s: float | None
    high_s: float | None
    predicted_bytes: int | None
    step: str
    """What the preflight said of the step."""

    @property
    def cell(self) -> tuple[str, int, int]:
        """What identifies the row."""
        return self.agent, self.batch, self.load

    @property
    def markdown(self) -> str:
        """The row of the table."""
        cells = [self.agent, str(self.batch), str(self.load), f"{self.load_average:.1f}"]
        if self.predicted_s is None or self.low_s is None or self.high_s is None or self.predicted_bytes is None:
            cells += ["unknown", "", f"{self.real_s:.1f} s", "", "", "", write_size(self.real_bytes), ""]
        else:
            cells += [
                f"{self.predicted_s:.1f} s",
                f"{self.low_s:.1f} to {self.high_s:.1f}",
                f"{self.real_s:.1f} s",
                f"{self.predicted_s / self.real_s:.2f}",
                "yes" if self.low_s <= self.real_s <= self.high_s else "**no**",
                write_size(self.predicted_bytes),
                write_size(self.real_bytes),
                f"{self.predicted_bytes / self.real_bytes:.2f}",
            ]
        return f"| {' | '.join(cells)} |"


HEAD = """| planner | batch | load | load average | predicted | range | real | ratio | inside | memory | real | ratio |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Make the files, measure every cell that has no row, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", nargs="+", default=AGENTS)
    parser.add_argument("--batch", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--load", nargs="+", type=int, default=LOADS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where town, stores and rows are kept between calls")
    parser.add_argument("--print", action="store_true", help="show the rows of --folder and measure nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _rows(folder)
        print(HEAD, *(row.markdown for row in rows), sep="\n", flush=True)
        if options.print:
            return
        environ = _files(folder)
        for load in options.load:
            with _busy(load):
                for agent in options.agent:
                    for batch in options.batch:
                        if (agent, batch, load) in {row.cell for row in rows}:
                            continue
                        row = _measure(agent, batch, load, options.epochs, folder, environ)
                        with (folder / ROWS).open("a") as file:
                            print(json.dumps(asdict(row)), file=file)
                        print(row.markdown, flush=True)


def _rows(folder: Path) -> list[Row]:
    path = folder / ROWS
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()] if path.is_file() else []


def _files(folder: Path) -> dict[str, str]:
    """Town, caches, vocabulary and teachers, made unless they are there; the environment that names the town."""
    town = folder / "town"
    environ = {**os.environ, "OPENSCENE_DATA_ROOT": str(town), "NUPLAN_MAPS_ROOT": str(town / "maps")}
    ready = folder / "ready"
    if ready.is_file():
        return environ
    _navforge(environ, "town", "scale=tiny", f"out={town}", "sensors=all", "sensor_frames=current")
    for split in ("train", "val"):
        _navforge(environ, "cache", f"split={split}", f"out={folder / 'cache' / split}")
    words = f"vocabulary={folder / 'v8.npy'}"
    _navforge(environ, "vocab", "split=train", f"out={folder / 'v8.npy'}", "size=8")
    for split in ("train", "val"):
        cache, out = folder / "cache" / split, folder / "teacher" / split
        _navforge(environ, "teach", words, f"split={split}", f"cache={cache}", f"out={out}", "protocol=epdms_v2")
    ready.touch()
    return environ


def _measure(agent: str, batch: int, load: int, epochs: int, files: Path, environ: dict[str, str]) -> Row:
    name, _, variant = agent.partition("+")
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        out, report = Path(scratch) / "run", Path(scratch) / "report.json"
        words = [f"agent={name}", "split=train", "val_split=val", f"cache={files / 'cache' / 'train'}", f"out={out}"]
        words += [f"train.batch_size={batch}", f"train.epochs={epochs}", "train.accelerator=cpu"]
        words += VARIANTS.get(variant, ())
        if name.startswith("hydra"):
            words += [f"vocabulary={files / 'v8.npy'}", f"teacher={files / 'teacher' / 'train'}"]
            words += [f"val_teacher={files / 'teacher' / 'val'}"]
        _navforge(environ, "preflight", *words, f"json={report}")
        values = json.loads(report.read_text())
        real_s, real_bytes = _train(environ, words, out)
    figures = values["figures"]
    low, high = figures.get("duration_range_s", (None, None))
    return Row(
        agent=agent,
        batch=batch,
        load=load,
        load_average=load_average,
        day=datetime.now(UTC).date().isoformat(),
        real_s=real_s,
        real_bytes=real_bytes,
        predicted_s=figures.get("duration_s"),
        low_s=low,
        high_s=high,
        predicted_bytes=figures.get("host_bytes"),
        step="; ".join(finding["message"] for finding in values["findings"] if finding["check"] in ("step", "loading")),
    )


def _train(environ: dict[str, str], words: Sequence[str], out: Path) -> tuple[float, int]:
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

"""How fast a head trains from a feature store, against encoding on the fly in the same run.

Run from the repository: `python benchmarks/features.py [--scratch DIR] [--scenes N] [--gigabytes G] [--threads T]`.

1. An epoch of the MLP head over as many mean-pooled tokens of width 1280 as navtrain has scenes (random ones, written
by the store's own writer, one shard per log), through the trainer that `navforge train` runs: order, ranks,
heartbeat, curves, checkpoint. Beside it: the loader alone, and an epoch of the same head behind ViT-Tiny on decoded
images in memory, whose seconds per scene are set against those from the store.

2. A store of 256 tokens per scene, its files dropped from the page cache: what the loader reads per second at random,
against plain sequential and random reads of the same files.

Wall-clock and processor times, the first of which means nothing on a busy machine; memory is the largest resident set
of this process beyond what it had before the pass.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import timm
import torch
from common import machine
from rich.console import Console
from rich.table import Table
from torch import Tensor

from navforge.core.config import key
from navforge.core.sizes import write_size
from navforge.data.filters import SceneFilter
from navforge.data.splits import Split
from navforge.features.dataset import FeatureDataset
from navforge.features.shards import write_shard
from navforge.features.store import FeatureStore, Origin
from navforge.features.trunk import key_of, modules_of
from navforge.inputs.dataset import Batch
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.parts import Part
from navforge.models.contract import EncoderConfig, Features, Inputs
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.modules import TrunkEncoder
from navforge.models.panorama import PanoramaConfig
from navforge.models.planner_config import PlannerConfig
from navforge.runs.folder import RunFolder
from navforge.runs.signals import StopSignals
from navforge.training.config import TrainConfig
from navforge.training.loop.epochs import plan_of
from navforge.training.loop.loaders import train_loader
from navforge.training.loop.loggers import Loggers
from navforge.training.loop.module import PlannerModule, optimiser_of, schedule_of
from navforge.training.loop.stepper import Stepper
from navforge.training.loop.trainer import Parts, Trainer
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import alone
from navforge.training.ranks.strategy import fabric_of, wrap

NAVTRAIN_SCENES, NAVTRAIN_LOGS = 103_288, 1_192
WIDTH, TOKENS = 1280, 256
BATCHES = (32, 256)
IMAGES = 256
"""Scenes of the pass on the fly."""


@dataclass(frozen=True, kw_only=True)
class VitTinyConfig(EncoderConfig):
    """ViT-Tiny, frozen, on an image of 224 x 224, its tokens taken to the width of a store's."""

    pool: bool = key(True, "one token, the mean")

    @property
    def cameras(self) -> PanoramaConfig:
        """The front camera."""
        return PanoramaConfig(names=("CAM_F0",), height=224, width=224)

    @property
    def is_frozen(self) -> bool:
        """It is."""
        return True

    def build(self, *, pretrained: bool = True) -> VitTiny:
        """With random weights: how long it takes does not depend on them."""
        return VitTiny(self)


class VitTiny(TrunkEncoder):
    """See `VitTinyConfig`."""

    channels = WIDTH

    def __init__(self, config: VitTinyConfig) -> None:
        super().__init__()
        self.pool = config.pool
        self.network: Any = timm.create_model("vit_tiny_patch16_224", num_classes=0).requires_grad_(False)

    @torch.no_grad()
    def trunk_tokens(self, inputs: Inputs) -> Tensor:
        """(B, 1, 1280), or (B, 197, 1280)."""
        tokens = self.network.forward_features(inputs["panorama"].float() / 255)
        tokens = torch.nn.functional.pad(tokens, (0, WIDTH - tokens.shape[-1]))
        return tokens.mean(dim=1, keepdim=True) if self.pool else tokens

    def adapt(self, tokens: Tensor) -> Features:
        """As they are."""
        return Features(tokens)


def planner() -> PlannerConfig:
    """The encoder with the thesis's head: three hidden layers of 256."""
    return PlannerConfig(name="bench", encoder=VitTinyConfig(), head=MlpHeadConfig(hidden=256, layers=3))


def write_random_store(out: Path, scenes: int, logs: int, tokens: int) -> tuple[FeatureStore, Split]:
    """A store of random tokens with all that belongs to it, and the split it is of."""
    config = planner()
    encoder = config.encoder.build()
    assert isinstance(encoder, TrunkEncoder)
    spec = InputSpec.of(config)
    origin = Origin(
        key=key_of(config.encoder, encoder, spec),
        modules=modules_of(type(encoder), spec),
        parts=Part.of(spec.without_sensors),
        dtype="float16",
        batch_size=32,
        device="cpu",
    )
    random = np.random.default_rng(0)
    counts = [len(part) for part in np.array_split(np.arange(scenes), logs)]
    names = {f"log_{n:05}": tuple(f"{n:05x}{m:011x}" for m in range(count)) for n, count in enumerate(counts)}
    facts = {}
    for log, scene_tokens in names.items():
        count = len(scene_tokens)
        arrays = {
            "features": torch.from_numpy(random.standard_normal((count, tokens, WIDTH), np.float32)).half(),
            "status": torch.from_numpy(random.standard_normal((count, 8), np.float32)),
            "human_poses": torch.from_numpy(random.standard_normal((count, 8, 3), np.float32)),
        }
        path = FeatureStore.shard_path(out, log)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_shard(path, {"origin": origin.plain, "logs": []}, scene_tokens, arrays)
        facts[log] = FeatureStore.facts(out, log)
    about = {"name": "random", "hash": "0", "scenes": scenes, "missing": 0}
    FeatureStore.publish(out, about, origin, names, facts)
    return FeatureStore.open(out), Split("random", SceneFilter(), names, {})


class Images(torch.utils.data.Dataset):
    """Decoded images in memory, with what belongs to them."""

    in_memory = True

    def __init__(self, scenes: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (scenes, 3, 224, 224), dtype=torch.uint8, generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: list[int]) -> Batch:
        """As `FeatureDataset` has it."""
        count = len(indices)
        inputs = {"panorama": self.images[indices], "status": torch.zeros(count, 8)}
        targets = {"teacher": {}, "human_poses": torch.zeros(count, 8, 3)}
        return Batch({"token": [str(index) for index in indices], "inputs": inputs, **targets, "corrupt": []})


@dataclass(frozen=True)
class Seconds:
    """Of a pass."""

    wall: float
    cpu: float

    @staticmethod
    def now() -> Seconds:
        """Of both clocks."""
        return Seconds(time.perf_counter(), time.process_time())

    def since(self, start: Seconds) -> Seconds:
        """From `start` to this."""
        return Seconds(self.wall - start.wall, self.cpu - start.cpu)


def train_epochs(dataset: object, batch: int, out: Path, epochs: int = 2) -> Seconds:
    """Seconds of the last epoch of a training run, from the end of the one before."""
    config = TrainConfig(epochs=epochs, batch_size=batch, accelerator="cpu", smoke_scenes=0, weight_decay=0.01)
    folder, ranks, rank_info = RunFolder(out), Ranks(0, 1), alone()
    folder.describe("bench", launch="local", nodes=1, devices=1)
    fabric = fabric_of(config, rank_info)
    torch.manual_seed(0)
    built = planner().build()
    plan = plan_of(len(dataset), config, 1)  # type: ignore[arg-type]
    module = PlannerModule(built, config.augment)
    wrapped = wrap(fabric, module)
    optimiser = optimiser_of(built, config)
    schedule = schedule_of(optimiser, config, plan.steps * epochs)
    ends = [Seconds.now()]
    with Heartbeat(folder, rank_info, attempt=0) as beat:
        trainer = Trainer(
            Parts(
                folder=folder,
                ranks=ranks,
                config=config,
                module=module,
                stepper=Stepper(fabric, wrapped, optimiser, schedule, config, ranks),
                train=train_loader(dataset, plan, config, ranks),  # type: ignore[arg-type]
                val=None,
                monitor=("train/loss", "min"),
                about={},
                drawn=None,
                beat=beat,
                signals=StopSignals(),
                loggers=Loggers(),
                smoke=lambda: ends.append(Seconds.now()),
            )
        )
        trainer.run()
    return ends[-1].since(ends[-2])


def load_epochs(dataset: FeatureDataset, batch: int, epochs: int = 2) -> Seconds:
    """Seconds of the last pass of the loader alone."""
    config = TrainConfig(batch_size=batch, accelerator="cpu")
    loader, order = train_loader(dataset, plan_of(len(dataset), config, 1), config, Ranks(0, 1))
    taken = Seconds(0.0, 0.0)
    for epoch in range(epochs):
        order.start_at(epoch, 0)
        began = Seconds.now()
        for _ in loader:
            pass
        taken = Seconds.now().since(began)
    return taken


@contextmanager
def largest_memory() -> Iterator[Callable[[], int]]:
    """A function that gives the largest growth of the resident set so far."""
    process, done = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: most - before
    finally:
        done.set()
        thread.join()


def forget(paths: list[Path]) -> None:
    """Drop files from the page cache."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plain_reads(paths: list[Path], row: int, random: bool) -> float:
    """Bytes per second of reading files from the disk, whole or as rows at random places."""
    forget(paths)
    sizes = [path.stat().st_size for path in paths]
    began, done = time.perf_counter(), 0
    if random:
        generator = np.random.default_rng(0)
        places = [(file, place) for file, size in enumerate(sizes) for place in range(0, size - row, row)]
        opened = [os.open(path, os.O_RDONLY) for path in paths]
        for index in generator.permutation(len(places)):
            file, place = places[index]
            done += len(os.pread(opened[file], row, place))
        for handle in opened:
            os.close(handle)
    else:
        for path in paths:
            with open(path, "rb", buffering=0) as file:
                while block := file.read(1 << 22):
                    done += len(block)
    return done / (time.perf_counter() - began)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=None, help="folder for stores; removed at the end if not given")
    parser.add_argument("--scenes", type=int, default=NAVTRAIN_SCENES)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the store of 256 tokens")
    parser.add_argument("--threads", type=int, default=1, help="of torch, as ranks have it on a CPU")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    scratch = words.scratch or Path(tempfile.mkdtemp(prefix="navforge-features-"))
    console = Console()
    console.print(f"{machine()}, torch {torch.__version__}, {words.threads} threads, load {os.getloadavg()[0]:.1f}")
    try:
        pooled(scratch, words.scenes, console)
        from_disk(scratch, round(words.gigabytes * 1e9 / (TOKENS * WIDTH * 2)), console)
    finally:
        if words.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)


def pooled(scratch: Path, scenes: int, console: Console) -> None:
    """Epochs over mean-pooled tokens, against encoding on the fly."""
    logs = max(1, round(NAVTRAIN_LOGS * scenes / NAVTRAIN_SCENES))
    store, split = write_random_store(scratch / "pooled", scenes, logs, 1)
    table = Table(title=f"MLP head, {scenes} scenes of one token of width {WIDTH}, {logs} logs")
    for column in ("batch", "epoch", "CPU", "loader alone", "CPU", "share of CPU", "memory", "on the fly", "ratio"):
        table.add_column(column, justify="right")
    for batch in BATCHES:
        dataset = FeatureDataset(split, planner(), store)
        with largest_memory() as memory:
            loading = load_epochs(dataset, batch)
        whole = train_epochs(dataset, batch, scratch / f"run-{batch}")
        flying = train_epochs(Images(IMAGES), 32, scratch / f"fly-{batch}", 1).wall / IMAGES * scenes
        table.add_row(
            str(batch),
            f"{whole.wall:.1f} s",
            f"{whole.cpu:.1f} s",
            f"{loading.wall:.2f} s",
            f"{loading.cpu:.2f} s",
            f"{loading.cpu / whole.cpu:.1%}",
            write_size(memory()),
            f"{flying:.0f} s (by {IMAGES} scenes)",
            f"{flying / whole.wall:.0f}",
        )
    console.print(table)


def from_disk(scratch: Path, scenes: int, console: Console) -> None:
    """What the loader reads of a store whose files are not in the page cache."""
    store, split = write_random_store(scratch / "tokens", scenes, max(1, scenes // 87), TOKENS)
    paths = [FeatureStore.shard_path(store.path, log) for log in store.logs]
    row = TOKENS * WIDTH * 2
    speeds = {
        "plain, sequential": plain_reads(paths, row, random=False),
        "plain, rows at random": plain_reads(paths, row, random=True),
    }
    batch = BATCHES[0]
    read = scenes // batch * batch * row
    forget(paths)
    with largest_memory() as memory:
        seconds = load_epochs(FeatureDataset(split, planner(), FeatureStore.open(store.path)), batch, epochs=1).wall
    speeds[f"loader, batches of {batch} at random, sums checked"] = read / seconds
    seconds = load_epochs(FeatureDataset(split, planner(), store), batch, epochs=2).wall
    speeds["the same from the page cache, sums known"] = read / seconds
    table = Table(title=f"{scenes} scenes of {TOKENS} tokens of width {WIDTH}, float16 ({write_size(scenes * row)})")
    table.add_column("read")
    table.add_column("GB/s", justify="right")
    for name, speed in speeds.items():
        table.add_row(name, f"{speed / 1e9:.2f}")
    console.print(table)
    console.print(
        f"resident set of the loader's pass: {write_size(memory())} more; of this process ever: "
        f"{write_size(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)}"
    )


if __name__ == "__main__":
    main()

"""How many samples per second one core reads: from raw logs, from an input store, and as public training code does.

Run from the repository: `python benchmarks/loader.py [--scratch DIR] [--scenes N] [--noise SIGMA]`. Camera images are
those of a town at the official 1920x1080 with noise on top, so that files are as large as real ones; no GPU is used.

The naive way is that of the public Hydra-MDP code (navsim's loader and feature cache): all 8 cameras of all 4 history
frames are decoded with Pillow; of the last 2 frames the three front and the three back cameras are cropped, stitched,
scaled with OpenCV and made float32 tensors; the dict of tensors is pickled through gzip at level 1, one file per
token, and read back in every epoch. All ways run in this process, on one thread, and end with a collated batch; times
are CPU seconds, the best of several passes over the same scenes, files being in the page cache.

Memory is that of a process of its own with 4 loader workers over an index of navtrain's size and a consumer so slow
that all queues fill: the largest sum of PSS (memory shared between processes counts once) and shared memory, in all and
without pages of files, which the system takes back at will. Other users of /dev/shm disturb it.
"""

from __future__ import annotations

import argparse
import gzip
import os
import pickle
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from common import best_s, town  # noqa: E402
from PIL import Image  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch.utils.data import DataLoader, default_collate  # noqa: E402
from torchvision.transforms.functional import to_tensor  # noqa: E402

from navforge.data.logs import CAMERAS  # noqa: E402
from navforge.data.paths import DataConfig  # noqa: E402
from navforge.data.scenes import Scene  # noqa: E402
from navforge.data.sensors import camera_path  # noqa: E402
from navforge.data.splits import Split, load_split  # noqa: E402
from navforge.inputs.dataset import SceneDataset, collate, scenes_of  # noqa: E402
from navforge.inputs.input_spec import InputSpec  # noqa: E402
from navforge.inputs.pack import pack  # noqa: E402
from navforge.inputs.store import InputStore  # noqa: E402
from navforge.inputs.workers import begin, worker_context  # noqa: E402
from navforge.models.panorama import PanoramaConfig  # noqa: E402
from navforge.models.planner_config import PlannerConfig  # noqa: E402
from navforge.training.recipes.catalog import recipe  # noqa: E402

SIZES = {(256, 1024): 64, (512, 2048): 22}
"""Panorama and scenes per rank and step, as the public code trains TransFuser and Hydra-MDP."""
QUALITY = 95
BATCH = 4
WORKERS = 4
NAVTRAIN = 103_288
PLANNER = "hydra_mdp_v8192_w_ep_r34"
MEMORY_SECONDS = 15.0
CONSUMER_SECONDS = 1.0

Features = dict[str, Any]


def world(scratch: Path, noise: float) -> tuple[Split, DataConfig]:
    """A town with full-size images, noise on each; made once per scratch folder."""
    folder = scratch / f"town_noise_{noise:g}"
    data = town(folder, sensors="cameras", sensor_frames="history")
    if not (folder / "noisy").exists():
        rng = np.random.default_rng(0)
        for path in sorted((folder / "sensor_blobs" / "train").rglob("*.jpg")):
            grain = rng.normal(0, noise, (1080, 1920, 1)).astype(np.float32)
            image = np.clip(np.asarray(Image.open(path)) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(path, "JPEG", quality=90)
        (folder / "noisy").touch()
    return load_split("train", data, workers=1), data


def planner_of(size: tuple[int, int], quality: int | None) -> PlannerConfig:
    """The camera-only planner with a panorama of this size, scaled as the published ones."""
    base = recipe(PLANNER).planner
    panorama = PanoramaConfig(height=size[0], width=size[1], resize="bilinear", quality=quality)
    return replace(base, encoder=replace(base.encoder, panorama=panorama))


class Naive:
    """All cameras and history frames, gzip-pickled float tensors."""

    def __init__(self, scenes: Sequence[Scene], data: DataConfig, size: tuple[int, int], folder: Path) -> None:
        self.scenes, self.data, self.size, self.folder = scenes, data, size, folder

    def make(self, scene: Scene) -> Features:
        frames = [
            {name: np.array(Image.open(camera_path(scene, name, self.data, frame))) for name in CAMERAS}
            for frame in range(4)
        ]
        status = scene.ego_status()
        return {
            "camera_feature": [self._stitched(images, ("CAM_L0", "CAM_F0", "CAM_R0")) for images in frames[-2:]],
            "camera_feature_back": [self._stitched(images, ("CAM_L2", "CAM_B0", "CAM_R2")) for images in frames[-2:]],
            "status_feature": torch.tensor(np.concatenate([status.command, status.velocity, status.acceleration])),
            "trajectory": torch.tensor(scene.human_poses(8)),
        }

    def _stitched(self, images: dict[str, np.ndarray], names: Sequence[str]) -> torch.Tensor:
        left, middle, right = (images[name] for name in names)
        wide = np.concatenate([left[28:-28, 416:-416], middle[28:-28], right[28:-28, 416:-416]], axis=1)
        return to_tensor(cv2.resize(wide, self.size[::-1]))

    def dump(self, scene: Scene) -> None:
        with gzip.open(self.folder / f"{scene.token}.gz", "wb", compresslevel=1) as file:
            pickle.dump(self.make(scene), file)

    def load(self, scene: Scene) -> Features:
        with gzip.open(self.folder / f"{scene.token}.gz", "rb") as file:
            return pickle.load(file)


def in_batches(read: Callable[[int], Any], count: int, join: Callable[[list[Any]], Any]) -> None:
    for start in range(0, count, BATCH):
        join([read(index) for index in range(start, min(start + BATCH, count))])


def measure(split: Split, data: DataConfig, size: tuple[int, int], scratch: Path) -> dict[str, tuple[float, float]]:
    """Way of reading -> (CPU seconds, bytes on disk) per sample."""
    scenes = list(scenes_of(split, data))
    count = len(scenes)
    found: dict[str, tuple[float, float]] = {}
    folder = Path(tempfile.mkdtemp(dir=scratch))
    naive = Naive(scenes, data, size, folder)
    seconds = best_s(lambda: in_batches(lambda i: naive.make(scenes[i]), count, default_collate), 1)
    raw_bytes = sum(
        camera_path(scene, name, data, frame).stat().st_size
        for scene in scenes
        for name in CAMERAS
        for frame in range(4)
    )
    found["naive, decoded each time"] = seconds / count, raw_bytes / count
    seconds = best_s(lambda: [naive.dump(scene) for scene in scenes], 1)
    packed = sum(path.stat().st_size for path in folder.glob("*.gz")) / count
    found["naive, making the gzip cache"] = seconds / count, packed
    seconds = best_s(lambda: in_batches(lambda i: naive.load(scenes[i]), count, default_collate))
    found["naive, reading the gzip cache"] = seconds / count, packed
    three = sum(camera_path(s, n, data).stat().st_size for s in scenes for n in ("CAM_L0", "CAM_F0", "CAM_R0"))
    for quality in (None, QUALITY):
        name = "exact" if quality is None else f"JPEG {quality}"
        planner = planner_of(size, quality)
        raw = SceneDataset(split, planner, data, keep_inputs=False)
        seconds = best_s(lambda raw=raw: in_batches(raw.__getitem__, count, collate))
        found[f"raw logs, {name}"] = seconds / count, three / count
        out = folder / f"store_{name}"
        started = time.process_time()
        pack([split], InputSpec.of(planner), data, out, workers=1)
        shards = sum(path.stat().st_size for path in out.rglob("*.arrow")) / count
        found[f"packing the store, {name}"] = (time.process_time() - started) / count, shards
        stored = SceneDataset(split, planner, data, store=InputStore.open(out))
        assert all(
            np.array_equal(raw[i]["inputs"]["panorama"], stored[i]["inputs"]["panorama"]) for i in (0, count - 1)
        ), "logs and store differ"
        seconds = best_s(lambda stored=stored: in_batches(stored.__getitem__, count, collate))
        found[f"store, {name}"] = seconds / count, shards
    return found


def report(size: tuple[int, int], found: dict[str, tuple[float, float]], console: Console) -> None:
    naive, cached = found["naive, decoded each time"][0], found["naive, reading the gzip cache"][0]
    table = Table("way", "samples/s/core", "ms", "naive decoding / this", "gzip cache / this", "kB per sample")
    for name, (seconds, size_bytes) in found.items():
        table.add_row(
            name,
            f"{1 / seconds:.1f}",
            f"{1e3 * seconds:.2f}",
            f"{naive / seconds:.1f}x",
            f"{cached / seconds:.1f}x",
            f"{size_bytes / 1000:.0f}",
        )
    console.print(f"\npanorama {size[0]}x{size[1]}")
    console.print(table)


class Repeated(torch.utils.data.Dataset[Any]):
    """A data set with the index of navtrain: the same scenes again and again, their references as often."""

    def __init__(self, dataset: SceneDataset) -> None:
        self.dataset = dataset
        source: Any = dataset.source
        times = -(-NAVTRAIN // len(dataset))
        dataset.tokens = tuple(f"{n:016x}" for n in range(len(dataset) * times))
        if hasattr(source, "rows"):
            source.rows = np.tile(source.rows, times)
        else:
            old = source.references
            tiled = {
                name: None if value is None else np.tile(value, (times, *(1,) * (value.ndim - 1)))
                for name, value in vars(old).items()
                if name != "_objects"
            }
            source.references = type(old)(**tiled, _objects=old._objects)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: list[int]) -> Any:
        return self.dataset.__getitems__(indices)


def used_bytes() -> tuple[float, float]:
    """Memory of this process and its children: in all, and without pages of files.

    PSS, but shared memory by what the system has handed out: a batch on its way is mapped by nobody.
    """
    shared = float(shutil.disk_usage("/dev/shm").used)
    total = own = shared
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        values = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
        total += values["Pss"] - values["Pss_Shmem"]
        own += values["Pss_Anon"]
    return total, own


def memory(scratch: Path, noise: float, size: tuple[int, int], way: str, batch: int) -> None:
    """Print the largest memory of a rank that loads with 4 workers."""
    split, data = world(scratch, noise)
    planner = planner_of(size, QUALITY)
    store = None
    if way == "store":
        out = scratch / f"memory_store_{size[0]}"
        pack([split], InputSpec.of(planner), data, out, workers=1)
        store = InputStore.open(out)
    dataset = Repeated(SceneDataset(split, planner, data, keep_inputs=False, store=store))
    loader = DataLoader(
        dataset,
        batch_size=batch,
        shuffle=True,
        num_workers=WORKERS,
        collate_fn=collate,
        worker_init_fn=begin,
        multiprocessing_context=worker_context(),
    )
    peaks = [used_bytes()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peaks.append(used_bytes())

    alone = peaks[0]
    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    for _ in loader:
        time.sleep(CONSUMER_SECONDS)
        if time.monotonic() - started > MEMORY_SECONDS:
            break
    ended.set()
    watcher.join()
    gib = [value / 2**30 for value in (alone[0], max(p[0] for p in peaks), max(p[1] for p in peaks))]
    print(
        f"{way}, panorama {size[0]}x{size[1]}, {WORKERS} workers, batch {batch}, index of {len(dataset)} scenes: "
        f"{gib[1]:.2f} GiB per rank, {gib[2]:.2f} GiB without file pages (the process alone: {gib[0]:.2f} GiB)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, help="where images are made; kept and used again if given")
    parser.add_argument("--scenes", type=int, default=8, help="scenes read")
    parser.add_argument("--noise", type=float, default=8.0, help="standard deviation of the noise on images")
    parser.add_argument("--memory-of", choices=("store", "raw logs"), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    if chosen.memory_of:
        memory(chosen.scratch, chosen.noise, tuple(chosen.size), chosen.memory_of, chosen.batch)
        return
    with tempfile.TemporaryDirectory() as temporary:
        scratch = chosen.scratch or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        whole, data = world(scratch, chosen.noise)
        first = next(iter(whole.logs))
        split = replace(whole, logs={log: tokens[: chosen.scenes // 2] for log, tokens in whole.logs.items()})
        sizes = [path.stat().st_size for path in (data.sensor_root() / "train" / first).rglob("*.jpg")]
        console = Console(width=140)
        console.print(
            f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch "
            f"{torch.__version__}, OpenCV {cv2.__version__}; {len(split)} scenes, images 1920x1080 of "
            f"{np.mean(sizes) / 1000:.0f} kB on average (noise {chosen.noise:g})"
        )
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            for size in SIZES:
                report(size, measure(split, data, size, Path(work)), console)
        console.print()
        for size, batch in SIZES.items():
            for way in ("store", "raw logs"):
                words = ["--memory-of", way, "--size", *map(str, size), "--batch", str(batch)]
                words += ["--scratch", str(scratch), "--noise", str(chosen.noise)]
                subprocess.run([sys.executable, __file__, *words], check=True)


if __name__ == "__main__":
    main()

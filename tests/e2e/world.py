"""What end-to-end tests train on: sixteen scenes of a tiny town, enough for sixteen ranks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cache_builder.pool import cache_split
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.town.generate import generate
from navforge.town.scales import SCALES
from navforge.town.sensors import Rig

ROOT = Path(__file__).parents[2]
EVERY_WINDOW = "num_history_frames: 4\nnum_future_frames: 10\nframe_interval: 1\nmax_scenes: 16\n"


@dataclass(frozen=True)
class World:
    """Logs, maps, a split of every window in them, and its metric cache."""

    path: Path

    def words(self, out: Path, **keys: object) -> list[str]:
        """A `navforge train` command: many small steps, a checkpoint every second or so in the middle of epochs."""
        fixed = [
            "agent=ego_mlp", f"split={self.path / 'split.yaml'}", f"cache={self.path / 'cache'}", f"out={out}",
            f"data.logs={self.path / 'town' / 'navsim_logs'}", f"data.maps={self.path / 'town' / 'maps'}",
            "train.accelerator=cpu", "train.batch_size=1", "train.loader_workers=0", "train.smoke_scenes=0",
            "train.checkpoint_minutes=0.01",
            "preflight=false",  # the ranks' own preflight on their nodes is part of this
        ]  # fmt: skip
        return ["train", *fixed, *(f"{name}={value}" for name, value in keys.items())]


def make_world(path: Path) -> World:
    """Write a world into a folder."""
    options = {"sensors": "none", "sensor_frames": "all", "rig": Rig(width=64, height=36, lidar_columns=200)}
    report = generate(path / "town", SCALES["tiny"], seed=0, workers=1, **options)  # type: ignore[arg-type]
    assert report.complete
    (path / "split.yaml").write_text(EVERY_WINDOW)
    data = DataConfig(logs=path / "town" / "navsim_logs", sensors=None, maps=path / "town" / "maps")
    split = load_split(str(path / "split.yaml"), data)
    assert len(split) == 16 and not cache_split(split, data, path / "cache", workers=1).failures
    return World(path)

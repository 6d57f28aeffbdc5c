"""A training run without a disk full of logs: scenes, cache and teacher made up, everything else real."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from navforge.core.errors import DataError
from navforge.data.filters import SceneFilter
from navforge.data.scenes import EgoStatus
from navforge.data.splits import Split
from navforge.inputs import dataset, read
from navforge.models.encoders.configs import TimmCameraConfig
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.panorama import PanoramaConfig
from navforge.models.planner_config import PlannerConfig
from navforge.scoring.against_reference import Scores
from navforge.teacher import build, teach
from navforge.training import run_inputs as material
from navforge.training.config import AugmentConfig, TrainConfig
from navforge.training.run_config import RunConfig
from navforge.vocabulary.vocabulary import Vocabulary
from tests.built_once import built_once
from tests.teacher.made import entries_of

ENTRIES = 9
SPLITS = {
    "train": Split("train", SceneFilter(), {"log_a": ("a1", "a2", "a3"), "log_b": ("b1", "b2", "b3", "b4")}, {}),
    "val": Split("val", SceneFilter(), {"log_v": ("v1", "v2", "v3")}, {}),
    "long": Split("long", SceneFilter(), {f"log_{n}": tuple(f"{n}{m:02}" for m in range(10)) for n in "cdef"}, {}),
}


@dataclass(frozen=True)
class FakeScene:
    """Drives at a speed that its token decides and its image shows."""

    token: str

    @property
    def speed(self) -> float:
        return float(np.random.default_rng(list(self.token.encode())).uniform(0, 12))

    def ego_status(self, frame: int = -1) -> EgoStatus:
        return EgoStatus(np.array([self.speed, 0], np.float32), np.zeros(2, np.float32), np.array([0, 1, 0, 0]))

    def human_poses(self, n: int = 8) -> np.ndarray:
        poses = np.zeros((n, 3))
        poses[:, 0] = 0.5 * self.speed * np.arange(1, n + 1)
        return poses


class FakeCache:
    fingerprint = "cafe"
    tokens = tuple(token for split in SPLITS.values() for token in split.tokens)

    @classmethod
    def open(cls, path: Path) -> FakeCache:
        return cls()

    def load_log(self, log_name: str) -> list[FakeScene]:
        return [FakeScene(token) for split in SPLITS.values() for token in split.logs.get(log_name, ())]


def save_images(folder: Path) -> None:
    """What the cameras of fake scenes show, one grey each, in files that loader workers can read."""
    folder.mkdir()
    for token in [token for split in SPLITS.values() for token in split.tokens]:
        grey = np.full((36, 64, 3), round(FakeScene(token).speed * 20), np.uint8)
        Image.fromarray(grey).save(folder / f"{token}.png")


def broken_images(reasons: dict[str, str]) -> None:
    """From here on, in this process, images of some scenes cannot be read."""
    whole = read.read_camera

    def read_camera(path: Path) -> Any:
        if path.stem in reasons:
            raise DataError(f"{path} is damaged: {reasons[path.stem]}")
        return whole(path)

    read.read_camera = read_camera


def fake_scores(scene: FakeScene, plans: Any, rules: Any, **_: Any) -> Scores[Any]:
    speed = np.linspace(0, 12, ENTRIES)
    good = (np.abs(speed - scene.speed) < 2).astype(float)
    return entries_of(dict.fromkeys(rules.columns, good), 4 * speed, 48.0, rules)


PLANNER = PlannerConfig(
    name="hydra_small",
    encoder=TimmCameraConfig(
        network="resnet10t",
        panorama=PanoramaConfig(names=("CAM_F0",), height=32, width=32),
        stem_width=8,
        stage_widths=(8, 8, 8, 8),
        token_rows=1,
        token_columns=1,
        channels=8,
    ),
    head=HydraMdpConfig(width=16, attention_heads=2, feed_forward=16, decoder_layers=1, dropout=0.1, standardise=True),
)
TRAIN = TrainConfig(
    epochs=4,
    batch_size=3,
    learning_rate=3e-3,
    schedule="one_cycle",
    weight_decay=0.01,
    accelerator="cpu",
    smoke_scenes=0,
    augment=AugmentConfig(brightness=0.1, noise=0.01, status_dropout=0.2),
)


@pytest.fixture(scope="session")
def run_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of the fake scenes, a vocabulary and a teacher store of every split, built once; do not write into it."""
    poses = np.zeros((ENTRIES, 40, 3), np.float32)
    poses[..., 0] = np.linspace(0, 12, ENTRIES)[:, None] * np.arange(1, 41) / 10
    vocabulary = Vocabulary(poses)

    def make_files(folder: Path) -> None:
        save_images(folder / "sensors")
        vocabulary.save(folder / "vocabulary.npy")
        rules: dict[str, Any] = {"protocol_name": "epdms_v2", "human_filter": True, "workers": 1}
        for name, split in SPLITS.items():
            build.teach(vocabulary, split, folder, folder / f"teacher_{name}", **rules)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teach, "MetricCache", FakeCache)
        patch.setattr(build, "MetricCache", FakeCache)
        patch.setattr(teach, "score_entries", fake_scores)
        return built_once(tmp_path_factory, "run_files", make_files)


@pytest.fixture
def make_run(run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """Builds run configs over made-up splits `train` and `val`, with copies of `run_files` beside the runs."""
    torch.set_num_threads(1)  # as ranks have it: sums of several threads differ in the last bits
    shutil.copytree(run_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(material, "MetricCache", FakeCache)
    monkeypatch.setattr(material, "load_split", lambda name, data, allow_missing=False: SPLITS[name])
    monkeypatch.setattr(dataset, "scenes_of", lambda split, data: map(FakeScene, split.tokens))
    sensors = tmp_path / "sensors"
    monkeypatch.setattr(read, "camera_path", lambda scene, name, data, frame=-1: sensors / f"{scene.token}.png")

    def make(out: str = "run", **changes: Any) -> RunConfig:
        base = RunConfig(
            agent="hydra_small",
            split="train",
            val_split="val",
            out=tmp_path / out,
            cache=tmp_path / "cache",
            vocabulary=tmp_path / "vocabulary.npy",
            teacher=tmp_path / "teacher_train",
            val_teacher=tmp_path / "teacher_val",
            planner=PLANNER,
            train=TRAIN,
        )
        return replace(base, **changes)

    return make

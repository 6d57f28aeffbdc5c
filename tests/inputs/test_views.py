"""Several cameras and frames: which files are read, in which order, and the same from a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.inputs import read
from navforge.inputs.input_spec import PANORAMA, InputSpec
from navforge.inputs.stored import from_stored
from navforge.models.encoders.configs import VisionConfig
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.planner_config import PlannerConfig


@dataclass(frozen=True)
class OneScene:
    num_history_frames: int = 4
    token: str = "a"


def level(name: str, frame: int) -> int:
    return {"CAM_L0": 40, "CAM_F0": 80, "CAM_R0": 120}[name] - 5 * frame


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read; every image has the grey of its camera and frame."""
    files: list[str] = []

    def image(path: Path) -> Any:
        files.append(str(path))
        name, frame = str(path).split(":")
        return np.full((36, 64, 3), level(name, int(frame)), np.uint8)

    monkeypatch.setattr(read, "camera_path", lambda scene, name, data, frame=-1: Path(f"{name}:{frame}"))
    monkeypatch.setattr(read, "read_camera", image)
    monkeypatch.setattr(read, "read_status", lambda scene, frames=1: np.zeros(8, np.float32))
    return files


def seen(scene: OneScene, **keys: Any) -> np.ndarray:
    config = PlannerConfig(
        name="any", encoder=VisionConfig(network="ijepa", height=32, width=32, **keys), head=MlpHeadConfig()
    )
    spec = InputSpec.of(config, targets=False)
    reference = read.refer(scene, spec, None)  # type: ignore[arg-type]
    stored = read.read_stored(reference, spec, None)  # type: ignore[arg-type]
    return from_stored(stored, spec)[PANORAMA]


@pytest.mark.parametrize("quality", (None, 95))
def test_cameras_of_every_frame_oldest_first(quality: int | None, opened: list[str]) -> None:
    views = seen(OneScene(), view="cameras", names=("CAM_F0", "CAM_R0"), frames=2, quality=quality)
    assert opened == ["CAM_F0:-2", "CAM_R0:-2", "CAM_F0:-1", "CAM_R0:-1"]
    assert views.shape == (4, 3, 32, 32)
    expected = [level(name, frame) for frame in (-2, -1) for name in ("CAM_F0", "CAM_R0")]
    assert np.abs(views.mean(axis=(1, 2, 3)) - expected).max() < 1


def test_only_what_is_asked_for_is_opened(opened: list[str]) -> None:
    assert seen(OneScene()).shape == (3, 32, 32)
    assert opened == ["CAM_F0:-1"]
    opened.clear()
    assert seen(OneScene(), view="panorama", frames=3).shape == (3, 3, 32, 32)
    assert opened == [f"{name}:{frame}" for frame in (-3, -2, -1) for name in ("CAM_L0", "CAM_F0", "CAM_R0")]


def test_more_frames_than_a_scene_has_are_an_error(opened: list[str]) -> None:
    with pytest.raises(DataError, match=r"scene a has 2 frames up to the current one, the planner sees 4"):
        seen(OneScene(num_history_frames=2), frames=4)
    assert opened == []

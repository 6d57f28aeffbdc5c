"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.vocabulary.vocabulary import Vocabulary
from tests.built_once import built_once
from tests.e2e.world import World, make_world

VOCABULARY = "v24.npy"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Logs, maps and a metric cache, built once; do not write into it."""
    return World(built_once(tmp_path_factory, "e2e_world", make_world))


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Straight on and round both bends, at speeds from standing to far too fast."""
    return built_once(tmp_path_factory, "e2e_vocabulary", save_vocabulary) / VOCABULARY


def save_vocabulary(folder: Path) -> None:
    speed, bend = np.meshgrid(np.linspace(0, 14, 8), np.linspace(-0.1, 0.1, 3))
    seconds = np.arange(1, 41) / 10
    heading = (speed * bend).reshape(-1, 1) * seconds / 4
    way = speed.reshape(-1, 1) * seconds
    poses = np.stack([way * np.cos(heading / 2), way * np.sin(heading / 2), heading], axis=-1)
    Vocabulary(poses.astype(np.float32)).save(folder / VOCABULARY)

"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("NAVFORGE_TEST_DATA", Path(__file__).parents[2] / "shared"))


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.exists():
        pytest.skip(f"{folder} not found beside the checkout (set NAVFORGE_TEST_DATA to the folder that holds it)")
    return path


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Two real logs with outputs of the official devkit; not part of the repository."""
    return _shared("realdata")


@pytest.fixture(scope="session")
def navsim_files() -> Path:
    """Public split and vocabulary files; not part of the repository."""
    return _shared("navsim-files")

"""`--require` turns a skip for want of something into a failure, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import REASONS

TESTS = """
import pytest
pytest_plugins = ["tests.requirements"]
"""
CASES = """
import pytest
@pytest.mark.skipif(True, reason="no CUDA device")
def test_gpu(): pass
@pytest.fixture
def data(): pytest.skip("realdata not found beside the checkout")
def test_data(data): pass
@pytest.mark.skipif(True, reason="Mondays")
def test_other(): pass
def test_fine(): pass
"""


def outcome(folder: Path, *words: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(TESTS)
    (folder / "test_cases.py").write_text(CASES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", *words, "."]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": root}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "status", "counts"),
    [
        ((), 0, "1 passed, 3 skipped"),
        (("--require=gpu",), 1, "1 passed, 2 skipped, 1 error"),
        (("--require=gpu,data",), 1, "1 passed, 1 skipped, 2 errors"),
        (("--require=slurm",), 0, "1 passed, 3 skipped"),
    ],
)
def test_skips_for_a_required_thing_fail(tmp_path: Path, words: tuple[str, ...], status: int, counts: str) -> None:
    code, text = outcome(tmp_path, *words)
    assert code == status, text
    assert all(part in text for part in counts.split(", ")), text


def test_an_unknown_requirement_is_refused(tmp_path: Path) -> None:
    code, text = outcome(tmp_path, "--require=moon")
    assert code != 0 and "--require=moon: expected some of" in text
    assert set(REASONS) >= {"data", "slurm", "gpu", "browser"}

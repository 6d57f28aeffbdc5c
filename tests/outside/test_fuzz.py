"""Damaged and hostile files: every reader gives equal data or an error that names the file; none crashes or hangs.

`NAVFORGE_FUZZ=N` makes N times the cases, with another seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = 10


@pytest.mark.slow
def test_no_file_from_outside_crashes_a_reader(tmp_path: Path) -> None:
    times = int(os.environ.get("NAVFORGE_FUZZ", "1"))
    words = [sys.executable, "-m", "tests.outside.fuzz", str(tmp_path), str(CASES * times), str(times - 1)]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        errors="replace", timeout=300 * times, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    wrong = done.stdout[done.stdout.index("WRONG") :] if "WRONG" in done.stdout else ""
    assert lines and lines[-1] == "DONE", f"ended by {done.returncode} at {lines[-1:]}: {done.stderr[-2000:]}"
    assert not wrong, wrong[:6000]

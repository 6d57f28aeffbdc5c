"""A test run leaves nothing in the temporary folder but pytest's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LEAVES = """
import os, subprocess, sys, tempfile

def test_leaves_a_folder_and_so_does_a_process_that_is_killed(tmp_path):
    assert tempfile.mkdtemp().startswith(tempfile.gettempdir())
    code = "import os, tempfile; tempfile.TemporaryDirectory(); name = tempfile.mkdtemp(); print(name); os._exit(9)"
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert ended.returncode == 9 and os.path.isdir(ended.stdout.strip())
"""


@pytest.mark.parametrize("processes", ["0", "1"])
def test_nothing_is_left(processes: str, tmp_path: Path) -> None:
    test, temporary = tmp_path / "test_leaves.py", tmp_path / "temporary"
    test.write_text(LEAVES)
    temporary.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environ |= {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.temporary", "-n", processes, str(test)]
    subprocess.run(command, env=environ, cwd=tmp_path, check=True)
    assert [entry.name.rpartition("-")[0] for entry in temporary.iterdir()] == ["pytest-of"]

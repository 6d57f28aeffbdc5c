"""One process at a time in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.core.files import sole_use

HOLD = """
import sys
from pathlib import Path
from navforge.core.files import sole_use
with sole_use(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match=r"another process works in .*store just now"), sole_use(folder):
            pass
        holder.kill()  # a lock does not outlive its process
        holder.wait()
    with sole_use(folder):
        assert not list(folder.iterdir())

"""A verb that is killed by SIGKILL in the middle of its work, at the same place each time."""

from __future__ import annotations

import signal
import subprocess
import sys

_PROGRAM = """
import os, signal, sys
from navforge.cli.main import main
whole, ending, files = os.replace, sys.argv[1], int(sys.argv[2])
def replace(source, target):
    global files
    files -= str(target).endswith(ending)
    if files < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(source, target)
os.replace = replace
main(sys.argv[3:])
"""


def run_and_kill(words: list[str], ending: str, files: int) -> None:
    """Run `navforge WORDS` until it has written so many files of a kind and one more, which has no name yet.

    Args:
        words: verb and keys; the work is done in one process.
        ending: of the files that are counted.
        files: how many of them get their name.
    """
    command = [sys.executable, "-c", _PROGRAM, ending, str(files), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr

"""A study on town through the command line: killed at any moment, the same command ends in the same numbers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from navforge.cli.main import main
from tests.studies.world import STUDY, graph, study, write

ONE_FACTOR = {"factors": {"width": STUDY["factors"]["width"]}, "floors": {}, "seeds": [0]}


def start(path: Path, out: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "navforge", "study", "run", str(path), f"out={out}"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_after(path: Path, out: Path, lines: int) -> None:
    """Start the study and kill it once it has printed so many lines."""
    driver = start(path, out)
    assert driver.stdout is not None
    for _ in range(lines):
        driver.stdout.readline()
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stdout.close()


@pytest.mark.slow
def test_killed_and_gone_on_with_it_comes_to_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "study.yaml", study(**ONE_FACTOR))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    driver = start(path, whole)
    printed, _ = driver.communicate()
    assert driver.returncode == 0, printed
    assert main(["study", "report", str(path), f"out={whole}"]) == 0
    numbers = (whole / "report" / "comparison.csv").read_bytes()
    assert b"one seed" in numbers

    shutil.copytree(whole / "stages", killed / "stages")  # found again in another place
    made = {path: path.stat().st_mtime_ns for path in (killed / "stages").rglob("*.*") if path.parent.name == "logs"}
    assert made
    for lines in (2, 5):
        kill_after(path, killed, lines)
    driver = start(path, killed)
    printed, _ = driver.communicate()
    assert driver.returncode == 0, printed
    assert made == {path: path.stat().st_mtime_ns for path in made}, "stages are checked, and kept"
    assert main(["study", "report", str(path), f"out={killed}"]) == 0
    assert (killed / "report" / "comparison.csv").read_bytes() == numbers

    assert main(["study", "export", str(path), f"out={whole}", f"archive={tmp_path / 'a.zip'}"]) == 0
    shutil.rmtree(whole)
    assert main(["study", "report", str(tmp_path / "a.zip"), f"out={tmp_path / 'elsewhere'}"]) == 0
    assert (tmp_path / "elsewhere" / "comparison.csv").read_bytes() == numbers
    capsys.readouterr()
    assert main(["study", "status", str(path), f"out={killed}", "watch=false"]) == 0
    assert f"{len(graph(tmp_path, **ONE_FACTOR).nodes)} of" in capsys.readouterr().out

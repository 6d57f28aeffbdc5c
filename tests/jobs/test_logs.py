"""Logs: the ends of all, one of them, and what is added while a run goes on, whatever happens to the files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from navforge.cli.main import main
from navforge.core.errors import DataError
from navforge.jobs.logs import follow, log_files, tail
from tests.jobs.made import beat, make_run, record


def test_jobs_come_first_then_ranks_by_number(tmp_path: Path) -> None:
    names = ["rank-10.log", "rank-2.log", "job-40.log", "job-9.log", "notes.log", "rank-0.log", "rank-1.txt"]
    folder = make_run(tmp_path / "run", logs=dict.fromkeys(names, "x\n"))
    assert list(log_files(folder)) == ["job 9", "job 40", "rank 0", "rank 2", "rank 10"]
    assert list(log_files(folder, 2)) == ["rank 2"]
    with pytest.raises(DataError, match="no log of rank 3; ranks with a log: 0, 2, 10"):
        log_files(folder, 3)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n2\nbar 1/3\rbar 2/3\rbar 3/3\n\xff\nlast")
    assert tail(path, None) == ["1", "2", "bar 3/3", "�", "last"] and tail(path, 2) == ["�", "last"]
    assert tail(path, 0) == []


class Script:
    """Files that change between two looks: step K runs in the K-th pause; the run ends after the last."""

    def __init__(self, folder: Path, *steps: Callable[[], object]) -> None:
        self.folder = folder
        self.steps = list(steps)

    def files(self) -> dict[str, Path]:
        return {path.name: path for path in sorted(self.folder.glob("*.log"))}

    def follow(self, count: int | None = 10) -> list[str]:
        found = follow(self.files, lambda: not self.steps, count=count, pause=lambda _: self.steps.pop(0)() and None)
        return [f"{line.source} {line.text}" for line in found]


def append(path: Path, text: str) -> Callable[[], object]:
    def act() -> None:
        with open(path, "a", newline="") as file:
            file.write(text)

    return act


def test_lines_added_later_are_shown_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n2\n3\n")
    found = Script(tmp_path, append(log, "4\nfi"), append(log, "ve\n"), append(log, "without end")).follow(count=2)
    assert found == ["a.log 2", "a.log 3", "a.log 4", "a.log five", "a.log without end"]


def test_logs_that_appear_later_are_shown_from_their_start(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n")
    other = append(tmp_path / "b.log", "first\n" * 30)
    assert Script(tmp_path, other).follow(count=1) == ["a.log 1", *["b.log first"] * 30]


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n")

    def rotate() -> None:
        append(log, "2\n")()
        os.rename(log, tmp_path / "a.log.1")
        log.write_text("new 1\n")

    assert Script(tmp_path, rotate, append(log, "new 2\n")).follow() == [
        "a.log 1",
        "a.log 2",
        "a.log new 1",
        "a.log new 2",
    ]


def test_a_log_that_is_away_for_a_moment_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n")
    moved = tmp_path / "moved"
    found = Script(tmp_path, lambda: os.rename(log, moved), append(log, "new\n")).follow()
    assert found == ["a.log 1", "a.log new"]


def test_a_log_that_is_cut_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("a long first line\n")
    assert Script(tmp_path, lambda: log.write_text("cut\n")).follow() == ["a.log a long first line", "a.log cut"]


def test_the_verb_names_every_line_but_those_of_one_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path / "run", beats=(beat(0),), logs={"rank-0.log": "zero\n", "rank-1.log": "a\nb\nc\n"})
    assert main(["jobs", "logs", str(folder.path), "--lines", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == ["  rank 0 | zero", "  rank 1 | b", "  rank 1 | c"]
    assert main(["jobs", "logs", str(folder.path), "--rank", "1", "--lines", "null"]) == 0
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_following_ends_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path / "run", beats=(beat(0, phase="finished"),), finished=True, logs={"rank-0.log": "1\n2"})
    assert main(["jobs", "logs", str(folder.path), "--rank", "0", "--follow"]) == 0
    assert capsys.readouterr().out == "1\n2\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "holds no log yet"),
        (["--rank", "5"], "has ranks 0 to 1; rank 5 is none of them"),
        (["--rank", "1"], "has no log of rank 1; ranks with a log: none yet"),
    ],
)
def test_what_is_not_there_is_said(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run", record())
    assert main(["jobs", "logs", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err
    assert main(["jobs", "logs", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    make_run(tmp_path / "run", finished=True, logs={"rank-0.log": "line\n" * 100_000})
    words = [sys.executable, "-m", "navforge", "jobs", "logs", str(tmp_path / "run"), "--lines", "null"]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert first.stdout is not None and first.stderr is not None
    first.stdout.readline()
    first.stdout.close()
    assert first.stderr.read() == b"" and first.wait() == 0

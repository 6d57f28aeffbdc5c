"""The table of runs: what a person reads, at every width; no torch behind it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from navforge.cli.main import main
from navforge.core.durations import write_duration
from navforge.jobs import table
from navforge.jobs.cluster import Answer, SlurmJob
from navforge.jobs.table import per_node, render, survey
from navforge.jobs.units import clock, fold_names, significant, sparkline
from navforge.runs.status import Attempt
from tests.jobs.made import NOW, beat, failure, make_run, record

LONG = "study/hydra_mdp_v8192_w_ep_seed0"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four runs: one that trains on Slurm, one that waits there, one that failed, one damaged; the clock stands."""
    attempts = tuple(Attempt(attempt=i, job="40", world_size=8, time=NOW, resumed_step=0) for i in range(3))
    beats = tuple(beat(rank, job="40", node=f"gl00{rank // 4 + 1}") for rank in range(8))
    make_run(tmp_path / LONG, record(launch="slurm", nodes=2, devices=4, jobs=("40",)), beats=beats, attempts=attempts)
    make_run(tmp_path / "waiting", record(launch="slurm", nodes=1, devices=8, jobs=("41",)))
    make_run(tmp_path / "broken", beats=(beat(0),), failures=(failure(1, "non_finite"),))
    make_run(tmp_path / "damaged").record_file.write_text("{")
    answer = Answer(
        jobs={
            "40": SlurmJob(state="RUNNING", nodes="gl[001-002]", started=NOW - 200, ends=NOW + 3600),
            "41": SlurmJob(state="PENDING", reason="Priority", position=3, waiting=17),
        },
        note="",
    )
    monkeypatch.setattr(table, "ask", lambda jobs: answer if set(jobs) == {"40", "41"} else Answer(note=str(jobs)))
    monkeypatch.setattr(table.time, "time", lambda: NOW)
    return tmp_path


def lines(root: Path, width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(survey(root), width))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_everything_a_person_asks_for_is_in_the_wide_table(root: Path) -> None:
    head, running, waiting, broken, legend, *notes = lines(root, 240)
    titles = "run job state nodes epoch step samples/s waits loss host GB GPU GB restarts ends in, or why not"
    assert " ".join(head.split()) == titles
    assert running.split("  ")[0] == LONG
    for cell in ("slurm 40", "training", "gl[001-002] x 4", "2/10", "120/1000", "81.2", "3%", "0.432", " 2 "):
        assert cell in running
    assert "6.5/23.0" in running and "20.0/80.0" in running, "largest rank / fullest node"
    assert "2 h 13 min" in running and "; limit " in running
    assert "queued" in waiting and "3 of 17, Priority" in waiting and "1 node x 8" in waiting
    assert "failed" in broken and "rank 1: non_finite" in broken
    assert "1 queued, 1 training, 1 failed" in legend
    assert len(notes) == 1 and "damaged/run.json is damaged" in notes[0]


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_no_line_is_wider_than_the_terminal_and_names_stay_whole(root: Path, width: int) -> None:
    found = lines(root, width)
    assert all(len(line) <= width for line in found)
    assert found[1].startswith(LONG) and "training" in found[1] and "2 h 13 min" in found[1]
    assert "3 of 17, Priority" in found[2] and "rank 1: non_finite" in found[3]


def test_a_narrow_terminal_leaves_out_what_matters_least(root: Path) -> None:
    titles = [set(lines(root, width)[0].split()) for width in (80, 120, 240)]
    assert titles[0] < titles[1] < titles[2]


def test_without_runs_it_says_what_makes_one(tmp_path: Path) -> None:
    assert "no runs under" in lines(tmp_path, 200)[0] and "navforge train out=" in lines(tmp_path, 200)[0]


def test_without_slurm_its_runs_are_shown_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "far", record(launch="slurm", jobs=("40",)), beats=(beat(0, job="40", node="gl001"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(table.time, "time", lambda: NOW)
    found = lines(tmp_path, 200)
    assert "training" in found[1] and "Slurm's commands are not installed here" in found[-1]


def test_the_verb_prints_once_where_there_is_no_terminal(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAVSIM_EXP_ROOT", str(root))
    assert main(["jobs"]) == 0
    assert LONG in capsys.readouterr().out
    assert main(["jobs", f"root={root / 'nowhere'}"]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_memory_is_summed_per_node() -> None:
    beats = [beat(rank, node=f"n{rank // 2}", host_bytes=rank) for rank in range(4)]
    assert per_node(beats, "host_bytes") == [1, 5]


def test_a_run_that_ended_shows_no_speed(root: Path) -> None:
    (broken,) = [line for line in lines(root, 240) if line.startswith("broken")]
    assert "81.2" not in broken and "GB" not in broken and "2 h 13" not in broken


def test_numbers_as_a_person_reads_them() -> None:
    assert [write_duration(s) for s in (0.2, 61, 3660, 90000, -3)] == [
        "0 s",
        "1 min 01 s",
        "1 h 01 min",
        "1 d 01 h",
        "0 s",
    ]
    assert [significant(x) for x in (0.43218, 12345.6, 0.0, 1e-7, -2.5, 2e8)] == [
        "0.432",
        "12346",
        "0",
        "1.0e-07",
        "-2.5",
        "2.0e+08",
    ]
    assert len(clock(NOW, NOW)) == 5 and len(clock(NOW + 3 * 86400, NOW)) == 12


def test_sparkline_goes_from_lowest_to_highest() -> None:
    assert sparkline([0.0, 1.0, 2.0, 3.0]) == "▁▃▆█"
    assert sparkline([]) == "" and sparkline([5.0, 5.0]) == "▁▁"
    assert sparkline([9.0, 10.0], low=0.0) == "██" and sparkline([1.0, 10.0], low=0.0) == "▁█"
    assert len(sparkline([float(i) for i in range(1000)], 40)) == 40


def test_the_table_does_not_load_torch(tmp_path: Path) -> None:
    make_run(tmp_path / "run", beats=(beat(0),))
    code = (
        "import sys; from navforge.cli.main import main; main(sys.argv[1:]);"
        "print([name for name in ('torch', 'lightning_fabric', 'polars', 'numba') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, "jobs", f"root={tmp_path}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_names_of_nodes_are_folded() -> None:
    assert fold_names(["gl002", "gl001", "gl001", "gl007", "login"]) == "gl[001-002,007],login"
    assert fold_names(["gh001"]) == "gh001" and fold_names([]) == "" and fold_names(["a1", "b2"]) == "a1,b2"

"""One word for a run, from heartbeats, processes and Slurm's view."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.jobs.cluster import Answer, SlurmJob
from navforge.jobs.state import state_of
from navforge.jobs.view import find_runs, read_run
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder
from navforge.runs.processes import local_job
from navforge.runs.status import Attempt
from tests.jobs.made import GONE_PID, NOW, alive_beat, beat, failure, make_run, record

HOST = socket.gethostname()


def state(folder: RunFolder, job: SlurmJob | None = None, now: float = NOW) -> tuple[str, str]:
    found = state_of(read_run(folder), job, now=now)
    return found.name, found.note


def end(rank: int, status: int, **changes: object) -> RankExit:
    return RankExit(**{"rank": rank, "attempt": 0, "pid": 1, "status": status, "time": NOW, **changes})


def test_runs_are_found_three_levels_deep_and_not_inside_runs(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "x" / "b", tmp_path / "x" / "y" / "c"]
    hidden = [tmp_path / "x" / "y" / "z" / "too_deep", tmp_path / "a" / "code" / "inside", tmp_path / ".dot" / "d"]
    for path in [*paths, *hidden]:
        make_run(path)
    assert [folder.path for folder in find_runs(tmp_path)] == paths
    assert [folder.path for folder in find_runs(tmp_path / "a")] == [tmp_path / "a"], "the root itself may be a run"
    with pytest.raises(DataError, match="is not a folder"):
        find_runs(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("phase", "name"), [("rendezvous", "starting"), ("training", "training"), ("validating", "validating")]
)
def test_a_living_process_is_what_its_heartbeat_says(tmp_path: Path, phase: str, name: str) -> None:
    folder = make_run(tmp_path / "run", beats=(alive_beat(0, phase=phase), alive_beat(1)))
    assert state(folder, now=time.time())[0] == name


def test_a_rank_that_beats_but_takes_no_step_is_told(tmp_path: Path) -> None:
    now = time.time()
    folder = make_run(tmp_path / "run", beats=(alive_beat(0, moved=now - 900), alive_beat(1)))
    assert state(folder, now=now) == ("training", "no step for 15 min 00 s")
    folder = make_run(tmp_path / "well", beats=(alive_beat(0, moved=now - 60), alive_beat(1)))
    assert state(folder, now=now) == ("training", "")


def test_a_living_process_that_is_silent_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", beats=(alive_beat(0), alive_beat(1)))
    assert state(folder, now=time.time() + 600) == ("training", "silent for 10 min 00 s")


@pytest.mark.parametrize(("seconds", "silent"), [(89.0, False), (91.0, True)])
def test_a_rank_is_silent_after_90_seconds(tmp_path: Path, seconds: float, silent: bool) -> None:
    now = time.time()
    beats = (alive_beat(0, time=now - seconds, moved=now), alive_beat(1))
    assert state(make_run(tmp_path / "run", beats=beats), now=now)[1].startswith("silent") == silent


def test_no_process_and_no_word_of_an_end_is_lost(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", beats=(beat(0), beat(1)))
    assert state(folder) == ("lost", f"its processes are gone; last heartbeat 2 s ago on {HOST}")


def test_on_another_machine_a_fresh_heartbeat_counts_and_an_old_one_says_nothing(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", beats=(beat(0, node="far"), beat(1, node="far")))
    assert state(folder)[0] == "training"
    assert state(folder, now=NOW + 3600) == ("unknown", "last heartbeat 1 h 00 min ago on far")


def test_a_supervisor_alive_without_heartbeats_is_starting(tmp_path: Path) -> None:
    assert state(make_run(tmp_path / "run", record(jobs=(local_job(),))), now=time.time())[0] == "starting"
    dead = make_run(tmp_path / "dead", record(jobs=(f"{HOST}.{GONE_PID}.1000",)))
    assert state(dead) == ("lost", "its processes are gone; no heartbeat yet")


def test_the_first_failure_names_the_end(tmp_path: Path) -> None:
    beats = (beat(0, phase="failed"), beat(1, phase="failed"))
    late, first = failure(0, "error", time=NOW), failure(1, "non_finite", time=NOW - 5)
    assert state(make_run(tmp_path / "run", beats=beats, failures=(late, first))) == ("failed", "rank 1: non_finite")


def test_what_a_lost_peer_made_others_say_is_no_reason(tmp_path: Path) -> None:
    peer = failure(0, "peer", time=NOW - 5)
    with_exit = make_run(tmp_path / "a", beats=(beat(0, phase="failed"),), failures=(peer,), ends=(end(1, -9),))
    assert state(with_exit) == ("failed", "rank 1: killed by SIGKILL")
    with_reason = make_run(tmp_path / "b", beats=(beat(0),), failures=(peer, failure(1, "disk_full")))
    assert state(with_reason) == ("failed", "rank 1: disk_full")
    assert state(make_run(tmp_path / "c", beats=(beat(0),), failures=(peer,))) == ("failed", "another rank was gone")


def test_exits_name_the_end_where_no_rank_could(tmp_path: Path) -> None:
    told = end(0, -15, asked=True, time=NOW - 1)
    folder = make_run(tmp_path / "run", beats=(beat(0), beat(1)), ends=(told, end(1, -9)))
    assert state(folder) == ("failed", "rank 1: killed by SIGKILL")
    only_told = make_run(tmp_path / "b", beats=(beat(0),), ends=(told,))
    assert state(only_told)[0] == "stopped"


def test_ranks_that_stopped_with_a_checkpoint(tmp_path: Path) -> None:
    beats = (beat(0, phase="stopped"), beat(1, phase="stopped"))
    ends = (end(0, 143), end(1, 75))
    assert state(make_run(tmp_path / "run", beats=beats, ends=ends)) == ("stopped", "with a checkpoint")


def test_a_run_nobody_can_tell_of_is_unknown_not_lost(tmp_path: Path) -> None:
    assert state(make_run(tmp_path / "a", SLURM)) == ("unknown", "no heartbeat yet")
    assert state(make_run(tmp_path / "b")) == ("unknown", "prepared, not started")


def test_ranks_that_have_not_come_yet_are_counted(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", record(devices=8), beats=(alive_beat(0), alive_beat(5)))
    assert state(folder, now=time.time()) == ("training", "no word yet from 6 of 8 ranks")


def test_finished(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", beats=(beat(0, phase="finished"),), finished=True)
    assert state(folder) == ("finished", "")
    assert state(folder, SlurmJob(state="COMPLETED")) == ("finished", "")


SLURM = record(launch="slurm", jobs=("39", "40"))


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (SlurmJob(state="PENDING", reason="Priority", position=3, waiting=9), ("queued", "3 of 9, Priority")),
        (SlurmJob(state="PENDING", reason="BeginTime"), ("queued", "BeginTime")),
        (SlurmJob(state="CONFIGURING"), ("queued", "")),
        (SlurmJob(state="RUNNING"), ("training", "")),
        (SlurmJob(state="RUNNING", started=NOW - 1), ("starting", "")),
        (SlurmJob(state="COMPLETING"), ("training", "")),
        (SlurmJob(state="TIMEOUT"), ("failed", "TIMEOUT")),
        (SlurmJob(state="OUT_OF_MEMORY"), ("failed", "OUT_OF_MEMORY")),
        (SlurmJob(state="FAILED"), ("failed", "FAILED")),
        (SlurmJob(state="CANCELLED"), ("stopped", "cancelled")),
        (SlurmJob(state="COMPLETED"), ("stopped", "its job completed, training did not")),
    ],
)
def test_slurm_says_more_than_heartbeats(tmp_path: Path, job: SlurmJob, expected: tuple[str, str]) -> None:
    folder = make_run(tmp_path / "run", SLURM, beats=(beat(0, job="40", node="gl1"), beat(1, job="40", node="gl1")))
    assert state(folder, job) == expected


@pytest.mark.parametrize(
    ("word", "note"),
    [
        ("FAILED", "with a checkpoint"),
        ("TIMEOUT", "TIMEOUT, with a checkpoint"),
        ("CANCELLED", "cancelled, with a checkpoint"),
    ],
)
def test_ranks_that_wrote_a_checkpoint_before_their_job_ended(tmp_path: Path, word: str, note: str) -> None:
    beats = tuple(beat(rank, job="40", node="gl1", phase="stopped") for rank in (0, 1))
    assert state(make_run(tmp_path / "run", SLURM, beats=beats), SlurmJob(state=word)) == ("stopped", note)


def test_heartbeats_of_an_earlier_job_say_nothing_of_this_one(tmp_path: Path) -> None:
    old = (beat(0, job="39", phase="failed"), beat(1, job="39", phase="failed"))
    folder = make_run(tmp_path / "run", SLURM, beats=old, failures=(failure(0),))
    assert state(folder, SlurmJob(state="RUNNING"))[0] == "starting"
    assert state(folder, SlurmJob(state="FAILED")) == ("failed", "FAILED")


def test_records_of_an_earlier_start_are_left_out(tmp_path: Path) -> None:
    first = (beat(0, time=NOW - 900, started=NOW - 1000, phase="failed"),)
    folder = make_run(
        tmp_path / "run",
        record(devices=3),
        beats=(*first, beat(1), beat(2, attempt=0)),
        failures=(failure(0, time=NOW - 901), failure(1, "gpu_memory", time=NOW - 1)),
        ends=(end(0, 1, time=NOW - 899), end(1, 1)),
        attempts=(Attempt(attempt=0, job=None, world_size=3, time=NOW - 1000, resumed_step=0),),
    )
    view = read_run(folder)
    assert list(view.statuses) == [1, 2] and view.missing == (0,)
    assert [f.cause for f in view.failures] == ["gpu_memory"] and [e.rank for e in view.exits] == [1]


def test_records_before_the_last_supervisor_are_left_out(tmp_path: Path) -> None:
    run = record(jobs=(f"{HOST}.{GONE_PID}.{int(NOW) + 50}",))
    view = read_run(make_run(tmp_path / "run", run, beats=(beat(0),), failures=(failure(0),)))
    assert not view.statuses and not view.failures


def test_damaged_records_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", beats=(beat(0), beat(1)))
    folder.status_file(1).write_text("{")
    folder.failure_file(0).parent.mkdir()
    folder.failure_file(0).write_text("[]")
    folder.exits.write_text("x\ny\n")
    view = read_run(folder)
    assert list(view.statuses) == [0] and len(view.damaged) == 3
    assert all("is damaged" in text for text in view.damaged)


def test_a_local_run_of_another_machine_ends_with_the_job_of_slurm_it_was_part_of(tmp_path: Path) -> None:
    run = record(jobs=("far.1.1700000000@345",))
    folder = make_run(tmp_path / "run", run, beats=(beat(0, node="far"), beat(1, node="far")))
    view = read_run(folder)
    assert view.slurm_job == "345" and state(folder)[0] == "training"
    assert state(folder, SlurmJob(state="RUNNING", started=NOW - 200))[0] == "training"
    assert state(folder, SlurmJob(state="RUNNING", started=NOW - 1))[0] == "lost", "the job has started again since"
    for over in ("CANCELLED", "PREEMPTED", "OUT_OF_MEMORY", "PENDING"):
        assert state(folder, SlurmJob(state=over))[0] == "lost", over
    assert Answer().of(view) == SlurmJob(state="COMPLETED"), "Slurm has forgotten it"
    assert Answer(silent=True).of(view) is None and state(folder, now=NOW + 3600)[0] == "unknown"
    finished = make_run(tmp_path / "done", run, beats=(beat(0, node="far"),), finished=True)
    assert state(finished, SlurmJob(state="RUNNING", started=NOW - 200))[0] == "finished"
    here = make_run(tmp_path / "here", record(jobs=(f"{local_job()}@345",)), beats=(alive_beat(0), alive_beat(1)))
    assert state(here, SlurmJob(state="PENDING"), now=time.time())[0] == "training", "a process that lives does"
    submitted = make_run(tmp_path / "slurm", record(launch="slurm", jobs=("345",)))
    assert Answer().of(read_run(submitted)) is None

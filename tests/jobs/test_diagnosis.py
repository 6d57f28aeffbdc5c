"""What ended a run: signatures of failures, as recorded on a real Slurm, and their diagnoses; the rest is unknown."""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from navforge.core.files import write_text
from navforge.jobs.cluster import SlurmJob, from_accounting
from navforge.jobs.diagnose import diagnose
from navforge.jobs.diagnosis import CAUSES, Diagnosis
from navforge.jobs.evidence import assemble, newest_checkpoint
from navforge.jobs.first_failure import ranks_of
from navforge.jobs.rules.ranks import TELLERS
from navforge.runs.exits import RankExit
from navforge.runs.folder import RunFolder
from navforge.runs.requests import append_request
from navforge.runs.status import CAUSES as RANK_CAUSES
from navforge.runs.status import RankStatus, write
from navforge.slurm.output import parse_accounting
from tests.jobs.made import NOW, alive_beat, beat, failure, make_run, record

START = datetime.fromisoformat("2026-11-23T03:00:00").timestamp()
HEADER = "navforge: job 40 on gl[001-002], restart 0, 2026-11-23T03:00:00+0000\n"
STEP_ENDED = (
    "srun: launch/slurm: _step_signal: Terminating StepId=40.0\n"
    "0: slurmstepd-gl001: error: *** STEP 40.0 ON gl001 CANCELLED AT 2026-11-23T03:01:00 ***\n"
    "srun: error: gl001: tasks 0-1: Exited with exit code 143\n"
)
SLURM = record(launch="slurm", nodes=2, devices=2, jobs=("40",))
SCRIPT = "#!/bin/bash\n#SBATCH --mem=480G\n#SBATCH --time=2-00:00:00\n"
CONFIG = "split: town train\ntrain:\n  batch_size: 16\n  accumulate: 2\n  learning_rate: 0.0002\n"
COMMAND = ["/x/navforge", "train", "agent=ego_mlp", "split=town train", "out=old", "train.batch_size=16"]


def sacct(
    state: str, code: str = "0:0", *steps: tuple[str, str, str], nodes: str = "gl[001-002]", job: str = "40"
) -> str:
    """Rows as `sacct` prints them: the job, then (step, state, exit code)."""
    times = "60|2026-11-23T02:59:59|2026-11-23T03:00:00|2026-11-23T03:01:00"
    rows = [f"{job}|{state}|{code}|0:0|{times}||{nodes}|None"]
    rows += [f"{job}.{step}|{word}|{status}||{times}|280392K|gl001|" for step, word, status in steps]
    return "\n".join(rows)


def slurm_run(path: Path, log: str = "", *, beats: int | tuple[RankStatus, ...] = 4, **parts: Any) -> RunFolder:
    """A run of 2 x 2 ranks in job 40 whose ranks were last seen at 03:00:58."""
    if isinstance(beats, int):
        beats = tuple(slurm_beat(rank) for rank in range(beats))
    logs = {"job-40.log": HEADER + log, **parts.pop("logs", {})}
    folder = make_run(path, SLURM, beats=beats, logs=logs, **parts)
    write_text(folder.script, SCRIPT)
    write_text(folder.config, CONFIG)
    (folder.path / "launch.provenance.json").write_text(json.dumps({"command": COMMAND}))
    return folder


def slurm_beat(rank: int, **changes: Any) -> RankStatus:
    times = {"started": START + 5, "time": START + 58}
    return beat(rank, **{"job": "40", "world_size": 4, "node": f"gl00{rank // 2 + 1}", **times, **changes})


def slurm_failure(rank: int, cause: str, error: str, **changes: Any) -> Any:
    return failure(rank, cause, error, **{"time": START + 57, **changes})


def diagnosis(folder: RunFolder, rows: str = "", job: SlurmJob | None = None) -> Diagnosis:
    steps = parse_accounting(rows)
    known = from_accounting(steps).get("40") if job is None else job
    found = diagnose(assemble(folder, job=known, rows=steps, now=START + 3600))
    assert found.cause in CAUSES
    return found


def evidence(found: Diagnosis) -> str:
    return "\n".join(map(str, found.evidence))


FAILED = sacct("FAILED", "1:0", ("batch", "FAILED", "1:0"), ("0", "FAILED", "15:0"))
OOM_LINE = (
    "2: slurmstepd-gl002: error: Detected 1 oom-kill event(s) in StepId=40.0. Some of your processes may have been "
    "killed by the cgroup out-of-memory handler.\n"
)


def test_out_of_host_memory_by_the_kernel(tmp_path: Path) -> None:
    log = OOM_LINE + "srun: error: gl002: task 3: Out Of Memory\n" + STEP_ENDED
    found = diagnosis(slurm_run(tmp_path / "run", log), FAILED)
    assert found.cause == "host_memory" and "480G per node" in found.summary and "rank 3 on gl002" in found.summary
    assert "logs/job-40.log:2: " in evidence(found) and "oom-kill" in evidence(found)
    assert found.remedy[0] == f"sbatch --mem=720G {tmp_path}/run/job.sbatch"


def test_out_of_host_memory_by_the_state_alone(tmp_path: Path) -> None:
    found = diagnosis(slurm_run(tmp_path / "run"), sacct("OUT_OF_MEMORY", "0:125"))
    assert found.cause == "host_memory" and "OUT_OF_MEMORY" in evidence(found)


def test_out_of_host_memory_by_polling(tmp_path: Path) -> None:
    log = (
        "slurmstepd-gl001: error: StepId=40.0 exceeded memory limit (541118464 > 524288000), being killed\n"
        "slurmstepd-gl001: error: Exceeded job memory limit\n"
        "srun: error: gl001: task 1: Killed\n"
    )
    rows = sacct("FAILED", "0:9", ("batch", "CANCELLED by 0", "0:9"), ("0", "CANCELLED by 0", "0:9"))
    found = diagnosis(slurm_run(tmp_path / "run", log), rows)
    assert found.cause == "host_memory" and "0.5 GB in use" in found.summary and "in use on gl001" in found.summary


def test_memory_killer_comes_before_what_the_other_ranks_made_of_it(tmp_path: Path) -> None:
    log = OOM_LINE + "srun: error: gl002: task 3: Out Of Memory\n"
    failures = (slurm_failure(0, "error", "RuntimeError: no idea why"), slurm_failure(1, "peer", "x: closed by peer"))
    assert diagnosis(slurm_run(tmp_path / "run", log, failures=failures), FAILED).cause == "host_memory"


def test_slurms_account_of_memory_comes_before_the_error_a_rank_recorded(tmp_path: Path) -> None:
    """A killed loader worker leaves its rank alive, which then records an error of its own and was not killed first."""
    error = "RuntimeError: DataLoader worker (pid 7) exited unexpectedly"
    folder = slurm_run(tmp_path / "run", failures=(slurm_failure(0, "error", error),))
    assert diagnosis(folder, FAILED).cause == "rank_error"
    assert diagnosis(folder, sacct("OUT_OF_MEMORY", "0:125")).cause == "host_memory"


def test_time_limit(tmp_path: Path) -> None:
    log = "slurmstepd-gl001: error: *** JOB 40 ON gl001 CANCELLED AT 2026-11-23T03:01:00 DUE TO TIME LIMIT ***\n"
    folder = slurm_run(tmp_path / "run", log)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "last.ckpt").write_bytes(b"x")
    found = diagnosis(folder, sacct("TIMEOUT", "0:0", ("batch", "CANCELLED", "0:15")))
    assert found.cause == "time_limit" and "step 120 of 1000" in found.summary and "last.ckpt" in found.summary
    assert found.remedy == (
        f"navforge jobs requeue {tmp_path}/run",
        f"sbatch --time=4-00:00:00 {tmp_path}/run/job.sbatch",
    )


def test_time_limit_of_a_run_that_had_hung(tmp_path: Path) -> None:
    rows = sacct("TIMEOUT").replace("T03:01:00", "T05:00:00")
    assert "may have hung" in diagnosis(slurm_run(tmp_path / "run"), rows).summary


def test_preemption(tmp_path: Path) -> None:
    log = "slurmstepd-gl001: error: *** JOB 40 ON gl001 CANCELLED AT 2026-11-23T03:01:00 DUE TO PREEMPTION ***\n"
    assert diagnosis(slurm_run(tmp_path / "a", log), sacct("PREEMPTED")).cause == "preemption"
    assert diagnosis(slurm_run(tmp_path / "b"), sacct("PREEMPTED")).cause == "preemption"


def test_node_failure(tmp_path: Path) -> None:
    log = (
        "srun: error: Node failure on gl002\n"
        "slurmstepd-gl001: error: *** JOB 40 ON gl001 CANCELLED AT 2026-11-23T03:00:52 DUE TO NODE FAILURE, SEE "
        "SLURMCTLD LOG FOR DETAILS ***\n"
        "srun: error: gl001: tasks 0-1: Exited with exit code 143\n"
    )
    found = diagnosis(slurm_run(tmp_path / "run", log), sacct("NODE_FAIL"))
    assert found.cause == "node_failure" and "Node gl002" in found.summary
    assert f"sbatch --exclude=gl002 {tmp_path}/run/job.sbatch" in found.remedy


SCANCEL = (
    "srun: got SIGCONT\n"
    "slurmstepd-gl001: error: *** JOB 40 ON gl001 CANCELLED AT 2026-11-23T03:01:00 ***\n"
    "srun: forcing job termination\n"
    "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.\n"
    "0: slurmstepd-gl001: error: *** STEP 40.0 ON gl001 CANCELLED AT 2026-11-23T03:01:00 ***\n"
    "srun: error: gl002: tasks 2-3: Exited with exit code 143\n"
    "srun: error: gl001: task 0: Killed\n"
)


def test_cancelled_by_a_user(tmp_path: Path) -> None:
    found = diagnosis(
        slurm_run(tmp_path / "run", SCANCEL), sacct("CANCELLED by 0", "0:0", ("batch", "CANCELLED", "0:15"))
    )
    assert found.cause == "cancelled" and "by root (uid 0)" in found.summary
    assert "CANCELLED AT" in evidence(found) and "CANCELLED by 0" in evidence(found)


def test_cancelled_by_a_user_nobody_knows_and_before_it_started(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SLURM)
    found = diagnosis(folder, sacct("CANCELLED by 987654", nodes="None assigned"))
    assert found.cause == "cancelled" and "by uid 987654 before it started" in found.summary


def test_a_failure_before_the_cancellation_is_the_cause_and_one_after_it_is_not(tmp_path: Path) -> None:
    rows = sacct("CANCELLED by 0")
    early = slurm_failure(2, "non_finite", "TrainingError: the loss is nan", time=START + 30)
    late = slurm_failure(2, "error", "SystemExit: told to", time=START + 61)
    assert diagnosis(slurm_run(tmp_path / "a", SCANCEL, failures=(early,)), rows).cause == "non_finite"
    assert diagnosis(slurm_run(tmp_path / "b", SCANCEL, failures=(late,)), rows).cause == "cancelled"


def test_a_rank_killed_before_the_cancellation_is_the_cause(tmp_path: Path) -> None:
    found = diagnosis(
        slurm_run(tmp_path / "run", "srun: error: gl002: task 3: Killed\n" + SCANCEL), sacct("CANCELLED by 0")
    )
    assert found.cause == "rank_killed" and "Rank 3" in found.summary


def test_cancelled_through_navforge(tmp_path: Path) -> None:
    folder = slurm_run(tmp_path / "run", beats=tuple(slurm_beat(rank, phase="stopped") for rank in range(4)))
    append_request(folder.requests, "cancel")
    found = diagnosis(folder, FAILED)
    assert (
        found.cause == "cancelled"
        and f"{getpass.getuser()}@" in found.summary
        and "requests.jsonl:1" in evidence(found)
    )


def test_stopped_by_a_signal_nobody_noted(tmp_path: Path) -> None:
    folder = slurm_run(tmp_path / "run", beats=tuple(slurm_beat(rank, phase="stopped") for rank in range(4)))
    found = diagnosis(folder, FAILED)
    assert found.cause == "stopped" and "step 120 of 1000" in found.summary


@pytest.mark.parametrize(
    ("how", "name"), [("Killed", "SIGKILL"), ("Segmentation fault (core dumped)", "SIGSEGV"), ("Aborted", "SIGABRT")]
)
def test_a_rank_killed_by_a_signal(tmp_path: Path, how: str, name: str) -> None:
    peers = tuple(
        slurm_failure(r, "peer", "RuntimeError: [pair.cc:547] Connection closed by peer [127.0.0.1]:24220")
        for r in range(3)
    )
    folder = slurm_run(tmp_path / "run", f"srun: error: gl002: task 3: {how}\n{STEP_ENDED}", failures=peers)
    found = diagnosis(folder, sacct("FAILED", "9:0", ("0", "FAILED", "15:0")))
    assert found.cause == "rank_killed" and "Rank 3 on gl002" in found.summary and name in found.summary


def test_a_bus_error_is_about_shared_memory(tmp_path: Path) -> None:
    found = diagnosis(slurm_run(tmp_path / "run", "srun: error: gl002: task 3: Bus error\n"), FAILED)
    assert found.cause == "shared_memory" and found.remedy[0] == "df -h /dev/shm"


def test_a_rank_that_exits(tmp_path: Path) -> None:
    found = diagnosis(
        slurm_run(tmp_path / "run", "srun: error: gl002: tasks 2-3: Exited with exit code 9\n" + STEP_ENDED), FAILED
    )
    assert found.cause == "rank_error" and "Ranks 2, 3 on gl002 ended first, with exit status 9" in found.summary


def test_a_python_error_without_a_record_is_read_from_the_log(tmp_path: Path) -> None:
    trace = "3: Traceback (most recent call last):\n3:   File x\n3: RuntimeError: the flux capacitor is empty\n"
    log = trace + "srun: error: gl002: task 3: Exited with exit code 1\n" + STEP_ENDED
    found = diagnosis(slurm_run(tmp_path / "a", log), FAILED)
    assert found.cause == "rank_error" and "RuntimeError: the flux capacitor is empty" in found.summary
    own = {"rank-3.log": trace.replace("3: ", "")}
    found = diagnosis(
        slurm_run(tmp_path / "b", "srun: error: gl002: task 3: Exited with exit code 1\n", logs=own), FAILED
    )
    assert "flux capacitor" in found.summary and "logs/rank-3.log:3" in evidence(found)


def test_what_the_user_got_wrong_is_said_in_his_words(tmp_path: Path) -> None:
    log = "srun: error: gl001: tasks 0-1: Exited with exit code 2\n"
    own = {"rank-0.log": "navforge: error: vocabulary: v.npy does not exist\n"}
    found = diagnosis(slurm_run(tmp_path / "run", log, logs=own), FAILED)
    assert found.cause == "user_error" and "v.npy does not exist" in found.summary


FIRST = {
    "rendezvous": "RendezvousError: 3 of 4 ranks met within 120 s; came: 0 (gl001); did not come: 3",
    "preflight": "NavforgeError: 8 tasks, 1 GPU",
    "evaluation": "ValueError: plan of scene abc has 7 poses",
    "non_finite": "TrainingError: the loss is nan",
    "corrupt_sample": "CorruptSample: scene abc: cannot be decoded (file /data/cam.jpg)",
    "gpu_memory": "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
    "host_memory": "MemoryError: ",
    "disk_full": "OSError: [Errno 28] No space left on device: 'last.ckpt'",
    "user_error": "ConfigError: train.epochs: expected int",
    "error": "KeyError: 'poses'",
}
DIAGNOSED = {"error": "rank_error"}


@pytest.mark.parametrize("cause", FIRST)
def test_the_first_failure_a_rank_told_of_is_the_cause(tmp_path: Path, cause: str) -> None:
    error = FIRST[cause]
    failures = (
        slurm_failure(0, "peer", "RuntimeError: Connection closed by peer", time=START + 40),
        slurm_failure(3, cause, error, time=START + 41, tokens=("abc", "def")),
        slurm_failure(2, "error", "RuntimeError: later and for another reason", time=START + 42),
    )
    log = "srun: error: gl002: task 3: Exited with exit code 1\n" + STEP_ENDED
    own = {"rank-3.log": f"Traceback\n{error}\n"}
    found = diagnosis(slurm_run(tmp_path / "run", log, failures=failures, logs=own), FAILED)
    assert found.cause == DIAGNOSED.get(cause, cause)
    words = error.partition(": ")[2] or error.rstrip(": ")
    assert words[:20].lower() in found.summary.lower()
    assert "step 120" in found.summary or cause in ("rendezvous", "preflight", "user_error")
    shown = evidence(found)
    assert "failures/rank-3.json:" in shown and "logs/rank-3.log:2" in shown
    assert found.remedy and "later and for another reason" not in found.summary


def test_every_cause_a_rank_may_give_is_told_of() -> None:
    assert set(TELLERS) == set(RANK_CAUSES) - {"peer"}


def test_scenes_of_a_batch_that_was_not_finite_are_named(tmp_path: Path) -> None:
    tokens = tuple(f"{i:016x}" for i in range(20))
    failures = (slurm_failure(1, "non_finite", "TrainingError: the loss is nan", tokens=tokens),)
    found = diagnosis(slurm_run(tmp_path / "run", failures=failures), FAILED)
    assert tokens[0] in found.summary and "12 more" in found.summary
    assert found.remedy[0] == (
        f"navforge train agent=ego_mlp 'split=town train' train.batch_size=16 out={tmp_path}/run_again "
        "train.learning_rate=0.0001"
    )
    assert found.remedy[1] == "navforge data check 'split=town train' sample=null"


def test_a_corrupt_sample_is_named_with_its_file(tmp_path: Path) -> None:
    failures = (slurm_failure(1, "corrupt_sample", FIRST["corrupt_sample"], tokens=("abc",)),)
    found = diagnosis(slurm_run(tmp_path / "run", failures=failures), FAILED)
    assert "scene abc" in found.summary and "/data/cam.jpg" in found.summary
    assert found.remedy[1].endswith("train.tolerate_corrupt=1")


def test_a_smaller_batch_keeps_the_gradient(tmp_path: Path) -> None:
    failures = (slurm_failure(1, "gpu_memory", FIRST["gpu_memory"]),)
    found = diagnosis(slurm_run(tmp_path / "run", failures=failures), FAILED)
    assert found.remedy[0].endswith("train.batch_size=8 train.accumulate=4")


def test_shared_memory_is_told_from_host_memory(tmp_path: Path) -> None:
    error = "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It may be out of shared memory."
    failures = (slurm_failure(1, "host_memory", error),)
    assert diagnosis(slurm_run(tmp_path / "run", failures=failures), FAILED).cause == "shared_memory"


def test_ranks_that_never_came_are_named(tmp_path: Path) -> None:
    failures = (slurm_failure(0, "rendezvous", FIRST["rendezvous"]),)
    beats = tuple(slurm_beat(rank, phase="rendezvous") for rank in range(3))
    found = diagnosis(slurm_run(tmp_path / "run", beats=beats, failures=failures), FAILED)
    assert "did not come: 3" in found.summary and "Nothing was ever heard of rank 3" in found.summary


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "torch.distributed.DistStoreError: Timed out after 16 seconds waiting for clients. 1/4 clients joined.",
            "rendezvous",
        ),
        (
            "torch.distributed.DistNetworkError: The client socket has timed out after 6000ms while trying to connect "
            "to (gl999, 1).",
            "rendezvous",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB", "gpu_memory"),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
    ],
)
def test_logs_speak_where_ranks_could_not(tmp_path: Path, text: str, cause: str) -> None:
    log = "srun: error: gl002: task 3: Exited with exit code 1\n"
    found = diagnosis(slurm_run(tmp_path / "run", log, logs={"rank-3.log": f"a\nb\n{text}\n"}), FAILED)
    assert found.cause == cause and "logs/rank-3.log:3" in evidence(found)


def test_ranks_waiting_for_one_that_is_silent(tmp_path: Path) -> None:
    failures = tuple(slurm_failure(r, "peer", "RuntimeError: Timed out waiting 1800000ms for recv") for r in (0, 1, 3))
    beats = (slurm_beat(0), slurm_beat(1), slurm_beat(2, time=START + 20), slurm_beat(3))
    found = diagnosis(slurm_run(tmp_path / "run", beats=beats, failures=failures), FAILED)
    assert found.cause == "hang" and "Rank 2 stopped answering" in found.summary and "37 s before" in found.summary


@pytest.mark.parametrize(
    ("job", "cause", "words"),
    [
        (SlurmJob(state="PENDING", reason="Priority", position=3, waiting=9), "queued", "place 3 of 9: Priority"),
        (SlurmJob(state="PENDING", reason="PartitionTimeLimit"), "never_starts", "more time than its partition"),
        (SlurmJob(state="PENDING", reason="JobHeldUser"), "never_starts", "holds it back"),
        (SlurmJob(state="RUNNING", started=START), "running", "step 120 of 1000"),
    ],
)
def test_a_job_that_waits_or_runs(tmp_path: Path, job: SlurmJob, cause: str, words: str) -> None:
    found = diagnosis(slurm_run(tmp_path / "run"), job=job)
    assert found.cause == cause and words in found.summary


def test_a_job_that_waits_again_says_how_its_last_run_ended(tmp_path: Path) -> None:
    rows = sacct("NODE_FAIL") + "\n" + sacct("PENDING").replace("T03:00:00|2026-11-23T03:01:00", "Unknown|Unknown")
    found = diagnosis(slurm_run(tmp_path / "run"), rows, SlurmJob(state="PENDING", reason="BeginTime"))
    assert found.cause == "queued" and "NODE_FAIL" in found.summary


def test_the_log_of_an_earlier_start_of_the_same_job_says_nothing_of_this_one(tmp_path: Path) -> None:
    log = OOM_LINE + HEADER.replace("restart 0", "restart 1") + "srun: error: gl002: task 3: Killed\n"
    assert diagnosis(slurm_run(tmp_path / "run", log), FAILED).cause == "rank_killed"


def test_records_of_an_earlier_start_of_the_same_job_say_nothing_of_this_one(tmp_path: Path) -> None:
    old = (slurm_failure(1, "non_finite", "TrainingError: nan", time=START - 100),)
    found = diagnosis(slurm_run(tmp_path / "run", "srun: error: gl002: task 3: Killed\n", failures=old), FAILED)
    assert found.cause == "rank_killed"


def test_a_script_that_cannot_run_its_program(tmp_path: Path) -> None:
    log = (
        "2: slurmstepd-gl002: error: execve(): /nonexistent/python: No such file or directory\n"
        "srun: error: gl001: tasks 0-1: Exited with exit code 2\n"
    )
    found = diagnosis(slurm_run(tmp_path / "run", log, beats=0), FAILED)
    assert found.cause == "user_error" and "/nonexistent/python" in found.summary


def test_a_script_whose_setup_fails(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SLURM, logs={"job-40.log": "module: no such module\n"})
    found = diagnosis(folder, sacct("FAILED", "3:0", ("batch", "FAILED", "3:0")))
    assert found.cause == "user_error" and "exit status 3 before it started a rank" in found.summary
    assert "no such module" in evidence(found)


def test_finished_and_never_started(tmp_path: Path) -> None:
    done = make_run(tmp_path / "a", beats=(beat(0, phase="finished"),), finished=True)
    assert diagnosis(done).cause == "finished"
    assert diagnosis(make_run(tmp_path / "b")).cause == "not_started"


def local_exit(rank: int, status: int, **changes: Any) -> RankExit:
    return RankExit(**{"rank": rank, "attempt": 0, "pid": 100 + rank, "status": status, "time": NOW, **changes})


def test_a_local_rank_killed_by_a_signal(tmp_path: Path) -> None:
    ends = (local_exit(1, -9), local_exit(0, 1, time=NOW + 1))
    folder = make_run(
        tmp_path / "run", beats=(beat(0), beat(1)), ends=ends, failures=(failure(0, "peer", "x: closed by peer"),)
    )
    found = diagnosis(folder)
    assert found.cause == "rank_killed" and "Rank 1 ended first, killed by SIGKILL" in found.summary
    assert "ran out of memory (dmesg tells)" in found.summary and "exits.jsonl:1" in evidence(found)


def test_a_local_run_that_goes_on(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", beats=(alive_beat(0),))
    assert diagnose(assemble(folder)).cause == "running"


@pytest.mark.parametrize("kind", ["local", "slurm"])
def test_what_nothing_explains_is_unknown(tmp_path: Path, kind: str) -> None:
    if kind == "local":
        folder = make_run(tmp_path / "run", beats=(beat(0), beat(1)), logs={"rank-0.log": "step 119\nstep 120\n"})
        found = diagnosis(folder)
    else:
        found = diagnosis(slurm_run(tmp_path / "run", "step 120\n"), FAILED)
    assert found.cause == "unknown" and "is unknown" in found.summary and "step 120" in found.summary
    assert "step 120" in evidence(found) and "navforge jobs logs" in found.remedy[0]


def test_ranks_in_srun_words() -> None:
    assert ranks_of("0,2-4,7") == (0, 2, 3, 4, 7)


def test_every_rank_failure_is_written_with_a_line_number(tmp_path: Path) -> None:
    folder = slurm_run(tmp_path / "run", failures=(slurm_failure(1, "error", "KeyError: 'x'"),))
    write(folder.status_file(0), slurm_beat(0))
    assert all(line.number for line in diagnosis(folder, FAILED).evidence if not line.source.startswith("sacct"))


def test_only_whole_checkpoints_are_the_newest(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir(parents=True)
    for name in (".untrained.ckpt", "damaged.ckpt"):
        (folder.checkpoints / name).write_bytes(b"x")
    assert newest_checkpoint(folder) is None
    (folder.checkpoints / "last.ckpt").write_bytes(b"x")
    found = newest_checkpoint(folder)
    assert found is not None and found[0] == "last.ckpt"


@pytest.mark.parametrize("status", [-15, -10])
def test_ranks_told_to_end_while_they_started(tmp_path: Path, status: int) -> None:
    ends = tuple(RankExit(rank=r, attempt=0, pid=7 + r, status=status, time=NOW, asked=True) for r in range(2))
    folder = make_run(tmp_path / "run", record(), ends=ends)
    found = diagnose(assemble(folder, now=NOW + 60))
    assert found.cause == "stopped" and "no checkpoint exists" in found.summary
    assert "exits.jsonl:1: " in evidence(found) and "exits.jsonl:2: " in evidence(found)
    append_request(folder.requests, "cancel")
    found = diagnose(assemble(folder, now=NOW + 60))
    assert found.cause == "cancelled" and "cancelled the run" in found.summary


def test_a_remedy_does_not_repeat_what_was_refused(tmp_path: Path) -> None:
    folder = slurm_run(tmp_path / "a", failures=(slurm_failure(0, "user_error", "DataError: no such split"),))
    command = [*COMMAND, "preflight=false"]
    (folder.path / "launch.provenance.json").write_text(json.dumps({"command": command}))
    found = diagnosis(folder, FAILED)
    assert found.cause == "user_error" and found.remedy[0] == "# correct what the error names, then:"
    again = "navforge train agent=ego_mlp 'split=town train' out=old train.batch_size=16"
    assert found.remedy[1] == again


def test_what_slurm_refused_is_quoted(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", record(launch="slurm"))
    folder.logs.mkdir()
    folder.submission.write_text("sbatch: error: invalid partition specified: gpuu\n")
    found = diagnose(assemble(folder, now=NOW))
    assert found.cause == "not_started" and "refused" in found.summary
    assert "logs/submission.txt:1: sbatch: error: invalid partition" in evidence(found)
    assert not any("requeue" in command for command in found.remedy)

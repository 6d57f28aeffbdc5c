"""The script of a job array, and what is told while it runs; it runs for real in `tests/e2e/test_build.py`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from navforge.core.errors import ConfigError
from navforge.launch import array
from navforge.launch.array import ArrayFacts, array_script, describe, watch
from navforge.slurm.client import SlurmError
from navforge.slurm.output import QueuedJob
from navforge.slurm.profile import ClusterProfile

PROFILE = ClusterProfile(
    name="mine",
    partition="cpus",
    account="us",
    nodes=4,
    gpus_per_node=4,
    cpus_per_node=128,
    memory_gb=480,
    time_limit="04:00:00",
    setup=("module load x",),
    sbatch_options=("--exclusive",),
    srun_options=("--container-image=a b.sqsh",),
    scratch="/scratch/$SLURM_JOB_ID",
)


def facts(**other: object) -> ArrayFacts:
    values = {"folder": Path("/s/100% mine"), "name": "teach-v 8", "command": ("build-task", "/s/100% mine"),
              "tasks": 16, "cpus": 32, "directory": Path("/data"), "python": "/venv/bin/python"}  # fmt: skip
    return ArrayFacts(**{**values, **other})  # type: ignore[arg-type]


def test_a_task_may_have_a_gpu() -> None:
    text = array_script(facts(gpus=1), PROFILE)
    assert "#SBATCH --gres=gpu:1" in text and "16 task(s) of 32 CPU(s) and 1 GPU(s)" in text
    assert "--gres" not in array_script(facts(), PROFILE)


def test_directives() -> None:
    text = array_script(facts(), PROFILE)
    found = dict(line.partition("=")[::2] for line in re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE))
    assert found == {
        "--job-name": "teach-v-8",
        "--partition": "cpus",
        "--account": "us",
        "--chdir": '"/data"',
        "--array": "0-15",
        "--nodes": "1",
        "--ntasks": "1",
        "--cpus-per-task": "32",
        "--mem": "120G",
        "--time": "04:00:00",
        "--requeue": "",
        "--output": '"/s/100%% mine/logs/task-%A_%a.log"',
        "--open-mode": "append",
        "--exclusive": "",
    }


def test_the_shell_runs_the_snapshot_with_the_task_s_number(tmp_path: Path) -> None:
    (tmp_path / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$PYTHONPATH" "$TMPDIR" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    script = array_script(facts(), ClusterProfile(**{**vars(PROFILE), "setup": ("MINE=1",), "scratch": str(tmp_path)}))
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "7", "PYTHONPATH": "/mine"}
    environ |= {"SLURM_ARRAY_JOB_ID": "12", "SLURM_JOB_NODELIST": "n1"}
    said = subprocess.run(["bash", "-eu"], input=script.replace("#SBATCH", "#"), env=environ, text=True,
                          capture_output=True, check=True).stdout  # fmt: skip
    assert said.splitlines()[1:] == [
        "/s/100% mine/code:/mine", str(tmp_path), "--cpus-per-task=32", "--label", "--container-image=a b.sqsh",
        "/venv/bin/python", "-m", "navforge", "build-task", "/s/100% mine", "task=7",
    ]  # fmt: skip


def test_tasks_may_be_a_part_of_the_numbers_some_at_once_and_go_on_after_their_time_limit() -> None:
    text = array_script(facts(first=3, tasks=5, at_once=2, resumes=True), PROFILE)
    assert "#SBATCH --array=3-7%2\n" in text and "#SBATCH --signal=USR1@300\n" in text
    assert 'scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"' in text and text.endswith('exit "$status"\n')
    assert "--signal" not in array_script(facts(), PROFILE) and "requeue" in array_script(facts(), PROFILE)


def test_more_cpus_than_a_node_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="cpus: 200 asked for, a node of mine has 128"):
        array_script(facts(cpus=200), PROFILE)


def task(state: str, reason: str = "None") -> QueuedJob:
    return QueuedJob(job="1", shown_as="1_0", state=state, elapsed_s=0, limit_s=None, priority=0, nodes=1,
                     reason=reason, node_list=None, start=None, partition="p")  # fmt: skip


def test_what_is_told_while_tasks_run_and_wait() -> None:
    tasks = [task("RUNNING"), task("RUNNING"), task("PENDING", "Resources"), task("PENDING", "Resources")]
    assert describe("12", tasks) == "job 12, 2 tasks running, waiting: Resources"


def test_numbers_of_tasks_as_squeue_writes_them() -> None:
    assert array.numbers("12_3") == {3} and array.numbers("12_[0-2,7%4]") == {0, 1, 2, 7} and not array.numbers("12")


def test_a_short_silence_of_squeue_is_borne_and_a_long_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*kinds: object) -> Iterator[object]:
        yield from kinds

    def alive(jobs: list[str]) -> list[QueuedJob]:
        found = next(told)
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[return-value]

    monkeypatch.setattr(array.slurm, "alive", alive)
    told = answers([task("RUNNING")], SlurmError("silent"), SlurmError("silent"), [task("RUNNING")], [])
    watch("1", done=lambda: 0, total=1, label="x", poll_s=0.0)
    told = answers(*[SlurmError("silent")] * 100_000)
    with pytest.raises(SlurmError, match="silent"):
        watch("1", done=lambda: 0, total=1, label="x", poll_s=0.01, silent_s=0.2)

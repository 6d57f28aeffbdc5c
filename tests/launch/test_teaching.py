"""A command that is killed between `sbatch` and writing down the job's id; arrays run in `tests/e2e/test_teach.py`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from navforge.core.errors import ConfigError
from navforge.launch import teaching
from navforge.slurm.client import SlurmError
from navforge.slurm.profile import ClusterProfile
from navforge.teacher.teach import Plan, Work

PROFILE = ClusterProfile(name="mine", nodes=1, gpus_per_node=1, cpus_per_node=4, memory_gb=16, time_limit="1:00:00")
LOGS = {"log_a": ("a1",), "log_b": ("b1",)}
SBATCH = r"""sed -n 's/^#SBATCH --job-name=//p' "$2" > "$0.name"; exit 1"""
"""Takes the job; what submits it never hears of the id."""
SQUEUE = """test -e "$(dirname "$0")/sbatch.name" || exit 0
if test "$6 $7" = "-n $(cat "$(dirname "$0")/sbatch.name")" || test "$6 $7" = "-j 12"; then
    echo '13|12_0|RUNNING|0:01|1:00|1|1|None|n1|N/A|p'; echo '12|12_[1]|PENDING|0:00|1:00|1|1|Priority||N/A|p'
fi"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in {"sbatch": SBATCH, "squeue": SQUEUE}.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def planned(out: Path, key: str = "key") -> Plan:
    work = Work(out=str(out), cache="/cache", cache_fingerprint="cafe", key=key, code="code", vocabulary="v",
                protocol="epdms_v2", human_filter=True, entries=7, progress_bits=16)  # fmt: skip
    return Plan(out, {}, LOGS, work)


def submit(made: Plan) -> str:
    return teaching.submit(made, made.missing(), PROFILE, tasks=2, cpus=1, workers=1)


def test_a_job_whose_id_was_never_written_down_is_found(commands: Path, tmp_path: Path) -> None:
    made = planned(tmp_path / "my store")
    assert teaching.running_job(made) is None
    with pytest.raises(SlurmError):
        submit(made)
    job = teaching.folder_of(made.out) / "job"
    assert not job.exists()
    assert teaching.running_job(made) == "12" and job.read_text() == "12\n"
    with pytest.raises(ConfigError, match="job 12 makes another store"):
        teaching.running_job(planned(made.out, "other"))


def test_a_job_that_slurm_refused_is_not_there(commands: Path, tmp_path: Path) -> None:
    made = planned(tmp_path / "store")
    with pytest.raises(SlurmError):
        submit(made)
    (commands / "sbatch.name").unlink()
    assert teaching.running_job(made) is None


def test_stores_of_one_name_in_two_folders_have_jobs_of_two_names(tmp_path: Path) -> None:
    assert teaching.job_name(tmp_path / "a" / "store") != teaching.job_name(tmp_path / "b" / "store")

"""A command that is killed between `sbatch` and writing down the job's id; arrays run in `tests/e2e/test_build.py`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from navforge.core.build import Piece, Result
from navforge.core.errors import ConfigError
from navforge.core.products import CACHE
from navforge.launch import build_array
from navforge.launch.build_array import SlurmArray, folder_of, job_name, running_job, share
from navforge.slurm.client import SlurmError
from navforge.slurm.profile import ClusterProfile

PROFILE = ClusterProfile(name="mine", nodes=1, gpus_per_node=1, cpus_per_node=4, memory_gb=16, time_limit="1:00:00")
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


@dataclass(frozen=True, kw_only=True)
class Log(Piece[int]):
    """A log that nobody makes."""

    product = CACHE
    settings: str = "settings"

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}.txt"

    @property
    def key(self) -> str:
        return self.settings

    def code_here(self) -> str:
        return self.code

    def check(self) -> Result[int]:
        raise NotImplementedError

    def make(self) -> Result[int]:
        raise NotImplementedError


def pieces(out: Path, settings: str = "settings", **scenes: int) -> list[Log]:
    sizes = scenes or {"log_a": 1, "log_b": 1}
    return [Log(name=name, scenes=size, out=out, code="c", settings=settings) for name, size in sizes.items()]


def submit(logs: list[Log]) -> None:
    list(SlurmArray(profile=PROFILE, tasks=2, cpus=1)(logs, "caching"))


def test_a_job_whose_id_was_never_written_down_is_found(commands: Path, tmp_path: Path) -> None:
    out = tmp_path / "my cache"
    logs = pieces(out)
    assert running_job(out, logs) is None
    with pytest.raises(SlurmError):
        submit(logs)
    job = folder_of(out) / build_array.JOB
    assert not job.exists()
    assert running_job(out, logs) == "12" and job.read_text() == "12\n"
    assert running_job(out, logs[1:]) == "12", "the other log was made meanwhile"
    for others in (pieces(out, "other"), pieces(out, log_a=1, log_c=1)):
        with pytest.raises(ConfigError, match="job 12 makes something else"):
            running_job(out, others)


def test_a_job_that_slurm_refused_is_not_there(commands: Path, tmp_path: Path) -> None:
    logs = pieces(tmp_path / "cache")
    with pytest.raises(SlurmError):
        submit(logs)
    (commands / "sbatch.name").unlink()
    assert running_job(tmp_path / "cache", logs) is None


def test_folders_of_one_name_have_jobs_of_two_names(tmp_path: Path) -> None:
    assert job_name(tmp_path / "a" / "cache") != job_name(tmp_path / "b" / "cache")


def test_scenes_are_spread_evenly_and_the_same_way_each_time(tmp_path: Path) -> None:
    sizes = {f"log{number}": size for number, size in enumerate((9, 1, 1, 8, 2, 3, 30, 7))}
    logs = pieces(tmp_path, **sizes)
    shares = share(logs, 3)
    assert sorted(log.name for logs in shares for log in logs) == sorted(sizes)
    assert sorted(sum(log.scenes for log in logs) for logs in shares) == [15, 16, 30]
    assert share(logs[::-1], 3) == shares
    assert share(logs[:2], 16) == [[logs[0]], [logs[1]]]

"""The batch script: what it asks of Slurm, and what its shell does with every end of the ranks."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from navforge.core.errors import ConfigError
from navforge.launch.script import JobFacts, batch_script
from navforge.slurm.profile import ClusterProfile

PROFILE = ClusterProfile(
    name="mine",
    partition="gpus",
    account="us",
    nodes=4,
    gpus_per_node=4,
    gpu_type="l40s",
    cpus_per_node=128,
    memory_gb=480,
    time_limit="2-00:00:00",
    max_restarts=3,
)


def facts(folder: Path, **other: object) -> JobFacts:
    values = {"agent": "hydra", "nodes": 2, "devices": 2, "python": "/venv/bin/python", "directory": Path("/data")}
    return JobFacts(**{"folder": folder, **values, **other})  # type: ignore[arg-type]


def directives(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE))


def test_directives() -> None:
    found = directives(batch_script(facts(Path("/runs/100% mine")), PROFILE))
    assert found == {
        "--job-name": "100--mine",
        "--partition": "gpus",
        "--account": "us",
        "--chdir": '"/data"',
        "--nodes": "2",
        "--ntasks-per-node": "2",
        "--gres": "gpu:l40s:2",
        "--cpus-per-task": "32",
        "--mem": "240G",
        "--time": "2-00:00:00",
        "--signal": "USR1@300",
        "--requeue": "",
        "--output": '"/runs/100%% mine/logs/job-%j.log"',
        "--open-mode": "append",
    }


def test_training_on_cpus_takes_no_gpu() -> None:
    with_gpus, without = (batch_script(facts(Path("/runs/a"), gpus=gpus), PROFILE) for gpus in (True, False))
    assert "--gres" in directives(with_gpus) and "--gres" not in directives(without)
    assert directives(without) == {k: v for k, v in directives(with_gpus).items() if k != "--gres"}


def test_what_the_profile_adds_stands_where_it_belongs() -> None:
    profile = replace(
        PROFILE,
        qos="high",
        setup=("module load cuda",),
        sbatch_options=("--exclusive",),
        srun_options=("--container-image=/images/a b.sqsh",),
        scratch="/scratch/$USER",
        python="/image/python",
    )
    text = batch_script(facts(Path("/runs/a")), replace(profile, time_limit="01:00:00"))
    found = directives(text)
    assert found["--qos"] == "high" and "--exclusive" in found and found["--time"] == "01:00:00"
    assert text.index("#SBATCH --exclusive") < text.index("\nmodule load cuda\n") < text.index("\nsrun ")
    step = text[text.index("\nsrun ") : text.index("status=$?")]
    assert "'--container-image=/images/a b.sqsh'" in step and "/image/python -m navforge rank" in step
    assert 'mkdir -p "$TMPDIR"' in step and "--kill-on-bad-exit=1" in step and "--cpus-per-task=32" in step
    assert len(re.findall(r"^srun ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": 5}, "nodes: 5 asked for, mine has 4"),
        ({"devices": 8}, "devices: 8 asked for, mine has 4"),
    ],
)
def test_what_the_cluster_cannot_do_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        batch_script(facts(Path("/runs/a"), **change), PROFILE)


@pytest.mark.parametrize("folder", ["runs/a", '/runs/"a"', "/runs/a\nb"])
def test_folders_slurm_cannot_take(folder: str) -> None:
    with pytest.raises(ConfigError, match="out: "):
        facts(Path(folder))


def run_script(tmp_path: Path, status: int, *, restarts: str | None = None, scratch: bool = False) -> tuple[int, str]:
    """Run the script with commands in the place of Slurm's; return its status and what it and they said."""
    commands = tmp_path / "bin"
    commands.mkdir()
    bodies = {
        "srun": f'echo "srun $PYTHONPATH $MASTER_ADDR $MASTER_PORT | $*"; exit {status}',
        "scontrol": '[ "$1" = show ] && printf "n1\\nn2\\n" || echo "scontrol $*"',
        "sleep": "true",
    }
    for name, body in bodies.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)
    profile = replace(PROFILE, setup=("export SEEN=1",), scratch=f"{tmp_path}/scratch" if scratch else None)
    script = tmp_path / "job.sbatch"
    script.write_text(batch_script(facts(tmp_path / "my run"), profile))
    environ = {"PATH": f"{commands}:{os.environ['PATH']}", "SLURM_JOB_ID": "30007", "SLURM_JOB_NODELIST": "n[1-2]"}
    if restarts is not None:
        environ["SLURM_RESTART_COUNT"] = restarts
    done = subprocess.run(["bash", script], env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_ranks_get_the_snapshot_and_a_meeting_point(tmp_path: Path) -> None:
    status, said = run_script(tmp_path, 0)
    assert status == 0 and "scontrol" not in said
    assert f"srun {tmp_path}/my run/code n1 20007 |" in said
    assert f"--label /venv/bin/python -m navforge rank {tmp_path}/my run\n" in said
    assert "navforge: job 30007 on n[1-2], restart 0, " in said


@pytest.mark.parametrize("status", [1, 2, 137, 143])
def test_the_status_of_the_ranks_is_passed_on(tmp_path: Path, status: int) -> None:
    assert run_script(tmp_path, status)[0] == status


@pytest.mark.parametrize(("restarts", "again"), [(None, True), ("2", True), ("3", False), ("7", False)])
def test_status_75_requeues_a_bounded_number_of_times(tmp_path: Path, restarts: str | None, again: bool) -> None:
    status, said = run_script(tmp_path, 75, restarts=restarts)
    assert status == 75  # where Slurm does not end the script
    assert ("scontrol requeue 30007" in said) is again
    assert ("which max_restarts allows" in said) is not again


def test_the_shell_finds_no_fault(tmp_path: Path) -> None:
    text = batch_script(facts(tmp_path), replace(PROFILE, scratch="/scratch/$USER"))
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0

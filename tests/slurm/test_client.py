"""Calls of Slurm's commands: what goes wrong is said, and the caller's environment does not steer them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from navforge.slurm import client as slurm
from navforge.slurm.client import SlurmError, SlurmUnreachableError


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Put a script in the place of a Slurm command."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(name: str, body: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    return put


def test_a_missing_command_says_where_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not slurm.available()
    with pytest.raises(SlurmError, match="squeue: no such command; run this where Slurm's commands are installed"):
        slurm.queue()


def test_an_error_carries_what_slurm_said(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    command("sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1")
    with pytest.raises(SlurmError, match=r"sbatch failed: .*invalid partition specified: nope") as raised:
        slurm.submit(tmp_path / "job.sbatch")
    assert not isinstance(raised.value, SlurmUnreachableError)
    assert "nope" in (slurm.refusal(tmp_path / "job.sbatch") or "")


def test_a_silent_controller_does_not_hang_us(command) -> None:  # type: ignore[no-untyped-def]
    command("squeue", "exec sleep 30")
    with pytest.raises(SlurmUnreachableError, match=r"squeue: no answer within 0\.3 s"):
        slurm.call("squeue", timeout_s=0.3)


def test_the_job_id_of_a_federation_is_cut(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    command("sbatch", "echo '42;cluster'")
    assert slurm.submit(tmp_path / "job.sbatch") == "42"


def test_variables_do_not_steer_the_commands(command, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    for name in ("SBATCH_PARTITION", "SLURM_MEM_PER_CPU", "SQUEUE_FORMAT", "SACCT_FORMAT", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "conf")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    command("squeue", "env")
    seen = dict(line.partition("=")[::2] for line in slurm.call("squeue").splitlines())
    assert seen["SLURM_CONF"] == "conf" and seen["SLURM_TIME_FORMAT"] == "standard"
    assert seen["SLURM_BITSTR_LEN"] == "0", "lists of tasks come whole"
    assert {n for n in seen if n.startswith(("SBATCH_", "SLURM_", "SQUEUE_", "SACCT_"))} == {
        "SLURM_CONF",
        "SLURM_TIME_FORMAT",
        "SLURM_BITSTR_LEN",
    }


def test_unknown_jobs_are_no_error(command) -> None:  # type: ignore[no-untyped-def]
    command("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert slurm.queue(["999"]) == [] and slurm.alive([]) == []


def test_other_errors_of_the_queue_are_raised(command) -> None:  # type: ignore[no-untyped-def]
    command("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SlurmUnreachableError, match="Unable to contact"):
        slurm.alive(["1"])

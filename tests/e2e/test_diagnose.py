"""Failures brought about on a real Slurm, and under the local supervisor: each diagnosis names the one that was."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from navforge.cli.main import main
from navforge.jobs.diagnose import diagnose
from navforge.jobs.diagnosis import Diagnosis
from navforge.jobs.evidence import gather
from navforge.launch.script import JobFacts, batch_script
from navforge.runs import status
from navforge.runs.folder import RunFolder, RunRecord
from navforge.runs.status import RankStatus
from navforge.slurm import client
from navforge.slurm.profile import ClusterProfile
from tests.slurm_cluster.cluster import Cluster, wait_for

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).with_name("toy_rank.py")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL")
PROFILE = ClusterProfile(
    name="toy",
    nodes=2,
    gpus_per_node=4,
    gpu_type="l40s",
    cpus_per_node=16,
    memory_gb=8,
    time_limit="10:00",
    signal_lead_s=30,
)


def make_run(path: Path, *, nodes: int, devices: int, launch: str = "slurm", **harm: Any) -> RunFolder:
    """A run folder of toy ranks of which one comes to harm."""
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True)
    (path / "harm.json").write_text(json.dumps({"rank": nodes * devices - 1, "harm": "none", **harm}))
    folder.write_record(RunRecord(agent="toy", launch=launch, nodes=nodes, devices=devices, created="2026-01-01"))
    return folder


def write_script(folder: RunFolder, profile: ClusterProfile = PROFILE, program: str = "") -> None:
    """The batch script of the project, whose Python runs toy ranks, or another program."""
    python = folder.path / "python"
    toy = f'exec {shlex.quote(sys.executable)} {shlex.quote(str(TOY))} "$@"'
    python.write_text(f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT / 'src'))}\n{program or toy}\n")
    python.chmod(0o755)
    record = folder.read_record()
    facts = JobFacts(
        folder=folder.path,
        agent="toy",
        nodes=record.nodes,
        devices=record.devices,
        directory=folder.path,
        python=str(python),
    )
    folder.script.write_text(batch_script(facts, profile))


def submit(folder: RunFolder, *options: str) -> str:
    job = client.submit(folder.script, *options)
    folder.add_job(job)
    return job


def beats(folder: RunFolder, steps: int = 3) -> None:
    """Wait until every rank has made some steps."""

    def going() -> bool:
        found = [status.read(folder.status_file(r), RankStatus) for r in range(folder.read_record().world_size)]
        return all(one is not None and one.step >= steps for one in found)

    wait_for(going, f"ranks of {folder.path.name}")


def job_of(folder: RunFolder) -> str:
    return folder.read_record().jobs[-1]


def diagnosis(folder: RunFolder) -> Diagnosis:
    return diagnose(gather(folder))


def shown(found: Diagnosis) -> str:
    return "\n".join(map(str, found.evidence))


@pytest.fixture(scope="module")
def harmed(slurm_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunFolder]]:
    """Runs by what was done to them; all went through the queue together, the slow one first."""
    root = tmp_path_factory.mktemp("harmed")
    runs: dict[str, RunFolder] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_cluster.conf))
        runs["time_limit"] = make_run(root / "time_limit", nodes=1, devices=1)
        write_script(runs["time_limit"])
        submit(runs["time_limit"], "--time=1")
        for harm in ("memory", "kill", "segfault", "exit", "exception", "non_finite"):
            runs[harm] = make_run(root / harm, nodes=2, devices=2, harm=harm)
            write_script(runs[harm], replace(PROFILE, sbatch_options=("--mem=300M",)) if harm == "memory" else PROFILE)
            submit(runs[harm])
        runs["setup"] = make_run(root / "setup", nodes=1, devices=1)
        write_script(runs["setup"], replace(PROFILE, setup=("echo no such module >&2", "exit 3")))
        submit(runs["setup"])
        runs["never"] = make_run(root / "never", nodes=1, devices=1)
        write_script(runs["never"])
        submit(runs["never"], "--time=5-0")
        runs["node"] = make_run(root / "node", nodes=1, devices=1)
        write_script(runs["node"], replace(PROFILE, partition="h200", gpu_type="h200"))
        submit(runs["node"], "--no-requeue")
        for name in ("scancel", "cancel"):
            runs[name] = make_run(root / name, nodes=2, devices=2)
            write_script(runs[name])
            submit(runs[name])
        beats(runs["node"])
        slurm_cluster.call("scontrol", "update", "nodename=gh001", "state=down", "reason=test")
        beats(runs["scancel"])
        client.cancel(job_of(runs["scancel"]))
        beats(runs["cancel"])
        assert main(["jobs", "cancel", str(runs["cancel"].path), "--wait-s", "60"]) == 0
        runs["rendezvous"] = one_rank_missing(root / "rendezvous")
        for name, folder in runs.items():
            if name not in ("never", "time_limit"):
                slurm_cluster.wait(job_of(folder), *ENDED)
        yield runs
        slurm_cluster.tidy()


def one_rank_missing(path: Path) -> RunFolder:
    """Four real ranks, of which the last one never gets so far as to meet the others."""
    folder = make_run(path, nodes=2, devices=2)
    config = {"nodes": 2, "devices": 2, "train": {"rendezvous_timeout_s": 60}}
    folder.config.write_text(yaml.safe_dump(config))
    real = f'[ "$SLURM_PROCID" = 3 ] && exec sleep 300\nexec {shlex.quote(sys.executable)} "$@"'
    write_script(folder, program=real)
    submit(folder)
    return folder


@pytest.mark.parametrize(
    ("harm", "cause", "words"),
    [
        ("memory", "host_memory", " on gl00"),
        ("kill", "rank_killed", "killed by SIGKILL"),
        ("segfault", "rank_killed", "killed by SIGSEGV"),
        ("exit", "rank_error", "exit status 9"),
        ("exception", "rank_error", "RuntimeError: the flux capacitor is empty"),
        ("non_finite", "non_finite", "made up non_finite"),
        ("setup", "user_error", "exit status 3 before it started a rank"),
        ("never", "never_starts", "PartitionTimeLimit"),
        ("node", "node_failure", "Node gh001 failed"),
        ("scancel", "cancelled", f"(uid {os.getuid()})"),
        ("cancel", "cancelled", "cancelled the run at"),
        ("rendezvous", "rendezvous", "did not come: 3"),
    ],
)
def test_what_was_done_on_slurm_is_what_is_diagnosed(
    harmed: dict[str, RunFolder], harm: str, cause: str, words: str
) -> None:
    def said() -> bool:  # the accounting comes a moment after the job's end
        found = diagnosis(harmed[harm])
        return found.cause == cause and words in found.summary

    folder = harmed[harm]
    try:
        wait_for(said, "the diagnosis")
    except TimeoutError:
        found = diagnosis(folder)
        pytest.fail(f"{found.cause}: {found.summary}\n{shown(found)}")
    found = diagnosis(folder)
    assert found.evidence and found.remedy
    if harm in ("kill", "segfault", "exit", "exception"):
        assert "Rank 3 on gl00" in found.summary and f"logs/job-{job_of(folder)}.log:" in shown(found)


def test_a_cancelled_run_wrote_a_checkpoint_first(harmed: dict[str, RunFolder]) -> None:
    assert (harmed["cancel"].checkpoints / "last.ckpt").is_file()
    assert [beat.phase for beat in gather(harmed["cancel"]).view.statuses.values()] == ["stopped"] * 4


def test_the_time_limit(harmed: dict[str, RunFolder], slurm_cluster: Cluster, capsys: Any) -> None:
    folder = harmed["time_limit"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_cluster.conf))
        slurm_cluster.wait(job_of(folder), *ENDED)
        wait_for(lambda: diagnosis(folder).cause == "time_limit", "the diagnosis")
        assert main(["diagnose", str(folder.path)]) == 0
    out = capsys.readouterr().out
    assert "time limit" in out and "DUE TO TIME LIMIT" in out and "sbatch --time=" in out


def test_the_table_of_all_of_them(harmed: dict[str, RunFolder], slurm_cluster: Cluster, capsys: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_cluster.conf))
        patch.setenv("COLUMNS", "200")
        assert main(["jobs", f"root={harmed['kill'].path.parent}"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name, words in {
        "never": ("queued", "PartitionTimeLimit"),
        "kill": ("failed",),
        "non_finite": ("failed", "rank 3: non_finite"),
        "node": ("stopped", "NODE_FAIL, with a checkpoint", "gh001 x 1"),
        "scancel": ("stopped", "cancelled"),
        "cancel": ("stopped", "with a checkpoint"),
        "time_limit": ("stopped", "TIMEOUT, with a checkpoint"),
    }.items():
        assert f"slurm {job_of(harmed[name])}" in lines[name]
        assert all(word in lines[name] for word in words), lines[name]


def test_a_run_that_is_over_is_submitted_anew(harmed: dict[str, RunFolder], slurm_cluster: Cluster) -> None:
    folder = harmed["scancel"]
    old = job_of(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_cluster.conf))
        assert main(["jobs", "requeue", str(folder.path)]) == 0
        assert job_of(folder) != old
        wait_for(lambda: diagnosis(folder).cause == "running", "the ranks of the second job")
        assert main(["jobs", "requeue", str(folder.path), "--wait-s", "0.5"]) == 0  # toy ranks do not heed SIGUSR1
        wait_for(lambda: diagnosis(folder).cause == "queued", "the queue")
        assert "REQUEUED" in diagnosis(folder).summary
        assert main(["jobs", "requeue", str(folder.path)]) == 2, "it waits already"
        assert main(["jobs", "cancel", str(folder.path)]) == 0
        wait_for(lambda: diagnosis(folder).cause == "cancelled", "the end")


@pytest.mark.parametrize("harm", ["kill", "exit", "exception"])
def test_a_local_rank_that_dies_is_named(tmp_path: Path, harm: str) -> None:
    folder = make_run(tmp_path / "run", nodes=1, devices=2, launch="local", harm=harm)
    process = start_local(folder)
    assert process.wait(60) == {"kill": 137, "exit": 9, "exception": 1}[harm]
    found = diagnosis(folder)
    words = {"kill": "SIGKILL", "exit": "exit status 9", "exception": "RuntimeError: the flux capacitor is empty"}
    assert found.cause == ("rank_killed" if harm == "kill" else "rank_error")
    assert "Rank 1 ended first" in found.summary and words[harm] in found.summary
    assert "exits.jsonl:" in shown(found)


def test_a_local_run_is_ended_by_navforge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path / "run", nodes=1, devices=2, launch="local")
    supervisor = start_local(folder)
    beats(folder)
    assert diagnosis(folder).cause == "running"
    assert main(["jobs", "cancel", str(folder.path)]) == 0
    assert supervisor.wait(20) == 143
    assert "ended. A checkpoint was written: last.ckpt" in capsys.readouterr().out
    found = diagnosis(folder)
    assert found.cause == "cancelled" and "requests.jsonl:1" in shown(found)


def test_an_end_without_any_trace_is_unknown(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", nodes=1, devices=2, launch="local")
    process = start_local(folder)
    beats(folder)
    pids = [beat.pid for beat in gather(folder).view.statuses.values()]
    for pid in (process.pid, *pids):
        os.kill(pid, signal.SIGSTOP)  # none of them may see the others go
    for pid in (process.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    process.wait(20)
    wait_for(lambda: diagnosis(folder).cause != "running", "the end")
    found = diagnosis(folder)
    assert found.cause == "unknown" and "its processes are gone" in found.summary


def start_local(folder: RunFolder) -> subprocess.Popen[bytes]:
    """The supervisor of a local run, with toy ranks."""
    code = (
        "import sys; from pathlib import Path; from navforge.launch import local;"
        "from navforge.runs.folder import RunFolder; from navforge.runs.processes import local_job;"
        "folder = RunFolder(Path(sys.argv[1])); folder.add_job(local_job());"
        "sys.exit(local.launch(folder, devices=2, attempt=0, command=[sys.executable, *sys.argv[2:]]))"
    )
    words = [sys.executable, "-c", code, str(folder.path), str(TOY), "rank", str(folder.path)]
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})

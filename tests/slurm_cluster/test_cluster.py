"""The test cluster itself: jobs run as on a real one, and nothing survives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm_cluster import hosts, processes
from tests.slurm_cluster.cluster import Cluster, healthy, obstacle, wait_for

needs_slurm = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


def batch(folder: Path, body: str) -> str:
    path = folder / "job.sh"
    path.write_text(f"#!/bin/bash\n#SBATCH --output={folder}/job-%j.log --open-mode=append\n{body}\n")
    return str(path)


def test_ranks_see_their_place_their_node_and_their_gpus(slurm: Cluster, tmp_path: Path) -> None:
    say = "echo $SLURM_PROCID $SLURM_LOCALID $SLURM_NODEID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"
    script = batch(tmp_path, f"srun bash -c '{say}'")
    job = slurm.call("sbatch", "--parsable", "-N2", "--ntasks-per-node=2", "--gres=gpu:l40s:2", script).strip()
    slurm.wait(job, "COMPLETED")
    lines = sorted((tmp_path / f"job-{job}.log").read_text().splitlines())
    assert lines == [f"{rank} {rank % 2} {rank // 2} gl00{rank // 2 + 1} 0,1" for rank in range(4)]


def test_accounting_remembers_how_a_job_ended(slurm: Cluster, tmp_path: Path) -> None:
    script = batch(tmp_path, "srun bash -c 'exit 9'")
    job = slurm.call("sbatch", "--parsable", script).strip()
    slurm.wait(job, "FAILED")
    account = ["sacct", "-P", "-n", "-j", job, "--format=JobID,State,ExitCode"]
    expected = {f"{job}|FAILED|9:0", f"{job}.batch|FAILED|9:0", f"{job}.0|FAILED|9:0"}
    wait_for(lambda: set(slurm.call(*account).splitlines()) == expected, "sacct")


def test_tests_of_the_cluster_share_one_process(slurm_cluster: Cluster, request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ or not request.config.getoption("loadgroup"):
        pytest.skip("tests are not spread over processes")
    assert request.node.nodeid.endswith("@slurm"), "pytest-xdist does not heed xdist_group; every worker has a cluster"


def test_two_partitions_and_what_does_not_fit(slurm: Cluster, tmp_path: Path) -> None:
    script = batch(tmp_path, "true")
    slurm.call("sbatch", "--test-only", "-p", "h200", "--gres=gpu:h200:8", script)
    with pytest.raises(RuntimeError, match="Requested node configuration is not available"):
        slurm.call("sbatch", "--test-only", "-p", "h200", "--gres=gpu:h200:9", script)


@needs_slurm
@pytest.mark.xdist_group("slurm")
@pytest.mark.parametrize("killed", ["owner", "supervisor"])
def test_nothing_survives_a_kill(tmp_path: Path, killed: str) -> None:
    cluster = Cluster(tmp_path)
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    cluster.start(owner=owner.pid)
    assert healthy(cluster)
    state = cluster.state() or {}
    cluster.call("sbatch", "--output=/dev/null", "--wrap", "srun sleep 100")
    wait_for(lambda: len(steps := processes.members(cluster.conf, daemons=False)) >= 4 and steps, "the step")
    if killed == "owner":
        owner.kill()
    else:
        os.kill(state["supervisor"][0], signal.SIGKILL)
        wait_for(lambda: processes.reap_child(state["supervisor"][0]) or cluster.state() is None, "the kill")
        cluster.stop()
    owner.wait(10) if killed == "owner" else owner.kill()
    wait_for(lambda: not processes.members(cluster.conf, daemons=True), "all processes to end")
    wait_for(lambda: tmp_path not in hosts.owners(), "the hosts file")
    owner.wait(10)


def test_the_hosts_file_gets_back_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    text = "127.0.0.1 localhost\n# own line"
    path.write_text(text)
    first, second = tmp_path / "a", tmp_path / "b"
    hosts.add(first, ["gl001"], path)
    hosts.add(second, ["gl001", "gl002"], path)
    hosts.add(first, ["gl003"], path)
    assert hosts.owners(path) == [second, first]
    assert path.read_text().count("127.0.0.1 gl003\n") == 1
    hosts.remove(first, path)
    assert (
        path.read_text()
        == text
        + "\n"
        + "\n".join([f"# navforge test cluster {second} begins", "127.0.0.1 gl001", "127.0.0.1 gl002"])
        + f"\n# navforge test cluster {second} ends\n"
    )
    hosts.remove(second, path)
    assert path.read_text().rstrip("\n") == text


def test_a_reused_pid_is_another_process() -> None:
    who = processes.identity(os.getpid())
    assert who is not None and processes.alive(who)
    assert not processes.alive((who[0], who[1] - 1)) and not processes.alive(None)

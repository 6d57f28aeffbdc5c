"""The batch script on a real Slurm, with toy ranks in the place of the snapshot."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from navforge.launch.script import JobFacts, batch_script
from navforge.runs.folder import RunFolder
from navforge.slurm import client, output
from navforge.slurm.profile import ClusterProfile, read_profile
from tests.slurm_cluster.cluster import Cluster, wait_for

PROFILE = read_profile("l40s_4x4")


def details(job: str) -> dict[str, str]:
    """What `scontrol show job` says."""
    return output.parse_fields(client.call("scontrol", "-o", "show", "job", job))


RANKS = """
import os, signal, sys, time
run, rank = sys.argv[2], os.environ["SLURM_PROCID"]
attempt = os.environ.get("SLURM_RESTART_COUNT", "0")
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
names = ("SLURM_LOCALID", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")
with open(f"{run}/place-{attempt}-{rank}", "w") as file:
    file.write(" ".join([*(os.environ[name] for name in names), str(os.getpid())]))
while not os.path.exists(f"{run}/finish"):
    time.sleep(0.05)
"""


def make_run(tmp_path: Path, profile: ClusterProfile = PROFILE) -> RunFolder:
    folder = RunFolder(tmp_path / "my run")
    package = folder.code / "navforge"
    package.mkdir(parents=True)
    folder.logs.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(RANKS)
    facts = JobFacts(folder=folder.path, agent="toy", nodes=2, devices=2, directory=tmp_path, python="python3")
    folder.script.write_text(batch_script(facts, profile))
    return folder


def places(folder: RunFolder, attempt: int) -> list[list[str]]:
    """What every rank of an attempt saw, once all have begun."""
    paths = [folder.path / f"place-{attempt}-{rank}" for rank in range(4)]
    wait_for(lambda: all(path.exists() and path.read_text() for path in paths), f"the ranks of attempt {attempt}")
    return [path.read_text().split() for path in paths]


def test_status_75_goes_back_into_the_queue_until_it_may_not(slurm: Cluster, tmp_path: Path) -> None:
    folder = make_run(tmp_path, ClusterProfile(**{**vars(PROFILE), "max_restarts": 1}))
    job = client.submit(folder.script)
    seen = places(folder, 0)
    port = str(20_000 + int(job) % 10_000)
    assert [place[:6] for place in seen] == [
        [str(rank % 2), f"gl00{rank // 2 + 1}", "0,1", "gl001", port, "1"] for rank in range(4)
    ]
    client.cancel(job, "USR1")  # what Slurm sends before the time limit
    assert places(folder, 1)[0][:6] == seen[0][:6]
    assert [entry.alive for entry in client.queue([job])] == [True] and details(job)["Restarts"] == "1"
    client.cancel(job, "USR1")
    slurm.wait(job, "FAILED")
    log = folder.job_log(job).read_text()
    assert "back into the queue, restart 1 of at most 1" in log and "CANCELLED" in log
    assert f"job {job} on gl[001-002], restart 1, " in log and "restarted 1 times, which max_restarts allows" in log

    def runs() -> list[tuple[str, int]]:
        steps = client.accounting([job])
        return [(step.state, step.exit_code) for step in steps if step.step is None]

    wait_for(lambda: runs() == [("REQUEUED", 0), ("FAILED", 75)], "the accounting")


def test_a_killed_rank_ends_the_job_with_its_status(slurm: Cluster, tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    job = client.submit(folder.script)
    os.kill(int(places(folder, 0)[3][-1]), signal.SIGKILL)
    slurm.wait(job, "FAILED")
    log = folder.job_log(job).read_text()
    assert "task 3: Killed" in log and "Terminating StepId" in log

    def ends() -> dict[str | None, tuple[str, int]]:
        return {step.step: (step.state, step.exit_code) for step in client.accounting([job])}

    # The rank's own SIGKILL or the SIGTERM the others got, whichever srun heard of last.
    assert details(job)["ExitCode"] in ("137:0", "143:0")
    wait_for(lambda: ends().get(None) in (("FAILED", 9), ("FAILED", 15)) and ends().get("0"), "the accounting")
    assert ends()["0"] == ("CANCELLED", 0)


def test_the_same_script_by_hand_from_another_folder_goes_on_after_a_node_failure(
    slurm: Cluster, tmp_path: Path
) -> None:
    folder = make_run(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    job = slurm.call("sbatch", "--parsable", f"--chdir={tmp_path}/elsewhere", str(folder.script)).strip()
    places(folder, 0)
    slurm.call("scontrol", "update", "nodename=gl002", "state=down", "reason=test")
    (folder.path / "finish").touch()
    places(folder, 1)
    slurm.wait(job, "COMPLETED")
    assert "DUE TO NODE FAILURE" in folder.job_log(job).read_text()
    assert client.refusal(folder.script) is None
    assert "configuration is not available" in (client.refusal(folder.script, "--nodes=5") or "")

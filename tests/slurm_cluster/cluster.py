"""Start, stop and ask a test cluster; what the tests hold in hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.slurm_cluster import hosts, processes, supervisor
from tests.slurm_cluster.layout import NODES, PATH

PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "sbatch", "srun", "sacct")
BY_HAND = Path(tempfile.gettempdir()) / "navforge-slurm"
"""The cluster of `python -m tests.slurm_cluster`."""
WAIT_S = 300.0
"""Only a failure takes as long, however slow and busy the machine."""


def obstacle() -> str | None:
    """Why no cluster can be started here, or None."""
    if sys.platform != "linux":
        return "the test Slurm cluster needs Linux"
    if os.geteuid() != 0:
        return "the test Slurm cluster needs root: its daemons are started and the hosts file is written"
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing:
        return f"the test Slurm cluster lacks {', '.join(missing)}; make slurm installs them (Debian, Ubuntu)"
    return None


@dataclass(frozen=True)
class Cluster:
    """A cluster kept in one folder."""

    root: Path

    @property
    def conf(self) -> Path:
        return self.root / "etc" / "slurm.conf"

    def state(self) -> dict[str, Any] | None:
        """What the supervisor wrote; None where none lives."""
        try:
            state = json.loads((self.root / supervisor.STATE).read_text())
        except (OSError, ValueError):
            return None
        return state if processes.alive(state["supervisor"]) else None

    def start(self, owner: int | None = None) -> None:
        """Start the cluster and wait until its nodes are idle; it stops by itself when the process `owner` ends.

        Raises:
            RuntimeError: it cannot run here, or a daemon did not come up.
        """
        if reason := obstacle():
            raise RuntimeError(reason)
        clear_abandoned()
        if self.state() is not None:
            return
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.slurm_cluster.supervisor", str(self.root)]
        with open(self.root / "supervisor.log", "wb") as log:
            subprocess.Popen(
                [*command, *([str(owner)] if owner else [])],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        limit = time.monotonic() + WAIT_S
        while time.monotonic() < limit:
            state = (self.state() or {}).get("state", "starting")
            if state == "running":
                return
            if state.startswith("failed"):
                self.stop()
                raise RuntimeError(f"the test Slurm cluster {state}")
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the test Slurm cluster did not start within {WAIT_S:g} s; see {self.root}")

    def stop(self) -> None:
        """End every process of the cluster, whether or not its supervisor still lives."""
        state = self.state()
        if state is not None:
            os.kill(state["supervisor"][0], signal.SIGTERM)
            limit = time.monotonic() + WAIT_S
            while processes.alive(state["supervisor"]):
                processes.reap_child(state["supervisor"][0])
                if time.monotonic() > limit:
                    os.kill(state["supervisor"][0], signal.SIGKILL)
                    break
                time.sleep(0.05)
        supervisor.clear(self.root)

    def call(self, *command: str) -> str:
        """Standard output of a command that talks to this cluster."""
        environ = {**os.environ, "SLURM_CONF": str(self.conf)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def job_state(self, job: str) -> str:
        """State of a job, such as RUNNING."""
        return self.call("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()

    def wait(self, job: str, *states: str) -> str:
        """Wait until a job is in one of the states."""
        return wait_for(lambda: (state := self.job_state(job)) in states and state, f"job {job} {states}")

    def tidy(self) -> None:
        """Cancel all jobs and bring all nodes back, so that the next test finds the cluster as this one did."""
        jobs = self.call("squeue", "-h", "-o", "%A").split()
        if jobs:
            self.call("scancel", "--signal=KILL", "--full", *jobs)
            self.call("scancel", *jobs)
            wait_for(lambda: not self.call("squeue", "-h").strip(), "jobs to end")
        down = [line.split()[0] for line in self._node_states() if line.split()[1].startswith(("down", "drain"))]
        for node in down:
            self.call("scontrol", "update", f"nodename={node}", "state=resume")
        wait_for(lambda: all(line.split()[1] == "idle" for line in self._node_states()), "nodes to be idle")

    def _node_states(self) -> list[str]:
        return self.call("sinfo", "-h", "-N", "-o", "%N %T").splitlines()


def wait_for(found: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Ask until the answer is true; return it.

    Raises:
        TimeoutError: it did not become true.
    """
    limit = time.monotonic() + timeout_s
    while not (answer := found()):
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.1)
    return answer


def clear_abandoned() -> None:
    """Clear up after clusters whose supervisor was killed."""
    for root in hosts.owners():
        if Cluster(root).state() is None:
            supervisor.clear(root)


def describe(cluster: Cluster) -> str:
    """What runs, for a person."""
    state = cluster.state()
    if state is None:
        return "not running"
    lines = [f"folder      {cluster.root}", f"SLURM_CONF  {cluster.conf}", f"supervisor  {state['supervisor'][0]}"]
    lines += [f"{name:11} {who[0]}{'' if processes.alive(who) else '  DEAD'}" for name, who in state["daemons"].items()]
    return "\n".join([*lines, cluster.call("sinfo", "-o", "%P %a %D %N %T %G %c %m").rstrip()])


def healthy(cluster: Cluster) -> bool:
    """Whether every daemon lives."""
    state = cluster.state()
    expected = {"munged", "mariadbd", "slurmdbd", "slurmctld", *NODES}
    return state is not None and {n for n, who in state["daemons"].items() if processes.alive(who)} == expected

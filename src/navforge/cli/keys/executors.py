"""Who does the work of a build: keys of all verbs that build something log by log."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.core.build import Executor, Processes, RayCluster
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.launch.build_array import SlurmArray
from navforge.slurm.profile import CLUSTER_HELP, read_profile

TASKS = 16
"""Of a job array, unless given."""
_ONLY_FOR = {"cluster": "slurm", "tasks": "slurm", "cpus": "slurm", "wait": "slurm", "ray_address": "ray"}
"""Keys that only one executor reads."""


@dataclass(frozen=True, kw_only=True)
class ExecutorKeys:
    """Keys that choose the executor; a verb's config inherits them."""

    executor: str = key(
        "local",
        "who works: this machine, a Ray cluster, a Slurm job array; the result is the same",
        choices=("local", "ray", "slurm"),
    )
    workers: int = key(0, "processes at once, with Slurm per task; 0: one per CPU", low=0)
    ray_address: str | None = key(None, "running Ray cluster (auto, HOST:PORT); null: one of this machine alone")
    cluster: str | None = key(None, f"{CLUSTER_HELP}; for executor=slurm")
    tasks: int | None = key(None, "tasks of the job array at most, for executor=slurm; auto: 16", none="auto", low=1)
    cpus: int | None = key(
        None, "CPUs of a task, for executor=slurm; auto: a GPU's share of a node", none="auto", low=1
    )
    wait: bool = key(True, "wait for the job array and finish; off: submit only, for executor=slurm")

    def __post_init__(self) -> None:
        """Raise ConfigError if a key of another executor is given, or no cluster for Slurm."""
        given = {name: getattr(self, name) for name in _ONLY_FOR} | {"wait": not self.wait}
        for name, value in given.items():
            if value and self.executor != _ONLY_FOR[name]:
                raise ConfigError(f"{name}: only for executor={_ONLY_FOR[name]}; give that too or drop it")
        if self.executor == "slurm" and self.cluster is None:
            raise ConfigError("cluster: executor=slurm needs a profile: cluster=NAME or FILE (see docs/clusters.md)")

    def pick_executor(self, local: Executor | None = None, *, gpus: int = 0) -> Executor:
        """The executor.

        Args:
            local: what works on one machine, also in a task of an array; None: `workers` processes.
            gpus: GPUs of a task of an array, or of a piece on Ray.
        """
        within = local or Processes(self.workers)
        if self.executor == "local":
            return within
        if self.executor == "ray":
            return RayCluster(self.ray_address, self.workers, gpus)
        assert self.cluster is not None
        profile = read_profile(self.cluster)
        cpus = self.cpus or profile.cpus_per_rank
        tasks = self.tasks or TASKS
        return SlurmArray(profile=profile, tasks=tasks, cpus=cpus, gpus=gpus, wait=self.wait, within=within)

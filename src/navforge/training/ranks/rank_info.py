"""Where a rank stands among the ranks of its run, as its launcher says in the environment."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from navforge.core.errors import ConfigError

DEFAULT_PORT = 29500
FIRST_PORT, PORTS = 20_000, 10_000
"""Jobs of Slurm meet at `FIRST_PORT + job id modulo PORTS`, so that two jobs on one machine do not meet each other."""


@dataclass(frozen=True, kw_only=True)
class RankInfo:
    """One rank among all of its run."""

    rank: int
    local_rank: int
    """Among the ranks of its node: the index of its GPU."""
    world_size: int
    node: str
    """Name of its node."""
    node_rank: int
    nodes: int
    devices: int
    """Ranks per node."""
    master_addr: str
    master_port: int
    job: str | None = None
    """Slurm job id."""
    attempt: int = 0
    """How often this job was started before."""

    def __post_init__(self) -> None:
        """Raise ConfigError where the numbers contradict each other."""
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(f"rank {self.rank} of {self.world_size} ranks cannot be; the launcher is set up wrongly")
        if self.nodes * self.devices != self.world_size:
            raise ConfigError(
                f"{self.world_size} ranks on {self.nodes} nodes do not make {self.devices} on each; every node must "
                "run the same number (Slurm: give --ntasks-per-node, not --ntasks)"
            )
        if not 0 <= self.local_rank < self.devices:
            raise ConfigError(f"local rank {self.local_rank} with {self.devices} ranks per node; they count from 0")

    @property
    def session(self) -> str:
        """Names this start of this job, so that stragglers of an earlier one are told apart."""
        return f"{self.job or 'local'}.{self.attempt}"


def from_environment(environ: Mapping[str, str] | None = None, *, hostname: str | None = None) -> RankInfo:
    """RankInfo by torchrun's variables, else by Slurm's, else alone.

    Args:
        environ: the environment; default: this process's.
        hostname: name of this machine; default: asked for.

    Raises:
        ConfigError: variables are missing or contradict each other, or a Slurm job of several tasks runs without srun.
    """
    environ = os.environ if environ is None else environ
    hostname = hostname or socket.gethostname()
    if "RANK" in environ or "WORLD_SIZE" in environ:
        return _torchrun(environ, hostname)
    if "SLURM_STEP_ID" in environ and "SLURM_PROCID" in environ:
        return _slurm(environ, hostname)
    if "SLURM_JOB_ID" in environ and int(environ.get("SLURM_NTASKS", "1")) > 1:
        raise ConfigError(
            f"this is one process in Slurm job {environ['SLURM_JOB_ID']} of {environ['SLURM_NTASKS']} tasks, started "
            "without srun: the other ranks would never come; start it with srun in the batch script"
        )
    return replace(
        alone(hostname),
        job=environ.get("SLURM_JOB_ID"),
        attempt=int(environ.get("SLURM_RESTART_COUNT", "0")),
    )


def alone(hostname: str | None = None) -> RankInfo:
    """A single rank that meets nobody."""
    return RankInfo(
        rank=0,
        local_rank=0,
        world_size=1,
        node=hostname or socket.gethostname(),
        node_rank=0,
        nodes=1,
        devices=1,
        master_addr="127.0.0.1",
        master_port=DEFAULT_PORT,
    )


def first_host(nodelist: str) -> str:
    """First name of a Slurm node list such as `gl[001-003,007],gh001`.

    Raises:
        ConfigError: not a node list.
    """
    found = re.match(r"^([\w.-]+?)(?:\[(\w+)(?:[-,]\w+)*\]([\w.-]*))?(?:,|$)", nodelist)
    if not found:
        raise ConfigError(f"{nodelist!r} is not a Slurm node list; set MASTER_ADDR in the batch script")
    prefix, number, suffix = found.groups()
    return f"{prefix}{number or ''}{suffix or ''}"


def tasks_per_node(text: str) -> list[int]:
    """Tasks on each node as Slurm writes them: `2(x2)` or `3,1`."""
    counts = []
    for part in text.split(","):
        count, _, times = part.partition("(x")
        counts += [int(count)] * int(times.rstrip(")") or 1)
    return counts


def _torchrun(environ: Mapping[str, str], hostname: str) -> RankInfo:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if absent := [name for name in names if name not in environ]:
        raise ConfigError(
            f"the environment has some of {', '.join(names)} but lacks {', '.join(absent)}; start ranks with "
            "navforge train, srun or torchrun, or unset them"
        )
    rank, local_rank, world_size = (int(environ[name]) for name in names[:3])
    devices = int(environ.get("LOCAL_WORLD_SIZE", world_size))
    return RankInfo(
        rank=rank,
        local_rank=local_rank,
        world_size=world_size,
        node=environ.get("SLURMD_NODENAME", hostname),
        node_rank=int(environ.get("GROUP_RANK", rank // devices)),
        nodes=max(1, world_size // devices),
        devices=devices,
        master_addr=environ["MASTER_ADDR"],
        master_port=int(environ["MASTER_PORT"]),
        job=environ.get("SLURM_JOB_ID"),
        attempt=int(environ.get("SLURM_RESTART_COUNT", environ.get("TORCHELASTIC_RESTART_COUNT", "0"))),
    )


def _slurm(environ: Mapping[str, str], hostname: str) -> RankInfo:
    job = environ["SLURM_JOB_ID"]
    counts = tasks_per_node(environ.get("SLURM_STEP_TASKS_PER_NODE") or environ["SLURM_TASKS_PER_NODE"])
    if len(set(counts)) > 1:
        raise ConfigError(
            f"Slurm placed {' + '.join(map(str, counts))} tasks on the nodes of job {job}; every node must run "
            "the same number: give --ntasks-per-node, not --ntasks"
        )
    hosts = environ.get("SLURM_STEP_NODELIST") or environ["SLURM_JOB_NODELIST"]
    return RankInfo(
        rank=int(environ["SLURM_PROCID"]),
        local_rank=int(environ["SLURM_LOCALID"]),
        world_size=sum(counts),
        node=environ.get("SLURMD_NODENAME", hostname),
        node_rank=int(environ["SLURM_NODEID"]),
        nodes=len(counts),
        devices=counts[0],
        master_addr=environ.get("MASTER_ADDR") or first_host(hosts),
        master_port=int(environ.get("MASTER_PORT") or FIRST_PORT + int(job) % PORTS),
        job=job,
        attempt=int(environ.get("SLURM_RESTART_COUNT", "0")),
    )

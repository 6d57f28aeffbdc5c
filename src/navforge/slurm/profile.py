"""What a cluster is: the profile a person writes once, in YAML, and every job is fitted to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.outside.text import read_yaml
from navforge.slurm import durations

SHIPPED = {path.stem: path for path in sorted(Path(__file__).with_name("profiles").glob("*.yaml"))}
"""Profiles that come with the package, by name: examples to use or to copy."""
OWN = "NAVFORGE_CLUSTERS"
"""Environment variable that names a folder of the user's own profiles."""
CLUSTER_HELP = (
    f"cluster profile: a YAML file, or the name of one in ${OWN} or that navforge ships ({', '.join(SHIPPED)})"
)
"""Help of a key that names a profile."""
_SHORTEST_LEFT_S = 30
"""A job shorter than signal lead plus this would be signalled to stop before it has started."""


@dataclass(frozen=True, kw_only=True)
class ClusterProfile:
    """One cluster, or one partition of it. Options are Slurm's; see docs/clusters.md for how they end up in a job."""

    name: str = key(help="what this cluster is called in the run's records")
    partition: str | None = key(None, "partition; null: the cluster's default")
    account: str | None = key(None, "account to charge")
    qos: str | None = key(None, "quality of service")
    nodes: int = key(help="nodes a job may take at most", low=1)
    gpus_per_node: int = key(help="GPUs of one node", low=1)
    gpu_type: str | None = key(None, "GPU type as --gres names it; null: any")
    cpus_per_node: int = key(help="CPUs of one node a job may take; a job gets its share per GPU", low=1)
    memory_gb: int = key(help="host memory of one node a job may take; a job gets its share per GPU", unit="GiB", low=1)
    gpu_memory_gb: float | None = key(None, "memory of one GPU, for predictions made away from the node", unit="GiB")
    time_limit: str = key(help="time limit of a job, [days-]hours:minutes:seconds")
    signal_lead_s: int = key(300, "how long before the limit ranks write a checkpoint", unit="s", low=1)
    max_restarts: int = key(20, "how often a job may return to the queue before manual intervention", low=0)
    setup: tuple[str, ...] = key((), "shell lines of the batch script before the ranks start: modules, exports")
    sbatch_options: tuple[str, ...] = key((), "further options of the job, each one #SBATCH line: --constraint=a100")
    srun_options: tuple[str, ...] = key((), "further options of srun: --container-image=FILE, --cpu-bind=none")
    scratch: str | None = key(None, "node-local folder for temporary files, $VARIABLES allowed; each rank's TMPDIR")
    python: str | None = key(None, "Python of the ranks; null: the one that submits")

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise ConfigError(f"name: expected letters, digits, - _ and ., got {self.name!r}")
        limit = self.time_limit_s
        if limit is not None and limit < self.signal_lead_s + _SHORTEST_LEFT_S:
            raise ConfigError(
                f"time_limit: {self.time_limit} leaves nothing before the signal, which comes {self.signal_lead_s} s "
                "before the limit; raise time_limit or lower signal_lead_s"
            )
        if self.cpus_per_node < self.gpus_per_node:
            raise ConfigError(
                f"cpus_per_node: {self.cpus_per_node} CPUs cannot serve {self.gpus_per_node} GPUs; one each at least"
            )
        for field in ("sbatch_options", "srun_options"):
            for option in getattr(self, field):
                if not option.startswith("-") or "\n" in option:
                    raise ConfigError(f"{field}: expected options such as --exclusive, got {option!r}")

    @property
    def time_limit_s(self) -> int | None:
        """Time limit in seconds; None if unlimited."""
        return durations.parse(self.time_limit)

    @property
    def cpus_per_rank(self) -> int:
        """CPUs of one rank."""
        return self.cpus_per_node // self.gpus_per_node

    def job_memory_gb(self, devices: int) -> int:
        """Host memory per node, GiB, of a job with `devices` ranks per node: its share of the node."""
        return self.memory_gb * devices // self.gpus_per_node

    def gres(self, devices: int) -> str:
        """`gpu:TYPE:COUNT` of one node."""
        return ":".join(part for part in ("gpu", self.gpu_type, str(devices)) if part)


def profiles() -> dict[str, Path]:
    """Files of all profiles that have a name: the user's own, then those of `SHIPPED` that are not among them.

    Raises:
        ConfigError: the folder of the user's own is not there.
    """
    if not (folder := os.environ.get(OWN)):
        return SHIPPED
    if not Path(folder).is_dir():
        raise ConfigError(f"cluster: ${OWN} names {folder}, which is not a folder; correct or unset it")
    own = {path.stem: path for path in sorted(Path(folder).glob("*.yaml"))}
    return {**own, **{name: path for name, path in SHIPPED.items() if name not in own}}


def read_profile(source: Path | str) -> ClusterProfile:
    """The profile in a YAML file, or one of `profiles` by its name; every key is checked.

    Raises:
        ConfigError: no such file or name, no YAML mapping, an unknown key or an impossible value; names the file.
    """
    known = profiles()
    path = known.get(str(source)) or Path(source).expanduser()
    missing = f"give a YAML file (docs/clusters.md says how to write one) or one of {', '.join(known)}"
    values: Any = read_yaml(path, "cluster profile", missing=missing, error=ConfigError)
    if not isinstance(values, dict):
        raise ConfigError(f"cluster: {path} holds no keys; docs/clusters.md says how to write one")
    if isinstance(limit := values.get("time_limit"), int):
        raise ConfigError(
            f"cluster: {path}: time_limit: YAML reads {limit} as a number; put it in quotes, such as '2-00:00:00'"
        )
    try:
        return configs.from_dict(ClusterProfile, values)
    except ConfigError as error:
        raise ConfigError(f"cluster: {path}: {error}") from error

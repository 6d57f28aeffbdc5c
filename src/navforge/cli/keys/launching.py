"""Keys that say how a run is started, whatever it trains."""

from __future__ import annotations

from dataclasses import dataclass, replace

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.slurm.profile import CLUSTER_HELP, ClusterProfile, read_profile
from navforge.training.run_base import RunBase


@dataclass(frozen=True, kw_only=True)
class LaunchKeys(RunBase):
    """Keys of a verb that starts a run."""

    launch: str = key("local", "where ranks run: on this machine, or by Slurm", choices=("local", "slurm"))
    cluster: str | None = key(None, f"{CLUSTER_HELP}; for launch=slurm")
    time_limit: str | None = key(None, "time limit of the Slurm job instead of the profile's")
    code: str = key("keep", "when resuming: keep the code snapshot or take a new one", choices=("keep", "new"))
    preflight: bool = key(True, "check everything before the start; false where navforge preflight just did")
    force: tuple[str, ...] = key((), "checks of the preflight whose refusal is accepted, by name")

    def __post_init__(self) -> None:
        """Raise ConfigError for keys of Slurm without Slurm, and the other way about."""
        super().__post_init__()
        if (self.launch == "slurm") != (self.cluster is not None):
            raise ConfigError(
                "cluster: launch=slurm needs a profile: cluster=NAME or FILE (see docs/clusters.md)"
                if self.cluster is None
                else "cluster: a profile is for launch=slurm; give launch=slurm too or drop it"
            )
        if self.launch == "local" and self.nodes > 1:
            raise ConfigError(f"nodes: launch=local starts ranks on this machine only, not on {self.nodes}")
        if self.launch == "local" and self.time_limit is not None:
            raise ConfigError("time_limit: only Slurm jobs have one; drop it or give launch=slurm")

    def profile(self) -> ClusterProfile | None:
        """The cluster profile, with the time limit asked for; None for a local run."""
        if self.cluster is None:
            return None
        profile = read_profile(self.cluster)
        return profile if self.time_limit is None else replace(profile, time_limit=self.time_limit)

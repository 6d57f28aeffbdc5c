"""Keys that the verbs of studies share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.slurm.profile import CLUSTER_HELP, ClusterProfile, read_profile
from navforge.studies.study_file import Launch

POSITIONAL = ("study",)
LOCAL, SLURM = "local", "slurm"


@dataclass(frozen=True, kw_only=True)
class StudyKeys:
    """A study file and its folder."""

    study: Path = key(help="study file (docs/studies.md)")
    out: Path | None = key(
        None, "folder of the study; auto: named like the file, in $NAVSIM_EXP_ROOT, else in runs", none="auto"
    )


@dataclass(frozen=True, kw_only=True)
class StudyLaunchKeys(StudyKeys):
    """Where a study is made, and how; `auto`: as its file says under `launch`."""

    launch: str = key(LOCAL, "where it is made: on this machine, or by Slurm", choices=(LOCAL, SLURM))
    at_once: int | None = key(None, "runs at once; auto: as the file says", low=1, none="auto")
    cluster: str | None = key(None, f"{CLUSTER_HELP}; auto: as the file says", none="auto")
    runs_per_job: int | None = key(
        None, "runs that a job trains side by side; auto: as the file says", low=1, none="auto"
    )
    cpus: int | None = key(None, "CPUs of a job; auto: as the file says", low=1, none="auto")
    gpus: int | None = key(None, "GPUs of a job of runs; auto: as the file says", low=1, none="auto")
    time_limit: str | None = key(None, "time limit of a job; auto: as the file says", none="auto")

    def __post_init__(self) -> None:
        """Raise ConfigError for keys of Slurm without Slurm."""
        given = [one.name for one in fields(Launch) if one.name != "at_once" and getattr(self, one.name) is not None]
        if given and self.launch == LOCAL:
            raise ConfigError(f"{given[0]}: only for launch=slurm; give that too or drop it")

    def settings(self, launch: Launch) -> Launch:
        """What the file says, but for what is given here."""
        given = {one.name: getattr(self, one.name) for one in fields(Launch)}
        return replace(launch, **{name: value for name, value in given.items() if value is not None})


def profile_of(launch: Launch) -> ClusterProfile:
    """The cluster profile, with the time limit asked for.

    Raises:
        ConfigError: none is named, or it cannot be read.
    """
    if launch.cluster is None:
        raise ConfigError(
            "cluster: launch=slurm needs a profile: cluster=NAME or FILE here, or under launch in the study file "
            "(see docs/clusters.md)"
        )
    profile = read_profile(launch.cluster)
    return profile if launch.time_limit is None else replace(profile, time_limit=launch.time_limit)

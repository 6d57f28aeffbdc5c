"""Keys of `navforge score`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import SWITCH, key
from navforge.core.errors import ConfigError
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.scoring.protocols import parse_protocols, protocol
from navforge.scoring.traffic import LOG_REPLAY, TRAFFIC, check_traffic

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge score`."""

    split: str = key(help=f"what the trajectories belong to: {SPLIT_HELP}")
    cache: Path = key(help="metric cache of the split (navforge cache)")
    trajectories: Path = key(
        help="npz file: tokens (S,), poses (S, N, T, 3) x m, y m, heading rad in the ego rear-axle frame, interval_s"
    )
    protocol: str = key("epdms_v2", "pdms_v1, epdms_v2 or epdms_v2_before_fix; several separated by commas")
    human_filter: str = key("auto", "forgive what the human also fails; auto: the protocol's own rule", choices=SWITCH)
    traffic: str = key(
        LOG_REPLAY,
        "what others do: log_replay, or reactive: vehicles react to the plan (v2 protocols)",
        choices=TRAFFIC,
    )
    extended_comfort: str = key(
        "auto",
        "compare trajectory n of a scene with n of the scene before; auto: if there is one trajectory per scene",
        choices=SWITCH,
    )
    out: Path = key(help="score table to write, .parquet; metrics beside the score go to NAME.metrics.parquet")
    data: DataConfig = key(DataConfig, "where logs are")
    allow_missing: bool = key(False, "continue without scenes of the split that are not on disk; the table says so")
    workers: int = key(0, "processes; 0: one per CPU", low=0)

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown protocol, traffic it does not have, or an `out` that is not Parquet."""
        check_traffic(self.traffic, map(protocol, parse_protocols(self.protocol)))
        if self.out.suffix != ".parquet":
            raise ConfigError(f"out: expected a path ending in .parquet, got {str(self.out)!r}")

"""What an evaluation is made with: the keys of `navforge evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge import agents
from navforge.core.config import SWITCH, key
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.evaluation.folder import METRICS, PLANS, RESULT, SCORES
from navforge.scoring.protocols import parse_protocols, protocol
from navforge.scoring.traffic import LOG_REPLAY, TRAFFIC, check_traffic


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Keys of `navforge evaluate`."""

    agent: str = key(
        help=f"a class (package.module:Class), a recipe (FILE.yaml), or one of {', '.join(agents.names())}"
    )
    checkpoint: Path | None = key(None, "trained weights of a planner (navforge train); null for reference agents")
    weights: str | None = key(
        None, "where the file or folder of the encoder's frozen weights is now; null: where the checkpoint says"
    )
    split: str = key(help=SPLIT_HELP)
    cache: Path = key(help="metric cache of the split (navforge cache)")
    protocol: str = key("epdms_v2", "pdms_v1, epdms_v2 or epdms_v2_before_fix; several separated by commas")
    out: Path = key(help=f"folder for {SCORES}, {PLANS} and {RESULT}")
    human_filter: str = key("auto", "forgive what the human also fails; auto: the protocol's own rule", choices=SWITCH)
    traffic: str = key(
        LOG_REPLAY,
        "what others do: log_replay, or reactive: vehicles react to the plan (v2 protocols)",
        choices=TRAFFIC,
    )
    blank_camera: bool = key(False, "show a planner black images: what does it get from its cameras?")
    features: Path | None = key(
        None, "feature store of the split (navforge encode), for planners with a frozen encoder; null: encode images"
    )
    metrics: tuple[str, ...] = key(
        (),
        f"more columns of {METRICS}: classes (package.module:Class) or names of installed packages",
    )
    teacher: Path | None = key(
        None, "teacher store of the split (navforge teach), for the oracle gap of a planner with a vocabulary"
    )
    latency: bool = key(False, "measure time and memory of inference at batch 1, before the split is planned")
    latency_repeats: int = key(50, "scenes whose time is taken for latency=true", low=10)
    official: Path | None = key(None, "result table (CSV) of the official devkit to print beside ours")
    data: DataConfig = key(DataConfig, "where logs and sensor files are")
    allow_missing: bool = key(False, "continue without scenes of the split that are not on disk; every result says so")
    device: str = key("auto", "where a planner runs", choices=("auto", "cpu", "cuda"))
    batch_size: int = key(16, "scenes planned for at once", unit="scenes", low=1)
    workers: int = key(0, "processes that score; 0: one per CPU", low=0)

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown protocol or agent, or traffic the protocol does not have."""
        check_traffic(self.traffic, map(protocol, parse_protocols(self.protocol)))
        agents.check_name(
            self.agent,
            self.checkpoint,
            blank_camera=self.blank_camera,
            features=self.features,
            weights=self.weights,
        )
        if self.metrics:
            from navforge.evaluation.further_metrics import load_metrics  # noqa: PLC0415 (compiles)

            load_metrics(self.metrics)

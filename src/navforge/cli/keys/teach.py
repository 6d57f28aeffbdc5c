"""Keys of `navforge teach`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys.executors import ExecutorKeys
from navforge.core.config import SWITCH, key
from navforge.core.errors import ConfigError
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.scoring.protocols import PROTOCOLS

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Config(ExecutorKeys):
    """Keys of `navforge teach`."""

    vocabulary: Path = key(help="vocabulary file (.npy)")
    split: str = key(help=SPLIT_HELP)
    cache: Path = key(help="metric cache of the split")
    out: Path = key(help="folder of the teacher store")
    protocol: str = key("epdms_v2", "whose sub-scores", choices=tuple(known.name for known in PROTOCOLS))
    human_filter: str = key(
        "auto",
        "forgive entries what the human driver also fails; auto: where the protocol does",
        choices=SWITCH,
    )
    progress_bits: int = key(16, "width of ego progress in the store", choices=(8, 16), unit="bits")
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    workers: int = key(0, "threads (with Ray or a GPU: processes) at once, with Slurm per task; 0: one per CPU", low=0)
    device: str = key(
        "auto",
        "what scores; auto: a GPU where torch sees one and executor=local; the store is the same",
        choices=("auto", "cpu", "cuda"),
    )
    data: DataConfig = key(DataConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError if a key of another executor is given, none for Slurm, or a GPU to all but `local`."""
        super().__post_init__()
        if self.device == "cuda" and self.executor != "local":
            raise ConfigError(
                f"device=cuda: workers of executor={self.executor} score on CPUs; use executor=local on a machine with "
                "a GPU, or drop device=cuda"
            )

"""`navforge teach`: what the scoring engine says of every vocabulary entry on every scene of a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.executors import ExecutorKeys
from navforge.cli.notices import tell, warn
from navforge.core import provenance
from navforge.core.build import Executor
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.products import TEACHER, claim
from navforge.core.screen import say
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import PROTOCOLS, protocol
from navforge.teacher.build import Gpu, Threads, plan, require_own
from navforge.teacher.store import SCORE, TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Config(ExecutorKeys):
    """Keys of `navforge teach`."""

    vocabulary: Path = key(help="vocabulary file (.npy)")
    split: str = key(help="folder of logs or scene-filter YAML")
    cache: Path = key(help="metric cache of the split")
    out: Path = key(help="folder of the teacher store")
    protocol: str = key("epdms_v2", "whose sub-scores", choices=tuple(known.name for known in PROTOCOLS))
    human_filter: str = key(
        "auto",
        "forgive entries what the human driver also fails; auto: where the protocol does",
        choices=("auto", "on", "off"),
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


def run(config: Config) -> None:
    """Build or finish the store and say how good the vocabulary can be."""
    vocabulary = Vocabulary.load(config.vocabulary)
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    split.require_annotations()
    warn(split)
    filtered = protocol(config.protocol).human_filter if config.human_filter == "auto" else config.human_filter == "on"
    with claim(config.out, TEACHER):
        require_own(config.out, vocabulary)
        planned = plan(
            vocabulary,
            split,
            config.cache,
            config.out,
            protocol_name=config.protocol,
            human_filter=filtered,
            progress_bits=config.progress_bits,
        )
        if not planned.finished:
            report = planned.build(_pick_executor(config), config.workers)
            if report.complete:
                provenance.record(config.out, config, name="teach")
            tell(report)
        store = TeacherStore.open(config.out, vocabulary)
        store.check()
    say(describe(store))


def _pick_executor(config: Config) -> Executor:
    gpu = config.executor == "local" and _pick_device(config.device) == "cuda"
    return config.pick_executor(Gpu(config.workers) if gpu else Threads(config.workers))


def describe(store: TeacherStore) -> str:
    """Size, oracle and rounding of a store in words."""
    header = store.header
    bits = sum(about["bits"] for about in header["columns"].values())
    scores = "" if header["oracle"] is None else f"oracle {header['oracle']:.4f}, mean {header['mean_score']:.4f}; "
    rounding = [
        f"{name.replace('_', ' ')} to {header['rounding'][name]:.1e}"
        for name in (EGO_PROGRESS.name, SCORE)
        if name in header["rounding"]
    ]
    return (
        f"{store.path}: {header['entries']} entries on {len(store)} scenes of {header['split']}, {store.protocol}; "
        f"{scores}{len(store) * store.layout.row_bytes / 1e6:.1f} MB, {bits} bits per entry, {', '.join(rounding)}"
    )


def _pick_device(asked: str) -> str:
    """`cpu` or `cuda`; raises ConfigError if cuda is asked for and there is none."""
    if asked == "cpu":
        return asked
    from navforge.agents.planner import pick_device  # noqa: PLC0415 (loads torch)

    return pick_device(asked)

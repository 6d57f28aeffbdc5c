"""`navforge teach`: what the scoring engine says of every vocabulary entry on every scene of a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core import provenance
from navforge.core.config import key
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.scoring.protocols import PROTOCOLS, protocol
from navforge.vocabulary.teach import teach
from navforge.vocabulary.teacher import TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Config:
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
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    progress_bits: int = key(16, "bits of ego progress", choices=(8, 16), unit="bits")
    workers: int = key(0, "processes; 0 one per CPU", low=0)
    data: DataConfig = key(DataConfig)


def run(config: Config) -> None:
    """Build or finish the store and say how good the vocabulary can be."""
    vocabulary = Vocabulary.load(config.vocabulary)
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    filtered = protocol(config.protocol).human_filter if config.human_filter == "auto" else config.human_filter == "on"
    store = teach(
        vocabulary,
        split,
        config.cache,
        config.out,
        protocol_name=config.protocol,
        human_filter=filtered,
        progress_bits=config.progress_bits,
        workers=config.workers,
    )
    provenance.record(config.out, config, name="teach")
    print(describe(store))


def describe(store: TeacherStore) -> str:
    """Size, oracle and rounding of a store in words."""
    header = store.header
    bits = sum(about["bits"] for about in header["columns"].values())
    return (
        f"{store.path}: {header['entries']} entries on {len(store)} scenes of {header['split']}, {store.protocol}; "
        f"oracle {header['oracle']:.4f}, mean entry {header['mean_score']:.4f}; "
        f"{len(store) * store.layout.row_bytes / 1e6:.1f} MB, {bits} bits per entry, ego progress to "
        f"{header['rounding']['ego_progress']:.1e}, score to {header['rounding']['score']:.1e}"
    )

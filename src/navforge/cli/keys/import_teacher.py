"""Keys of `navforge import-teacher`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.scoring.protocols import PROTOCOLS
from navforge.teacher.tables import EP_RULES, LAYOUTS


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge import-teacher`."""

    source: Path = key(help="pickled table: token -> column -> array over the vocabulary")
    vocabulary: Path = key(help="vocabulary file (.npy) the table was made with; the table does not say which")
    out: Path = key(help="folder of the teacher store")
    layout: str = key("gtrs", "whose keys the table has", choices=tuple(known.name for known in LAYOUTS))
    protocol: str | None = key(
        None,
        f"rules the table follows ({', '.join(known.name for known in PROTOCOLS)}); auto: those of its layout",
        none="auto",
    )
    ep_rule: str = key(
        "unknown",
        "how its ego progress was normalised: against PDM-Closed alone (gated), the best of the vocabulary (batch)",
        choices=tuple(EP_RULES),
    )

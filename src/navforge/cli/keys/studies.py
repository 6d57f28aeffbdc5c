"""Keys that the verbs of studies share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

POSITIONAL = ("study",)


@dataclass(frozen=True, kw_only=True)
class StudyKeys:
    """A study file and its folder."""

    study: Path = key(help="study file (docs/studies.md)")
    out: Path | None = key(
        None, "folder of the study; auto: named like the file, in $NAVSIM_EXP_ROOT, else in runs", none="auto"
    )

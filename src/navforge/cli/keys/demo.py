"""Keys of `navforge demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything."""

    vocabulary: int
    planner_epochs: int | None
    """None: as the recipe says."""
    baseline_epochs: int | None
    image: tuple[int, int]
    """Width and height of the world's cameras, px."""
    scenes: int
    """Pictures on the page."""
    proves: bool
    """Whether the demo fails when the planner does not show what it should; too small a run can only report."""


SCALES = {
    "small": Scale(vocabulary=256, planner_epochs=None, baseline_epochs=None, image=(480, 270), scenes=12, proves=True),
    "tiny": Scale(vocabulary=8, planner_epochs=2, baseline_epochs=2, image=(160, 90), scenes=8, proves=False),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge demo`."""

    out: Path = key(Path("runs/demo"), "folder of everything the demo makes")
    scale: str = key(
        "small", "small: the demonstration; tiny: only shows that every stage works", choices=tuple(SCALES)
    )
    seed: int = key(0, "of the world, the vocabulary and the training", low=0, high=1_000_000)
    workers: int = key(0, "processes; 0: one per CPU", low=0)
    study: str = key(
        "none",
        "in the place of the demonstration a study of town, of its own size: labels needed with and without "
        "pre-training, heads, or a planner against itself",
        choices=("none", "labels", "heads", "null"),
    )

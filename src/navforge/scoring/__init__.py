"""Sub-scores and scores of simulated trajectories under a named protocol; the one engine that scores.

As a library: `score` and `prepare_batch` (docs/scoring-library.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from navforge.scoring.against_reference import Scores
    from navforge.scoring.batch.scenes import SceneBatch, prepare_batch
    from navforge.scoring.library import score

__all__ = ["SceneBatch", "Scores", "prepare_batch", "score"]


def __getattr__(name: str) -> Any:
    """Import the library when it is first asked for: it loads compiled kernels, which protocols alone do not need."""
    if name in __all__:
        from navforge.scoring import library  # noqa: PLC0415

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

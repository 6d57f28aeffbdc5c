"""`Devkit`: the releases of the official devkit, whose caching rules differ."""

from __future__ import annotations

from enum import IntEnum


class Devkit(IntEnum):
    """Release of the official devkit whose caching rules made an array; index of `CachedScene.pdm_*`.

    The two differ where it matters: PDM-Closed chooses among the same proposals by the score of its own release, and
    v1.1 interpolates objects over 5 s of key frames, v2.2 over 4 s (an object seen once within 4 s and again later
    stands still in v2.2 and moves in v1.1).
    """

    V1 = 0
    V2 = 1

    @property
    def observation_steps(self) -> int:
        """Steps for which objects are known: 51 (5 s) in v1.1, 41 (4 s) in v2.2."""
        return 51 if self is Devkit.V1 else 41

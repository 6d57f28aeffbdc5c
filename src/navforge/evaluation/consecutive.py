"""Which scene comes right before which: the pairs two-frame extended comfort compares."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

LIMIT_US = 550_000
"""Scenes at least this far apart in time are not consecutive (the devkit asserts a gap below 0.55 s)."""


def previous(times_us: Sequence[int]) -> list[int | None]:
    """For each scene of one log, the index of the scene right before it, or None.

    As the devkit's one-stage script pairs them: scenes that were scored, sorted by time; each with its predecessor if
    that is less than 0.55 s earlier. A scene between two scored ones that was not scored itself breaks the pair only
    through the time it leaves.

    Args:
        times_us: time of each scene, any order, distinct.
    """
    order = sorted(range(len(times_us)), key=lambda i: times_us[i])
    found: list[int | None] = [None] * len(times_us)
    for before, now in itertools.pairwise(order):
        gap = times_us[now] - times_us[before]
        if 0 < gap < LIMIT_US:
            found[now] = before
    return found

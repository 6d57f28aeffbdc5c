"""Pairs of consecutive scenes."""

from __future__ import annotations

import numpy as np

from navforge.evaluation.consecutive import previous


def test_half_second_steps_pair_and_gaps_do_not() -> None:
    # 0.5 s, 0.5 s + jitter, a skipped frame, then exactly 0.55 s (not consecutive), then 0.549999 s
    times = np.cumsum([1_000_000, 500_000, 503_411, 1_000_000, 550_000, 549_999]).tolist()
    assert previous(times) == [None, 0, 1, None, None, 4]


def test_order_of_scenes_does_not_matter() -> None:
    times = [1_500_000, 500_000, 1_000_000]
    assert previous(times) == [2, None, 1]


def test_nothing_and_one() -> None:
    assert previous([]) == []
    assert previous([7]) == [None]


def test_the_nearest_earlier_scene_is_the_partner() -> None:
    assert previous([0, 100_000, 500_000]) == [None, 0, 1]

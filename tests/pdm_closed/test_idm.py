from __future__ import annotations

import numpy as np
import pytest

from navforge.pdm_closed.idm import advance, target_speeds


def step(speed, lead_progress, lead_speed=0.0, rear=0.0, target=10.0, progress=0.0):
    return advance(
        np.array([[progress, speed]]), np.array([[lead_progress, lead_speed, rear]]), np.array([target]), 0.1
    )[0]


def test_target_speeds_are_fractions_of_the_limit_or_of_15_mps():
    np.testing.assert_allclose(target_speeds(10.0), [2, 4, 6, 8, 10])
    np.testing.assert_allclose(target_speeds(None), [3, 6, 9, 12, 15])


def test_free_road_accelerates_at_1_5_and_holds_the_target():
    assert step(0.0, 1e9)[1] == pytest.approx(0.15)
    assert step(10.0, 1e9)[1] == pytest.approx(10.0)
    assert step(12.0, 1e9)[1] == pytest.approx(12 - 0.3)


def test_close_leader_brakes_at_3_and_gap_is_at_least_one_metre():
    assert step(8.0, 5.0) == pytest.approx([0.8, 8 - 0.3])
    assert step(8.0, -100.0) == pytest.approx([0.8, 8 - 0.3])


def test_formula_by_hand():
    v, lead, gap = 5.0, 4.0, 20.0
    wanted = 1 + v * 1.5 + v * (v - lead) / (2 * np.sqrt(4.5))
    expected = 1.5 * (1 - 0.5**10 - (wanted / gap) ** 2)
    assert step(v, gap + 2.0, lead, rear=2.0)[1] == pytest.approx(v + 0.1 * expected, abs=1e-15)


def test_target_zero_brakes_instead_of_failing():
    assert step(2.0, 1e9, target=0.0)[1] == pytest.approx(1.7)

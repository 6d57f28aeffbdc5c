"""The intelligent driver model of reactive traffic, by hand with the devkit's constants."""

from __future__ import annotations

import pytest

from navforge.simulation.kernels.reactive import next_speed

FAR = 1e9


def test_the_formula_by_hand() -> None:
    """1 m, 1.5 s, 1 m/s2, 2 m/s2 and the fourth power, each with a share in the result."""
    speed, target, gap, lead = 5.0, 10.0, 20.0, 4.0
    safe_gap = 1.0 + speed * 1.5 + speed * (speed - lead) / (2 * 2.0**0.5)
    expected = speed + 0.1 * (1.0 - 0.5**4 - (safe_gap / gap) ** 2)
    assert next_speed(speed, target, gap, lead) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("speed", "gap", "lead_speed", "expected"),
    [
        (0.0, FAR, 0.0, 0.1),  # 1 m/s2 on a free lane
        (10.0, FAR, 0.0, 10.0),
        (10.0, 5.0, 0.0, 9.8),  # at most 2 m/s2 down
        (0.1, 1.0, -20.0, 0.0),  # never backwards
    ],
)
def test_limits(speed: float, gap: float, lead_speed: float, expected: float) -> None:
    assert next_speed(speed, 10.0, gap, lead_speed) == pytest.approx(expected, abs=1e-9)


def test_a_gap_below_one_metre_counts_as_one() -> None:
    """Behind a leader that drives off: else the gap would brake far more."""
    safe_gap = 1.0 + 0.5 * 1.5 + 0.5 * (0.5 - 10.0) / (2 * 2.0**0.5)
    expected = 0.5 + 0.1 * (1.0 - 0.05**4 - safe_gap**2)
    assert next_speed(0.5, 10.0, 0.2, 10.0) == pytest.approx(expected, abs=1e-14)

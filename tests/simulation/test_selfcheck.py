from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import NavforgeError
from navforge.simulation import selfcheck, tracker
from tests.simulation.reference import simulate_one


def test_passes_here() -> None:
    selfcheck.check()


def test_known_values_agree_with_the_plain_reference() -> None:
    ego = selfcheck._test_state()
    for plan, expected in zip(selfcheck._test_references(), selfcheck.EXPECTED, strict=True):
        np.testing.assert_allclose(simulate_one(ego, plan)[-1, selfcheck.COLUMNS], expected, atol=1e-8)


def test_sees_a_wrong_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tracker.speed_factors() * (1.0 + 1e-6)
    monkeypatch.setattr(selfcheck, "speed_factors", lambda: wrong)
    with pytest.raises(NavforgeError, match="self-check failed"):
        selfcheck.check()


def test_sees_wrong_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "simulate", lambda ego, plans: np.full((3, 41, 11), np.nan))
    with pytest.raises(NavforgeError, match="simulated states"):
        selfcheck.check()

"""The nearest entry: known errors by hand, and the same as comparing with every entry."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.vocabulary import quantisation
from navforge.vocabulary.quantisation import quantise
from tests.vocabulary.moves import arc, straight

PLAN = np.arange(4, 40, 5)


def test_errors_by_hand() -> None:
    entries = np.stack([straight(5.0), straight(10.0), straight(10.0, aside=3.0)])[:, PLAN]
    human = np.stack([straight(9.0), straight(10.0, aside=2.0), straight(0.0)])[:, PLAN]
    found = quantise(human, entries)
    assert found.entry.tolist() == [1, 2, 0]
    mean_time = np.mean(0.5 * np.arange(1, 9))
    assert found.ade == pytest.approx([1.0 * mean_time, 1.0, 5.0 * mean_time], abs=1e-5)
    assert found.fde == pytest.approx([4.0, 1.0, 20.0], abs=1e-5)
    assert found.heading == pytest.approx([0.0, 0.0, 0.0])


def test_heading_error_is_that_of_the_nearest_entry() -> None:
    human = straight(5.0)[None, PLAN].copy()
    human[..., 2] = 2 * np.pi - 0.1
    found = quantise(human, np.stack([straight(5.0), straight(9.0)])[:, PLAN])
    assert found.heading == pytest.approx([0.1], abs=1e-5)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_leaving_entries_out_by_a_bound_changes_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "_SCENES", block)
    generator = np.random.default_rng(0)

    def drawn(count: int) -> np.ndarray:
        return np.stack([arc(generator.uniform(0.1, 14), generator.uniform(-0.4, 0.4)) for _ in range(count)])[:, PLAN]

    human, entries = drawn(150), drawn(400)
    entries[200:] = entries[:200]  # equals: the first counts
    away = human[:, None, :, :2].astype(np.float64) - entries[None, :, :, :2]
    error = np.hypot(away[..., 0], away[..., 1])
    found = quantise(human, entries)
    assert np.array_equal(found.entry, error.mean(axis=-1).argmin(axis=1)) and found.entry.max() < 200
    assert found.ade == pytest.approx(error.mean(axis=-1).min(axis=1), abs=1e-12)
    assert found.fde == pytest.approx(error[np.arange(150), found.entry, -1], abs=1e-5)

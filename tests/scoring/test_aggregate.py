from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from navforge.core.errors import ConfigError
from navforge.scoring import aggregate
from navforge.scoring.protocols import PROTOCOLS, protocol


def values(name: str, **changes: float) -> dict[str, np.ndarray]:
    return {column: np.array([changes.get(column, 1.0)]) for column in protocol(name).columns}


def test_weights_of_v2() -> None:
    given = values("epdms_v2", ego_progress=0.5, lane_keeping=0.0, traffic_light_compliance=0.5)
    rules = protocol("epdms_v2")
    # (5 * 0.5 + 5 + 0 + 2) / 14, gated by 0.5; with extended comfort 1: 2 more of 16.
    assert aggregate.score(given, rules)[0] == pytest.approx(0.5 * 9.5 / 14)
    assert aggregate.score(given, rules, np.array([1.0]))[0] == pytest.approx(0.5 * 11.5 / 16)
    assert aggregate.score(given, rules, np.array([0.0]))[0] == pytest.approx(0.5 * 9.5 / 16)


def test_undefined_extended_comfort_drops_its_weight() -> None:
    given = values("epdms_v2", ego_progress=0.5)
    rules = protocol("epdms_v2")
    undefined = aggregate.score(given, rules, np.array([np.nan]), np.array([False]))
    np.testing.assert_array_equal(undefined, aggregate.score(given, rules))


def test_weights_of_v1() -> None:
    given = values("pdms_v1", ego_progress=0.4, comfort=0.0, driving_direction_compliance=0.0)
    assert aggregate.score(given, protocol("pdms_v1"))[0] == pytest.approx((5 * 0.4 + 5) / 12)
    assert aggregate.score(given, protocol("pdms_v1"), np.array([0.0]))[0] == pytest.approx((5 * 0.4 + 5) / 12)


@pytest.mark.parametrize(
    ("name", "best", "expected"),
    [
        ("epdms_v2", 10.0, [0.8, 1.0, 0.5]),  # raw over best, clipped; gates do not enter
        ("epdms_v2", 5.0, [1.0, 1.0, 1.0]),
        ("pdms_v1", 10.0, [0.8, 1.2, 0.0]),  # gated over best
        ("pdms_v1", 5.0, [1.0, 1.0, 0.0]),
    ],
)
def test_progress(name: str, best: float, expected: list[float]) -> None:
    progress, gates = np.array([8.0, 12.0, 5.0]), np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(aggregate.normalised_progress(progress, gates, best, protocol(name)), expected)


def test_gated_progress() -> None:
    progress, gates = np.array([8.0, 12.0, 20.0, 5.0, 4.0]), np.array([1.0, 1.0, 0.5, 0.0, 1.0])
    np.testing.assert_allclose(aggregate.gated_progress(progress, gates, 10.0), [0.8, 1.0, 1.0, 0.0, 0.4])
    # The threshold is on the larger of the entry's own and the reference's: exactly 5 m is not yet far.
    np.testing.assert_allclose(
        aggregate.gated_progress(np.array([5.0, 5.1, 9.0]), np.array([1.0, 1.0, 0.0]), 5.0), [1.0, 1.0, 1.0]
    )


def test_protocol_names() -> None:
    assert [one.name for one in PROTOCOLS] == ["pdms_v1", "epdms_v2", "epdms_v2_before_fix"]
    for one in PROTOCOLS:
        assert protocol(one.name) is one
    with pytest.raises(ConfigError, match="known: pdms_v1, epdms_v2, epdms_v2_before_fix"):
        protocol("nope")


@pytest.mark.parametrize("name", [rules.name for rules in PROTOCOLS])
def test_torch_and_numpy_give_the_same_bits(name: str) -> None:
    import torch  # noqa: PLC0415 (slow to import)

    rules = protocol(name)
    rng = np.random.default_rng(0)
    given = {column: rng.choice([0.0, 0.5, 1.0], size=(3, 50)) for column in rules.columns}
    progress, best = 40.0 * rng.random((3, 50)), np.array([[3.0], [20.0], [60.0]])

    def scored(of: Any) -> tuple[Any, Any]:
        values = {column: of(value) for column, value in given.items()}
        gates = aggregate.gate(values, rules)
        ego = aggregate.normalised_progress(of(progress), gates, of(best), rules)
        return ego, aggregate.score({**values, "ego_progress": ego}, rules)

    for here, there in zip(scored(np.asarray), scored(torch.from_numpy), strict=True):
        assert there.dtype == torch.float64
        np.testing.assert_array_equal(here, there.numpy())
        assert len(np.unique(here)) > 20

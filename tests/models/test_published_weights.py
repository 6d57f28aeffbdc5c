"""Weights of published planners: the numbers here are those of their public code."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from navforge.models.heads.weights import GTRS_DENSE, HYDRA_LOSS

GATES = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "driving_direction_compliance",
    "traffic_light_compliance",
)
REST = ("time_to_collision_within_bound", "ego_progress", "lane_keeping", "history_comfort")


@pytest.mark.parametrize(
    ("weights", "imitation", "gates", "rest"),
    [
        (GTRS_DENSE, 0.03, (0.1, 0.9, 0.2, 0.1), (7.0, 7.0, 3.0, 0.0)),
        (HYDRA_LOSS, 1.0, (3.0, 3.0, 1.0, 3.0), (4.0, 2.0, 2.0, 1.0)),
    ],
    ids=["GTRS-Dense, inference", "GTRS, loss"],
)
def test_published_weights(weights: Any, imitation: float, gates: tuple[float, ...], rest: tuple[float, ...]) -> None:
    found = asdict(weights)
    assert found["imitation"] == imitation
    assert tuple(found[name] for name in GATES) == gates
    assert tuple(found[name] for name in REST) == rest


def test_the_weighted_sum_of_gtrs_dense_counts_six_times() -> None:
    assert GTRS_DENSE.weighted == 6.0

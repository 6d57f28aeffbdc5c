"""Config dataclasses with one number per taught sub-score, made from the tuple of metrics.

A metric added to `scoring.metrics` gets its keys here without another line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from navforge.core.config import key
from navforge.scoring.metrics import Metric
from navforge.scoring.protocols import PROTOCOLS, protocol
from navforge.teacher.store import SCORE


def taught_metrics(protocol_name: str) -> tuple[Metric, ...]:
    """Sub-scores of one scene that count in a protocol's score, in the protocol's order."""
    return tuple(m for m in protocol(protocol_name).metrics if m.kind == "multiplicative" or m.weight > 0)


OVERALL = Metric(name=SCORE, short="PDMS", kind="weighted", weight=1.0)
"""The one head of `target=score`."""
TAUGHT_COLUMNS = tuple(dict.fromkeys(m.name for known in PROTOCOLS for m in taught_metrics(known.name)))
"""Columns that count in some protocol; a planner reads those of its own protocol."""


class SubScoreFactors:
    """A number per taught sub-score, beside those a subclass declares."""

    def __getitem__(self, name: str) -> float:
        """A factor by its name."""
        return getattr(self, name)


FactorsT = TypeVar("FactorsT", bound=SubScoreFactors)


@dataclass(frozen=True, kw_only=True)
class LossFactors(SubScoreFactors):
    """Factor of each loss term."""

    imitation: float = key(1.0, "factor of the imitation loss", low=0.0)
    score: float = key(1.0, "factor of the overall score's distillation loss (target=score)", low=0.0)


@dataclass(frozen=True, kw_only=True)
class InferenceFactors(SubScoreFactors):
    """Weighted confidence by which the entry is chosen.

    The sum of w log p over imitation and the multiplicative sub-scores, plus `weighted` times the log of the weighted
    sub-scores' sum.
    """

    imitation: float = key(0.02, "factor of the log imitation probability", low=0.0)
    weighted: float = key(6.0, "factor of the log of the weighted sub-scores' sum", low=0.0)


def _with_sub_scores(base: type[FactorsT], name: str, default: float, meaning: str) -> Callable[..., FactorsT]:
    """The config class `name`: `base` with a key per taught sub-score; a wrong name is a TypeError."""
    fields = [(column, float, key(default, meaning.format(column), low=0.0)) for column in TAUGHT_COLUMNS]
    namespace = {"__doc__": base.__doc__, "__module__": __name__}
    return dataclasses.make_dataclass(name, fields, bases=(base,), frozen=True, kw_only=True, namespace=namespace)


LossWeights = _with_sub_scores(LossFactors, "LossWeights", 1.0, "factor of the {} distillation loss")
InferenceWeights = _with_sub_scores(
    InferenceFactors, "InferenceWeights", 0.0, "{}: factor of its log (multiplicative) or within the sum (weighted)"
)

HYDRA_LOSS = LossWeights(
    imitation=1.0,
    no_at_fault_collisions=3.0,
    drivable_area_compliance=3.0,
    time_to_collision_within_bound=4.0,
    ego_progress=2.0,
    driving_direction_compliance=1.0,
    lane_keeping=2.0,
    traffic_light_compliance=3.0,
)
"""Loss factors of the public code (GTRS), the two comforts 1."""

GTRS_DENSE = InferenceWeights(
    imitation=0.03,
    weighted=6.0,
    traffic_light_compliance=0.1,
    no_at_fault_collisions=0.1,
    drivable_area_compliance=0.9,
    driving_direction_compliance=0.2,
    time_to_collision_within_bound=7.0,
    ego_progress=7.0,
    lane_keeping=3.0,
)
"""GTRS-Dense choosing from its vocabulary only."""

DRIVESUPRIM_V1 = InferenceWeights(
    imitation=0.05,
    weighted=8.0,
    no_at_fault_collisions=0.5,
    drivable_area_compliance=0.5,
    ego_progress=5.0,
    time_to_collision_within_bound=5.0,
    comfort=2.0,
)
"""DriveSuprim for PDMS; within the ranges the Hydra-MDP paper searched."""

DRIVESUPRIM_V2 = InferenceWeights(
    imitation=0.02,
    weighted=6.0,
    no_at_fault_collisions=0.5,
    drivable_area_compliance=0.5,
    driving_direction_compliance=0.3,
    traffic_light_compliance=0.1,
    ego_progress=5.0,
    time_to_collision_within_bound=5.0,
    lane_keeping=2.0,
    history_comfort=1.0,
)
"""DriveSuprim for EPDMS."""

PLAIN_V1 = InferenceWeights(
    imitation=1.0,
    weighted=1.0,
    no_at_fault_collisions=1.0,
    drivable_area_compliance=1.0,
    ego_progress=5.0,
    time_to_collision_within_bound=5.0,
    comfort=2.0,
)
"""Probability of the human's plan times PDMS as predicted: Hydra-MDP without tuned weights."""

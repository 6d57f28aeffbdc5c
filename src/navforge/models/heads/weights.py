"""Config dataclasses with one number per taught sub-score, made from the tuple of metrics.

A metric added to `scoring.metrics` gets its keys here without another line.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from navforge.core.config import key
from navforge.scoring.metrics import Metric
from navforge.scoring.protocols import PROTOCOLS, protocol


def taught_metrics(protocol_name: str) -> tuple[Metric, ...]:
    """Sub-scores of one scene that count in a protocol's score, in the protocol's order."""
    return tuple(m for m in protocol(protocol_name).metrics if m.kind == "multiplicative" or m.weight > 0)


TAUGHT_COLUMNS = tuple(dict.fromkeys(m.name for known in PROTOCOLS for m in taught_metrics(known.name)))
"""Columns some protocol counts; a planner reads the keys of its own protocol's."""


def _number_per_metric(name: str, doc: str, first: list[tuple[str, Any]], meaning: str, default: float) -> type:
    fields = [(word, float, field) for word, field in first]
    fields += [(column, float, key(default, meaning.format(column), low=0.0)) for column in TAUGHT_COLUMNS]
    namespace = {"__doc__": doc, "__module__": __name__}
    return dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True, namespace=namespace)


LossWeights: Any = _number_per_metric(
    "LossWeights",
    "Factor of each loss term.",
    [("imitation", key(1.0, "factor of the imitation loss", low=0.0))],
    "factor of the {} distillation loss",
    1.0,
)

InferenceWeights: Any = _number_per_metric(
    "InferenceWeights",
    "Weighted confidence by which the entry is chosen: sum of w log p over imitation and the multiplicative "
    "sub-scores, plus `weighted` times the log of the weighted sub-scores' sum.",
    [
        ("imitation", key(0.02, "factor of the log imitation probability", low=0.0)),
        ("weighted", key(6.0, "factor of the log of the weighted sub-scores' sum", low=0.0)),
    ],
    "{}: factor of its log (multiplicative) or within the sum (weighted)",
    0.0,
)

"""From sub-scores to scores: normalised progress, weighted means, final scores with extended comfort.

Arrays of any shape, of NumPy or of torch on any device; float64, with the same bits in each.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.devkit import Devkit
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import Protocol

Float = NDArray[np.float64]
Values = Mapping[str, Float]

PROGRESS_THRESHOLD_M = 5.0
"""m; `PDMScorerConfig.progress_distance_threshold`."""


def library_of(array: Any) -> Any:
    """The module whose functions take this array: `numpy` or `torch`."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    return importlib.import_module(type(array).__module__.partition(".")[0])


def gate(values: Values, protocol: Protocol) -> Float:
    """(N,) product of the multiplicative sub-scores."""
    first, *others = (values[metric.name] for metric in protocol.multiplicative)
    product = 1.0 * first
    for value in others:
        product = product * value
    return product


def normalised_progress(progress_m: Float, gates: Float, best_m: Float | float, protocol: Protocol) -> Float:
    """Ego progress (N,) in [0, 1] from raw progress, gates and the best gated progress of those compared.

    v2: raw progress over the best, clipped; 1 for all if the best is at most 5 m. v1.1: gated progress over the best;
    if the best is at most 5 m, 1 for all but those gated to 0. Source: `PDMScorer._aggregate_pdm_scores`.
    """
    of = library_of(progress_m)
    best = of.zeros_like(progress_m) + best_m
    far = best > PROGRESS_THRESHOLD_M
    divisor = of.where(far, best, 1.0)
    if protocol.devkit is Devkit.V1:
        near = 1.0 * (gates != 0.0)
        return of.where(far, progress_m * gates / divisor, near)
    return of.where(far, of.clip(progress_m / divisor, 0.0, 1.0), 1.0)


def gated_progress(progress_m: Float, gates: Float, reference_gated_m: float) -> Float:
    """Ego progress (N,) in [0, 1] as teachers state it, whatever the protocol: an entry that is gated out has none.

    With q = progress x gates, q / max(q, q of PDM-Closed) where that maximum exceeds 5 m, else 1. Source: the
    public teacher code of the Hydra-MDP family, each entry compared with PDM-Closed alone.
    """
    gated = progress_m * gates
    best = np.maximum(gated, reference_gated_m)
    far = best > PROGRESS_THRESHOLD_M
    return np.where(far, gated / np.where(far, best, 1.0), 1.0)


def weighted_mean(
    values: Values, protocol: Protocol, extended: Float | None = None, defined: NDArray[np.bool_] | None = None
) -> Float:
    """(N,) weighted mean of the weighted sub-scores, with extended comfort where it is `defined`."""
    total = 0.0 * values[EGO_PROGRESS.name]
    weight = 0.0 * total
    for metric in protocol.weighted:
        total = total + metric.weight * values[metric.name]
        weight = weight + metric.weight
    if extended is not None and protocol.two_frame is not None:
        known = np.ones(len(total), dtype=bool) if defined is None else defined
        total = total + np.where(known, protocol.two_frame.weight * np.where(known, extended, 0.0), 0.0)
        weight = weight + np.where(known, protocol.two_frame.weight, 0.0)
    return total / weight


def score(
    values: Values, protocol: Protocol, extended: Float | None = None, defined: NDArray[np.bool_] | None = None
) -> Float:
    """(N,) final score: gates times weighted mean.

    Args:
        values: sub-scores (N,) by column name that enter the score (`Scores.scored`).
        protocol: the rules.
        extended: (N,) two-frame extended comfort; None where no plan has one.
        defined: (N,) where extended comfort is defined; elsewhere its weight is dropped. None: everywhere.
    """
    return gate(values, protocol) * weighted_mean(values, protocol, extended, defined)

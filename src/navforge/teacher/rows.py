"""What a scene teaches, between the scoring engine and the bytes of a row.

A row keeps what the engine found before the human filter, and one number for progress, from which everything else
follows: the columns after the filter, the teacher's ego progress, the benchmark's, and the score. With the gates g (the
product of the multiplicative sub-scores), progress p and the gated progress R of PDM-Closed, in metres, that number is

    e = p g / max(p g, R) if g > 0, else min(1, p / R)        where R > 5 m; elsewhere 1

Where R > 5 m the teacher's ego progress is e (0 for g = 0), the benchmark's min(1, e / g) in v2 (e for g = 0) and the
teacher's in v1. Where R <= 5 m both are 1, but 0 in v1's benchmark for g = 0. Sources of the rules:
`scoring.aggregate.gated_progress` and `normalised_progress`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.metric_cache.devkit import Devkit
from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores
from navforge.scoring.metrics import EGO_PROGRESS, METRICS_V1, METRICS_V2
from navforge.scoring.protocols import Protocol
from navforge.teacher.packing import FLAG, LEVEL, Codes, Encoding, Head, RowLayout, encode

Float = NDArray[np.float64]
Values = dict[str, Any]
"""Column -> (N,) floats."""

SCORE = "score"
"""Column: score of the entry without extended comfort."""

_FLOAT32 = 1e-6
"""Values of rows are read as float32."""

HALVES = tuple(dict.fromkeys(metric.name for metric in (*METRICS_V1, *METRICS_V2) if metric.levels == 3))
"""Sub-scores that may be 0.5; the others but ego progress are 0 or 1."""


def layout(rules: Protocol, entries: int, progress: Encoding) -> RowLayout:
    """Rows of a store that was taught: the protocol's sub-scores, ego progress last."""
    discrete = [metric.name for metric in rules.metrics if metric.name != EGO_PROGRESS.name]
    columns = [(name, LEVEL if name in HALVES else FLAG) for name in discrete]
    return RowLayout(entries, (*sorted(columns, key=lambda column: -column[1].bits), (EGO_PROGRESS.name, progress)))


def columns(rules: Protocol) -> tuple[str, ...]:
    """What can be read of a row: the protocol's sub-scores and the score."""
    return (*rules.columns, SCORE)


def pack(scores: Scores[Float], rules: Protocol, rows: RowLayout) -> bytes:
    """The row of a scene from the scores (N,) of all entries.

    Raises:
        DataError: a sub-score is not one that its column keeps, or progress is negative or not finite.
    """
    codes: dict[str, Codes] = {}
    for name, encoding in rows.columns:
        if name != EGO_PROGRESS.name:
            codes[name] = encode(scores.unfiltered[name], encoding, name)
    gates, reference_gated_m = aggregate.gate(scores.unfiltered, rules), float(scores.terms.reference_gated_m)
    kept = kept_progress(scores.progress_m, gates, reference_gated_m)
    codes[EGO_PROGRESS.name] = encode(kept, dict(rows.columns)[EGO_PROGRESS.name], EGO_PROGRESS.name)
    forgiven = sum(1 << place for place, name in enumerate(rows.names) if scores.terms.forgiven.get(name, False))
    return rows.pack(codes, Head(forgiven=forgiven, reference_gated_m=reference_gated_m))


def kept_progress(progress_m: Float, gates: Float, reference_gated_m: float) -> Float:
    """The number e (N,) of the module's description."""
    if reference_gated_m <= aggregate.PROGRESS_THRESHOLD_M:
        return np.ones_like(progress_m)
    gated = progress_m * gates
    ratio = np.where(gates > 0.0, gated / np.maximum(gated, reference_gated_m), progress_m / reference_gated_m)
    return np.minimum(ratio, 1.0)


def unpack(row: NDArray[np.uint8], rules: Protocol, rows: RowLayout, columns: tuple[str, ...]) -> Values:
    """Columns (N,) of a row after the human filter, ego progress by the teacher's rule; see `columns`.

    Raises:
        DataError: a byte of the row has changed.
    """
    head = rows.head(row)
    forgiven = {name for place, name in enumerate(rows.names) if head.forgiven >> place & 1}
    derived = {EGO_PROGRESS.name, SCORE} & set(columns)
    raw: Values = dict(rows.unpack(row, rows.names if derived else columns))
    values: Values = {
        name: np.ones_like(raw[name]) if name in forgiven else raw[name] for name in columns if name in raw
    }
    if derived:
        gates = aggregate.gate(raw, rules)
        far = head.reference_gated_m > aggregate.PROGRESS_THRESHOLD_M
        kept = raw[EGO_PROGRESS.name]
        if EGO_PROGRESS.name in derived:
            values[EGO_PROGRESS.name] = np.where(gates > 0.0, kept, 0.0) if far else kept
        if SCORE in derived:
            values[SCORE] = _score(raw, gates, far, forgiven, rules)
    return {name: values[name] for name in columns}


def _score(raw: Values, gates: Float, far: bool, forgiven: set[str], rules: Protocol) -> Float:
    """Scores (N,): the benchmark's progress and, where the filter enters the score, the forgiven columns."""
    kept = raw[EGO_PROGRESS.name]
    if rules.devkit is Devkit.V1:
        progress = np.where(gates > 0.0, kept if far else 1.0, 0.0)
    else:
        progress = np.minimum(kept / np.where(gates > 0.0, gates, 1.0), 1.0)
    scored = {**raw, EGO_PROGRESS.name: progress}
    if rules.filter_enters_score or not rules.human_filter:
        scored |= {name: np.ones_like(kept) for name in forgiven}
    return aggregate.score(scored, rules)


def rounding(row: bytes, scores: Scores[Float], rules: Protocol, rows: RowLayout) -> dict[str, float]:
    """How far what is read of a row is from what the engine said: the largest difference of ego progress and of score.

    Raises:
        DataError: the row does not round-trip: a difference that the width of the progress column does not explain.
    """
    taught = unpack(np.frombuffer(row, np.uint8), rules, rows, (EGO_PROGRESS.name, SCORE))
    gates, reference_gated_m = aggregate.gate(scores.unfiltered, rules), float(scores.terms.reference_gated_m)
    truth = {
        EGO_PROGRESS.name: aggregate.gated_progress(scores.progress_m, gates, reference_gated_m),
        SCORE: scores.score,
    }
    errors = {name: float(np.abs(taught[name] - value).max()) for name, value in truth.items()}
    allowed = 0.5 / dict(rows.columns)[EGO_PROGRESS.name].largest + _FLOAT32
    for name, difference in errors.items():
        if not difference <= allowed:
            entry = int(np.argmax(np.abs(taught[name] - truth[name])))
            raise DataError(
                f"{name} of entry {entry} is {truth[name][entry]!r}, and {taught[name][entry]!r} as a row keeps it; "
                "the engine's rules and those of teacher stores have come apart: please report this"
            )
    return errors

"""What a vocabulary can do, measured: its limits, its distance to human trajectories, the oracle. Plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.teacher.oracle import Oracle
from navforge.vocabulary.limits import Limits, Motion, limits_of
from navforge.vocabulary.quantisation import Quantisation, quantise
from navforge.vocabulary.vocabulary import PLAN_STEPS, Vocabulary

Float = NDArray[np.float64]

THRESHOLDS = (0.01, 0.5, 0.8, 0.9, 0.95, 0.99)
"""Scores for which the share of scenes is told in which no entry reaches them."""
TURN_FROM_RAD = 0.5
"""A human trajectory that turns more than this counts as a turn."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A quantity over trajectories or scenes."""

    mean: float
    median: float
    p95: float
    max: float

    @staticmethod
    def of(values: Float) -> Spread:
        """Of values (S,), S >= 1."""
        median, p95, most = np.quantile(values, [0.5, 0.95, 1.0]).tolist()
        return Spread(mean=float(values.mean()), median=median, p95=p95, max=most)


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """Shares of human trajectories that no entry follows: faster, farther aside, turning or braking more than any."""

    top_speed: float
    left: float
    right: float
    left_turn: float
    right_turn: float
    acceleration: float
    braking: float


class HumanComparison:
    """Human trajectories of a split beside a vocabulary."""

    def __init__(self, split: str, tokens: tuple[str, ...], poses: NDArray[np.float32], vocabulary: Vocabulary) -> None:
        """Compare.

        Args:
            split: its name.
            tokens: (S,) scenes.
            poses: (S, 40, 3) their human trajectories.
            vocabulary: the entries.
        """
        self.split = split
        self.tokens = tokens
        self.motion = Motion(poses)
        self.quantisation: Quantisation = quantise(poses[:, PLAN_STEPS], vocabulary.plans)

    @cached_property
    def limits(self) -> Limits:
        """Of the human trajectories."""
        return limits_of(self.motion)

    def beyond(self, limits: Limits) -> Beyond:
        """What lies outside the limits of the entries."""
        motion = self.motion

        def share(wrong: NDArray[np.bool_]) -> float:
            return float(wrong.mean())

        return Beyond(
            top_speed=share(motion.top_speed > limits.top_speed_mps),
            left=share(motion.poses[..., 1].max(axis=1) > limits.left_m),
            right=share(-motion.poses[..., 1].min(axis=1) > limits.right_m),
            left_turn=share(motion.turn > limits.left_turn_rad),
            right_turn=share(-motion.turn > limits.right_turn_rad),
            acceleration=share(motion.acceleration.max(axis=1) > limits.acceleration_mps2),
            braking=share(-motion.acceleration.min(axis=1) > limits.braking_mps2),
        )


@dataclass(frozen=True, kw_only=True)
class VocabularyReport:
    """Everything the page says of a vocabulary."""

    name: str
    vocabulary: Vocabulary
    human: HumanComparison | None = None
    """None: no split was given."""
    oracle: Oracle | None = None
    """None: no teacher store was given."""
    store: str = ""
    """Fingerprint of the teacher store."""
    losses: tuple[dict[str, float], ...] = ()
    """What the best entry loses in each of the worst scenes (`oracle.losses`), the worst first; their number is that
    of the scenes named."""

    @cached_property
    def motion(self) -> Motion:
        """Of the entries."""
        return Motion(self.vocabulary.poses)

    @cached_property
    def limits(self) -> Limits:
        """Of the entries."""
        return limits_of(self.motion)

    @property
    def worst(self) -> list[int]:
        """Rows of the oracle with the least scores, one for each of `losses`."""
        return [] if self.oracle is None else self.oracle.worst(len(self.losses)).tolist()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What could not be told, and what it takes."""
        missing = []
        if self.human is None:
            missing.append("the distance to human trajectories: give split=NAME")
        if self.oracle is None:
            missing.append("the oracle and the worst scenes: give store=FOLDER, a teacher store of this vocabulary")
        return tuple(missing)

    @cached_property
    def errors(self) -> dict[str, Spread]:
        """Quantisation errors by what is measured: `ade_m`, `fde_m`, `heading_rad`, `turns_ade_m` where any turns."""
        if self.human is None:
            return {}
        quantisation = self.human.quantisation
        turns = np.abs(self.human.motion.turn) > TURN_FROM_RAD
        errors = {"ade_m": quantisation.ade, "fde_m": quantisation.fde, "heading_rad": quantisation.heading}
        if turns.any():
            errors["turns_ade_m"] = quantisation.ade[turns]
        return {name: Spread.of(values) for name, values in errors.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `report.json`."""
        plain: dict[str, Any] = {
            "vocabulary": self.name,
            "fingerprint": self.vocabulary.fingerprint,
            "entries": self.vocabulary.size,
            "limits": asdict(self.limits),
            "left_out": list(self.left_out),
        }
        if self.human is not None:
            plain["human"] = {
                "split": self.human.split,
                "limits": asdict(self.human.limits),
                "beyond_the_entries": asdict(self.human.beyond(self.limits)),
                "quantisation": {name: asdict(spread) for name, spread in self.errors.items()},
                "entries_used": len(np.unique(self.human.quantisation.entry)),
            }
        if self.oracle is not None:
            oracle = self.oracle
            plain["oracle"] = {
                "protocol": oracle.protocol,
                "store": self.store,
                "scenes": len(oracle.tokens),
                "mean": float(oracle.best.mean()),
                "mean_entry": float(oracle.mean.mean()),
                "share_below": {f"{score:g}": oracle.share_below(score) for score in THRESHOLDS},
                "good_entries_median": float(np.median(oracle.good)),
                "worst": [
                    {
                        "token": oracle.tokens[row],
                        "best": float(oracle.best[row]),
                        "entry": int(oracle.entry[row]),
                        "good_entries": int(oracle.good[row]),
                        "mean": float(oracle.mean[row]),
                        "loses": lost,
                    }
                    for row, lost in zip(self.worst, self.losses, strict=True)
                ],
            }
        return plain

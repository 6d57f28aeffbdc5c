"""What every agent promises: scenes in, one trajectory per scene out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from navforge.data.label_subsets import LabelFacts
    from navforge.data.scenes import Scene
    from navforge.training.loop.epochs import TrainingLength
    from navforge.vocabulary.vocabulary import Vocabulary


INTERVAL_S = 0.5
POSES = 8
"""Poses of a plan at 2 Hz: the benchmark's 4 s."""


class Agent(ABC):
    """Turns scenes into plans; knows nothing of how they are scored.

    A class of your own is evaluated by `navforge evaluate agent=package.module:Class`. Its constructor may have any of
    these parameters, which are then given by name: `checkpoint` (the file of `checkpoint=`, or None), `data` (a
    `DataConfig`), `device` (`cpu` or `cuda`) and `batch_size`. Others need a default.
    """

    name: str
    """What tables and reports call it."""
    fingerprint: str | None = None
    """Fingerprint of the checkpoint behind the agent; None for agents without one."""

    labels: LabelFacts | None = None
    """The label subset it learned from; None: no subset."""
    length: TrainingLength | None = None
    """How long it learned; None where that is not known."""
    vocabulary: Vocabulary | None = None
    """What its plans are entries of; None for an agent that makes plans of its own."""
    device: str = "cpu"
    """Where it computes, `cpu` or `cuda`: whose memory counts when inference is measured."""

    def forward_of(self, scene: Scene) -> Callable[[], object] | None:
        """A call that plans for a scene whose inputs are on the device already, and waits until the device is done.

        None for agents that do not tell reading and computing apart.
        """
        return None

    @property
    def classes(self) -> tuple[type, ...]:
        """Whose code plans, for the provenance of results."""
        return (type(self),)

    @abstractmethod
    def plan(self, scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], float]:
        """Plans for a batch of scenes.

        Returns:
            poses (B, T, 3) x m, y m, heading rad in the ego rear-axle frame, the current pose left out, and the time
            between poses in seconds, the same for every call. They must reach 4 s: 8 poses of 0.5 s, 40 of 0.1 s.
        """

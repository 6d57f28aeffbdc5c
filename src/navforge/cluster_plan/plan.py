"""Every cluster and shape a run could be sent to, with when it would end there, soonest first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from navforge.cluster_plan.predict import Rate, Shape, predict
from navforge.cluster_plan.queue import Place, Slurm, place
from navforge.cluster_plan.speeds import Speed, setting
from navforge.core.device import CPU
from navforge.preflight.duration import Pace, epoch_s
from navforge.preflight.estimate import Estimate
from navforge.slurm.profile import ClusterProfile
from navforge.training.run_base import RunBase


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do."""

    config: RunBase
    scenes: int
    val_scenes: int


@dataclass(frozen=True, kw_only=True)
class Option:
    """A run on a cluster in a shape."""

    cluster: str
    """What `cluster=` takes."""
    kind: str | None
    """As Slurm names the GPU, or `CPU`; None where the profile does not say."""
    shape: Shape
    rate: Rate
    training_s: Estimate | None
    """Epochs with their validation; start and checkpoints, some minutes, are left out."""
    place: Place
    ends: Estimate | None
    """s since 1970; None where speed or wait are unknown."""
    notes: tuple[str, ...] = ()


def options(
    work: Work,
    clusters: Mapping[str, ClusterProfile],
    shapes: Sequence[Shape],
    speeds: Sequence[Speed],
    *,
    slurm: Slurm | str,
    now: float,
) -> list[Option]:
    """All options: those whose end is known by it, then those without, last those there cannot be."""
    every = [
        _option(work, name, profile, shape, speeds, slurm, now)
        for name, profile in clusters.items()
        for shape in shapes
    ]
    return sorted(every, key=_order)


def _order(option: Option) -> tuple[bool, float, float]:
    ends = math.inf if option.ends is None else option.ends.value
    training = math.inf if option.training_s is None else option.training_s.value
    return option.place.refusal is not None, ends, training


def _option(
    work: Work,
    name: str,
    profile: ClusterProfile,
    shape: Shape,
    speeds: Sequence[Speed],
    slurm: Slurm | str,
    now: float,
) -> Option:
    there = place(work.config, profile, shape, slurm, now)
    kind = CPU if work.config.train.accelerator == "cpu" else profile.gpu_type
    rate = Rate(None, "unknown: the profile names no gpu_type")
    if kind is not None:
        rate = predict(kind, shape, speeds, setting(work.config))
    training = None if rate.samples_per_s is None else training_s(work, shape, rate.samples_per_s)
    ends = None
    if training is not None and there.wait_s is not None:
        ends = Estimate(now, now, now) + there.wait_s + training
    notes = list(there.notes)
    limit = profile.time_limit_s
    if training is not None and limit is not None and training.value > limit:
        again = math.ceil(training.value / limit) - 1
        notes.append(f"goes back into the queue {again} time{'s' * (again > 1)} at its time limit, each a further wait")
    return Option(
        cluster=name,
        kind=kind,
        shape=shape,
        rate=rate,
        training_s=training,
        place=there,
        ends=ends,
        notes=tuple(notes),
    )


def training_s(work: Work, shape: Shape, samples_per_s: Estimate) -> Estimate:
    """Seconds of all epochs with their validation.

    Args:
        work: what there is to do.
        shape: nodes and ranks per node.
        samples_per_s: of all ranks.
    """
    train = work.config.train
    assert train.batch_size is not None, "the caller asks for a number"
    batch = max(1, min(train.batch_size, work.scenes // (shape.ranks * train.accumulate)))
    updates = train.epoch_updates
    scenes = work.scenes if updates is None else updates * batch * shape.ranks * train.accumulate
    seconds = [
        train.epochs * epoch_s(_pace(batch, shape, rate), scenes, work.val_scenes, shape.ranks)
        for rate in (samples_per_s.value, samples_per_s.high, samples_per_s.low)
    ]
    return Estimate(*seconds)


def _pace(batch: int, shape: Shape, samples_per_s: float) -> Pace:
    """One rank's, where loading is part of the recorded speed."""
    step_s = batch * shape.ranks / samples_per_s
    return Pace(step_s=step_s, batch_size=batch, loader_examples_per_s=math.inf, device="")

"""The speed of a run on a kind of device in a shape: recorded, scaled from what is recorded, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from navforge.cluster_plan.speeds import Speed
from navforge.core.device import CPU, same_kind
from navforge.preflight.estimate import QUIET, Estimate, between

RECORDED, UNKNOWN = "recorded", "unknown"


@dataclass(frozen=True)
class Shape:
    """Nodes and ranks per node."""

    nodes: int
    devices: int

    @property
    def ranks(self) -> int:
        """In all."""
        return self.nodes * self.devices

    def __str__(self) -> str:
        return f"{self.nodes} x {self.devices}"


@dataclass(frozen=True)
class Rate:
    """Samples per second of all ranks, None where nothing tells it, and what it rests on."""

    samples_per_s: Estimate | None
    basis: str
    """`recorded ...`, `scaled ...` or `unknown`."""


def predict(kind: str, shape: Shape, speeds: Sequence[Speed], own: dict[str, object]) -> Rate:
    """How fast a run learns.

    In this order: recorded in this shape; scaled with ranks from other shapes on this kind; scaled from another kind of
    GPU by the ratio that runs of other settings show between both kinds in a shape that both had.

    Args:
        kind: as Slurm names the GPU, or `CPU`.
        shape: nodes and ranks per node.
        speeds: all that are recorded.
        own: the run's `speeds.setting`.
    """
    mine = [speed for speed in speeds if speed.setting == own]
    here = _on_kind(kind, shape, mine, speeds)
    if here is not None:
        return here
    for device in dict.fromkeys(speed.device for speed in mine if CPU not in (speed.device, kind)):
        there = _on_kind(device, shape, mine, speeds)
        ratio = _ratio(speeds, lambda speed, device=device: speed.device == device, lambda speed: _is(speed, kind))
        if there is None or there.samples_per_s is None or ratio is None:
            continue
        factor, settings = ratio
        basis = f"scaled from {device} by {factor.value:.2f}, the ratio of {_count(settings, 'other setting')}"
        wider = Estimate(factor.value, (1 - QUIET) * factor.low, (1 + QUIET) * factor.high)
        return Rate(_product(there.samples_per_s, wider), basis)
    return Rate(None, UNKNOWN)


def _on_kind(kind: str, shape: Shape, mine: Sequence[Speed], speeds: Sequence[Speed]) -> Rate | None:
    """Recorded on this kind, in this shape or others."""
    same = [speed for speed in mine if _is(speed, kind)]
    if not same:
        return None
    exact = [speed for speed in same if _shape(speed) == shape]
    if exact:
        return Rate(_pooled(exact), f"{RECORDED} ({_count(len(exact), 'start')})")
    points = [
        (float(ranks), _pooled([speed for speed in same if speed.ranks == ranks]))
        for ranks in sorted({speed.ranks for speed in same})
    ]
    last, rate = points[-1]
    if shape.ranks > last:
        scaling = _ratio(
            [speed for speed in speeds if speed.device == CPU or kind != CPU],
            lambda speed: speed.ranks == last,
            lambda speed: _shape(speed) == shape,
            same_device=True,
        )
        if scaling is not None:
            factor, settings = scaling
            basis = f"scaled from {_ranks(last)} by {factor.value:.1f}, as {_count(settings, 'other record')} scaled"
            return Rate(_product(rate, factor), basis)
    basis = f"scaled from {_ranks(*(place for place, _ in points))}"
    return Rate(between(points, shape.ranks), basis + (", in proportion at best" if shape.ranks > last else ""))


def _ratio(
    speeds: Sequence[Speed],
    below: Callable[[Speed], bool],
    above: Callable[[Speed], bool],
    *,
    same_device: bool = False,
) -> tuple[Estimate, int] | None:
    """Ratio of speeds that were recorded under one setting, with the range over settings, and how many there are.

    Two speeds are compared where they have the shape in common, or with `same_device` the device.
    """
    ratios = []
    settings: list[dict[str, object]] = []
    for speed in speeds:
        if speed.setting not in settings:
            settings.append(speed.setting)
    for own in settings:
        group = [speed for speed in speeds if speed.setting == own]
        common = [
            top.samples_per_s.value / base.samples_per_s.value
            for base in group
            for top in group
            if below(base)
            and above(top)
            and (base.device == top.device if same_device else _shape(base) == _shape(top))
        ]
        if common:
            ratios.append(median(common))
    return (Estimate(median(ratios), min(ratios), max(ratios)), len(ratios)) if ratios else None


def _pooled(speeds: Iterable[Speed]) -> Estimate:
    """Median of the values, from the lowest to the highest end."""
    rates = [speed.samples_per_s for speed in speeds]
    return Estimate(
        median(rate.value for rate in rates), min(rate.low for rate in rates), max(rate.high for rate in rates)
    )


def _product(rate: Estimate, factor: Estimate) -> Estimate:
    return Estimate(rate.value * factor.value, rate.low * factor.low, rate.high * factor.high)


def _is(speed: Speed, kind: str) -> bool:
    return speed.device == kind or same_kind(speed.device, kind)


def _shape(speed: Speed) -> Shape:
    return Shape(speed.nodes, speed.devices)


def _ranks(*numbers: float) -> str:
    return f"{' and '.join(f'{number:.0f}' for number in numbers)} rank{'s' * (numbers != (1.0,))}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"

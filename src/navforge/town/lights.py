"""Traffic lights that respond to traffic: one arm of a junction has green at a time, so no two greens ever cross."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navforge.town.world import Intersection, Light, TownMap

YELLOW_S = 2.4
ALL_RED_S = 1.0
LEAST_GREEN_S = 4.0
MOST_GREEN_S = 9.0
PHANTOM_PER_S = 0.03
"""Rate of demand on an arm without a vehicle, as from pedestrian buttons."""


@dataclass
class _Signal:
    arms: tuple[int, ...]
    arm: int
    state: Light
    """Of the arm's connectors; RED while all are red."""
    clock: float
    least: float
    wanted: set[int]


class Lights:
    """All traffic lights of a town over time."""

    def __init__(self, town: TownMap, rng: np.random.Generator) -> None:
        self._rng = rng
        self._connectors: dict[int, list[int]] = {}
        for connector in town.connectors.values():
            if connector.lit:
                roadblock = town.lanes[connector.from_lane].roadblock
                self._connectors.setdefault(roadblock, []).append(connector.fid)
        lit = [area for area in town.intersections.values() if area.lit]
        self._signals = {area.fid: self._start(area) for area in lit}
        self.state: dict[int, Light] = {}
        """State per lit connector fid."""
        self._publish()

    def _start(self, area: Intersection) -> _Signal:
        arm = int(self._rng.integers(len(area.arms)))
        return _Signal(area.arms, arm, Light.GREEN, float(self._rng.uniform(0, 6)), LEAST_GREEN_S, set())

    def step(self, dt: float, waiting: set[int], near: set[int], urgent: frozenset[int] = frozenset()) -> None:
        """Advance all signals.

        Args:
            dt: s.
            waiting: roadblocks whose vehicles are coming near their stop line or wait there: they want green.
            near: roadblocks with a vehicle so close that a change to yellow would be unkind.
            urgent: roadblocks that come next wherever they wait (a log should not be all standing still).
        """
        for signal in self._signals.values():
            signal.clock += dt
            for k, roadblock in enumerate(signal.arms):
                if roadblock in waiting or self._rng.random() < PHANTOM_PER_S * dt:
                    signal.wanted.add(k)
            if signal.state == Light.GREEN:
                signal.wanted.discard(signal.arm)
                own = signal.arms[signal.arm]
                over = signal.clock >= MOST_GREEN_S or (signal.clock >= signal.least and own not in near)
                if signal.wanted and over:
                    signal.state, signal.clock = Light.YELLOW, 0.0
            elif signal.state == Light.YELLOW and signal.clock >= YELLOW_S:
                signal.state, signal.clock = Light.RED, 0.0
            elif signal.state == Light.RED and signal.clock >= ALL_RED_S:
                count = len(signal.arms)
                order = [(signal.arm + k) % count for k in range(1, count + 1)]
                order.sort(key=lambda k: signal.arms[k] not in urgent)
                signal.arm = next((k for k in order if k in signal.wanted), signal.arm)
                signal.state, signal.clock = Light.GREEN, 0.0
                signal.least = LEAST_GREEN_S + float(self._rng.uniform(0.0, 3.0))
        self._publish()

    def _publish(self) -> None:
        for signal in self._signals.values():
            for k, roadblock in enumerate(signal.arms):
                light = signal.state if k == signal.arm else Light.RED
                for connector in self._connectors.get(roadblock, ()):
                    self.state[connector] = light

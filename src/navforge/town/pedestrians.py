"""People on pavements and over crosswalks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navforge.town import curves

Float = NDArray[np.float64]

BODY_M = (0.7, 0.7, 1.75)
"""Length, width, height of a person's box."""
REACH_M = 3.2
"""Drivers keep free this much of the crosswalk ahead of a person on it."""
LOOK_S = 4.0
"""Nobody steps on the road in front of a vehicle that would arrive sooner, unless it can stop with ease."""
EASY_BRAKING_MPS2 = 1.7


@dataclass(slots=True)
class Walker:
    """Somebody strolling along a pavement, there and back."""

    line: Float
    along: Float
    s: float
    v: float
    colour: int


@dataclass(slots=True)
class Crosser:
    """Somebody who wants to cross the road at a crosswalk."""

    line: Float
    """(2, 2) from behind one kerb to behind the other."""
    arm: int
    """Roadblock whose vehicles cross this crosswalk into the junction."""
    start_after: float
    """Earliest time to step out, s."""
    v: float
    colour: int
    s: float = 0.0
    walking: bool = False
    kerbs: tuple[float, float] = (1.2, 8.0)
    """Arc lengths of the two kerbs on `line`."""

    @property
    def done(self) -> bool:
        """Whether the other side is reached."""
        return self.s >= float(np.hypot(*(self.line[1] - self.line[0])))


@dataclass(slots=True)
class Pedestrians:
    """All people of one log."""

    walkers: list[Walker] = field(default_factory=list)
    crossers: list[Crosser] = field(default_factory=list)
    time: float = 0.0

    def boxes(self) -> tuple[Float, Float]:
        """(P, 5) boxes and (P, 2) velocities, walkers first."""
        pose, velocity = [], []
        for walker in self.walkers:
            length = walker.along[-1]
            turn = walker.s % (2 * length)
            s, sign = (turn, 1.0) if turn <= length else (2 * length - turn, -1.0)
            low = min(max(s - 0.5, 0.0), length - 1.0)
            ends = curves.interpolate(walker.line, walker.along, np.array([low, low + 1.0, s]))
            step = (ends[1] - ends[0]) * sign
            angle = np.arctan2(step[1], step[0])
            pose.append([ends[2, 0], ends[2, 1], angle])
            velocity.append(walker.v * np.array([np.cos(angle), np.sin(angle)]))
        strolling = np.array(pose).reshape(-1, 3)
        boxes = np.column_stack([strolling, np.tile(BODY_M[:2], (len(strolling), 1))])
        crossing, their_velocity = self.crosser_boxes()
        return np.concatenate([boxes, crossing]), np.concatenate([np.array(velocity).reshape(-1, 2), their_velocity])

    def crosser_boxes(self) -> tuple[Float, Float]:
        """(C, 5) boxes and (C, 2) velocities of those who wait to cross, cross, or have crossed."""
        if not self.crossers:
            return np.zeros((0, 5)), np.zeros((0, 2))
        start = np.array([crosser.line[0] for crosser in self.crossers])
        step = np.array([crosser.line[1] for crosser in self.crossers]) - start
        length = np.hypot(*step.T)
        unit = step / length[:, None]
        s = np.minimum([crosser.s for crosser in self.crossers], length)
        v = np.array([crosser.v if crosser.walking and not crosser.done else 0.0 for crosser in self.crossers])
        angle = np.arctan2(unit[:, 1], unit[:, 0])
        size = np.tile(BODY_M[:2], (len(unit), 1))
        return np.column_stack([start + s[:, None] * unit, angle, size]), v[:, None] * unit

    def step(self, dt: float, vehicles: Float, velocity: Float, allowed: Callable[[int], bool]) -> Float:
        """Advance everybody.

        Args:
            dt: s.
            vehicles: (D, 5) boxes of moving vehicles.
            velocity: (D, 2) their velocities.
            allowed: whether people may step out over the arm of a roadblock.

        Returns:
            (C, 5) boxes drivers have to keep free: people on the road with the metres they are about to walk.
        """
        self.time += dt
        for walker in self.walkers:
            walker.s += walker.v * dt
        blocks = []
        for crosser in self.crossers:
            if crosser.done:
                continue
            step = crosser.line[1] - crosser.line[0]
            unit = step / np.hypot(*step)
            if not crosser.walking:
                crosser.walking = (
                    self.time >= crosser.start_after
                    and allowed(crosser.arm)
                    and self._free(crosser, vehicles, velocity)
                )
            if not crosser.walking:
                continue
            if not self._vehicle_ahead(crosser, unit, vehicles):
                crosser.s += crosser.v * dt
            if crosser.s < crosser.kerbs[1] + 0.3:
                first = max(crosser.s - 0.6, crosser.kerbs[0] - 0.4)
                last = min(max(crosser.s, crosser.kerbs[0]) + REACH_M, crosser.kerbs[1] + 0.4)
                middle = crosser.line[0] + unit * (first + last) / 2
                if last > first:
                    blocks.append([middle[0], middle[1], np.arctan2(unit[1], unit[0]), last - first, 1.2])
        return np.array(blocks).reshape(-1, 5)

    def _free(self, crosser: Crosser, vehicles: Float, velocity: Float) -> bool:
        middle = crosser.line.mean(axis=0)
        gap = middle - vehicles[:, :2]
        distance = np.hypot(*gap.T)
        speed = np.hypot(*velocity.T)
        closing = (velocity * gap).sum(axis=1) / np.maximum(distance, 0.1)
        room = np.maximum(distance - vehicles[:, 3] / 2 - 5.5, 0.1)
        soon = (closing > 0.5) & (room / np.maximum(closing, 0.1) < LOOK_S)
        hard = speed**2 / (2 * room) > EASY_BRAKING_MPS2
        # Standing vehicles close by may be about to move off: wait until they have gone, unless well away.
        on_it = distance < vehicles[:, 3] / 2 + 4.5
        return not bool(((soon & hard) | on_it).any())

    def _vehicle_ahead(self, crosser: Crosser, unit: Float, vehicles: Float) -> bool:
        at = crosser.line[0] + unit * (crosser.s + 1.1)
        c, s = np.cos(vehicles[:, 2]), np.sin(vehicles[:, 2])
        d = at - vehicles[:, :2]
        along, across = np.abs(c * d[:, 0] + s * d[:, 1]), np.abs(c * d[:, 1] - s * d[:, 0])
        return bool(((along < vehicles[:, 3] / 2 + 0.9) & (across < vehicles[:, 4] / 2 + 0.7)).any())

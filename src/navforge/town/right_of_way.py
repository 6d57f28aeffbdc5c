"""Who may enter a junction: a way through is granted to one vehicle at a time among those that would cross."""

from __future__ import annotations

from scipy.spatial.distance import cdist

from navforge.town.world import Connector, TownMap

APART_M = 2.9
"""Two ways through a junction cross if their middle lines come closer than this."""


def crossing_pairs(town: TownMap) -> dict[int, frozenset[int]]:
    """For every connector the others that may not be driven at the same time.

    Ways from one lane never cross: vehicles on them follow each other.
    """
    by_junction: dict[int, list[Connector]] = {}
    for connector in town.connectors.values():
        by_junction.setdefault(connector.intersection, []).append(connector)
    crossing: dict[int, set[int]] = {fid: set() for fid in town.connectors}
    for members in by_junction.values():
        for k, one in enumerate(members):
            for other in members[k + 1 :]:
                if one.from_lane == other.from_lane:
                    continue
                if one.to_lane == other.to_lane or cdist(one.centre, other.centre).min() < APART_M:
                    crossing[one.fid].add(other.fid)
                    crossing[other.fid].add(one.fid)
    return {fid: frozenset(others) for fid, others in crossing.items()}


class RightOfWay:
    """Grants of ways through junctions, first come first served."""

    def __init__(self, crossing: dict[int, frozenset[int]]) -> None:
        self._crossing = crossing
        self._holders: dict[int, dict[int, int]] = {}
        self._queue: dict[int, dict[int, int]] = {}

    def holds(self, vehicle: int, junction: int) -> bool:
        """Whether the vehicle has a way through this junction."""
        return vehicle in self._holders.get(junction, {})

    def ask(self, vehicle: int, junction: int, connector: int, *, may_enter: bool, at_line: bool) -> bool:
        """Ask for a way; True if it is granted (and stays so until released).

        Args:
            vehicle: its number.
            junction: intersection fid.
            connector: the way.
            may_enter: lights and traffic beyond allow it; else the request is refused and loses its place.
            at_line: it stands close to the stop line, so later crossing requests have to wait for it.
        """
        holders = self._holders.setdefault(junction, {})
        queue = self._queue.setdefault(junction, {})
        if vehicle in holders:
            return True
        if not may_enter:
            queue.pop(vehicle, None)
            return False
        crossing = self._crossing[connector]
        earlier = []
        for other, way in queue.items():
            if other == vehicle:
                break
            earlier.append(way)
        if any(way in crossing for way in holders.values()) or any(way in crossing for way in earlier):
            if at_line:
                queue[vehicle] = connector
            return False
        queue.pop(vehicle, None)
        holders[vehicle] = connector
        return True

    def release(self, vehicle: int, junction: int) -> None:
        """The vehicle has left the junction or turned away from it."""
        self._holders.get(junction, {}).pop(vehicle, None)
        self._queue.get(junction, {}).pop(vehicle, None)

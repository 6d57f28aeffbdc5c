"""Traffic lights never give two crossing ways green, and give every arm its turn."""

from __future__ import annotations

import itertools

import numpy as np
import shapely

from navforge.town.lights import YELLOW_S, Lights
from navforge.town.world import Light, TownMap


def test_open_ways_never_cross(town: TownMap) -> None:
    lights = Lights(town, np.random.default_rng(0))
    everywhere = {block for area in town.intersections.values() for block in area.arms}
    lines = {fid: shapely.LineString(connector.centre) for fid, connector in town.connectors.items()}
    for _ in range(600):
        lights.step(0.1, everywhere, set())
        open_ways = [fid for fid, state in lights.state.items() if state != Light.RED]
        for k, one in enumerate(open_ways):
            for other in open_ways[k + 1 :]:
                a, b = town.connectors[one], town.connectors[other]
                if a.intersection == b.intersection and a.from_lane != b.from_lane:
                    assert not lines[one].crosses(lines[other])


def test_connectors_of_one_arm_share_their_state_and_green_ends_in_yellow(town: TownMap) -> None:
    lights = Lights(town, np.random.default_rng(1))
    everywhere = {block for area in town.intersections.values() for block in area.arms}
    seen: dict[int, list[Light]] = {}
    for _ in range(900):
        lights.step(0.1, everywhere, set())
        for head in town.light_heads:
            assert len({lights.state[fid] for fid in head.connectors}) == 1
            history = seen.setdefault(head.roadblock, [])
            state = lights.state[head.connectors[0]]
            if not history or history[-1] != state:
                history.append(state)
    for history in seen.values():
        assert Light.GREEN in history
        for before, after in itertools.pairwise(history):
            assert (before, after) in {
                (Light.RED, Light.GREEN),
                (Light.GREEN, Light.YELLOW),
                (Light.YELLOW, Light.RED),
            }


def test_nobody_waiting_near_keeps_green_short_of_the_most(town: TownMap) -> None:
    """With a vehicle close to the line the light waits; without one it changes once somebody else wants green."""
    area = next(area for area in town.intersections.values() if area.lit)
    lights = Lights(town, np.random.default_rng(2))
    own = next(
        head.roadblock
        for head in town.light_heads
        if head.roadblock in area.arms and lights.state[head.connectors[0]] == Light.GREEN
    )
    governed = next(head.connectors for head in town.light_heads if head.roadblock == own)
    others = set(area.arms) - {own}
    lights.step(0.1, others, {own})
    for _ in range(20):
        lights.step(0.1, others, {own})
    changed = lights.state[governed[0]]
    for _ in range(round((10.0 + YELLOW_S) / 0.1)):
        lights.step(0.1, others, set())
    assert lights.state[governed[0]] == Light.RED or changed != Light.GREEN

"""A world in which traffic keeps right, seen in a mirror: traffic keeps left, and everything else is as good as before.

Towns are planned and driven keeping right. Mirrored at the x axis, lanes, kerbs, lights, routes, manoeuvres and the
motion of everyone are those of left-hand traffic. The mirrored town is what maps, logs and sensors show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import Command
from navforge.town.log_file import FrameContent
from navforge.town.world import ActorBox, Strip, TownMap, Turn

Float = NDArray[np.float64]

OTHER_SIDE = {Turn.LEFT: Turn.RIGHT, Turn.STRAIGHT: Turn.STRAIGHT, Turn.RIGHT: Turn.LEFT}


def mirrored_town(town: TownMap) -> TownMap:
    """The town in the mirror: what was left of a lane is right of it, rings stay counter-clockwise."""
    counts = {fid: len(block.lanes) for fid, block in town.roadblocks.items()}
    changes: dict[str, Callable[[Any], dict[str, Any]]] = {
        "painted_lines": lambda paint: {"line": _points(paint.line)},
        "roadblocks": lambda block: {"lanes": block.lanes[::-1], "polygon": _ring(block.polygon)},
        "roadblock_connectors": lambda block: {
            "connectors": block.connectors[::-1],
            "polygon": _ring(block.polygon),
        },
        "intersections": lambda area: {
            "polygon": _ring(area.polygon),
            "centre": _points(area.centre),
            "arms": area.arms[::-1],
        },
        "stop_lines": lambda stop: {"polygon": _ring(stop.polygon)},
        "carparks": lambda park: {"polygon": _ring(park.polygon), "heading": -park.heading},
        "crosswalks": lambda walk: {"polygon": _ring(walk.polygon), "line": _points(walk.line)},
        "buildings": lambda house: {"footprint": _ring(house.footprint)},
        "light_heads": lambda head: {
            "position": _points(head.position),
            "heading": -head.heading,
            "pole": _points(head.pole),
        },
        "lanes": lambda lane: {**_strip(lane), "index": counts[lane.roadblock] - 1 - lane.index},
        "connectors": lambda way: {**_strip(way), "turn": OTHER_SIDE[way.turn]},
    }
    low_x, low_y, high_x, high_y = town.bounds
    return replace(
        town,
        walkways=tuple(_ring(ring) for ring in town.walkways),
        footpaths=tuple(_points(line) for line in town.footpaths),
        trees=_points(town.trees),
        poles=_points(town.poles),
        bounds=(low_x, -high_y, high_x, -low_y),
        **{name: _all(getattr(town, name), change) for name, change in changes.items()},
    )


def mirrored_frame(frame: FrameContent) -> FrameContent:
    """A frame in the mirror: ego, everyone around it, and what ego is told to do."""
    snapshot = frame.snapshot
    box = _points(snapshot.actors.box)
    box[:, ActorBox.HEADING] *= -1.0
    mirrored = replace(
        snapshot,
        ego_pose=snapshot.ego_pose * [1.0, -1.0, -1.0],
        ego_velocity=_points(snapshot.ego_velocity),
        ego_acceleration=_points(snapshot.ego_acceleration),
        actors=replace(snapshot.actors, box=box, velocity=_points(snapshot.actors.velocity)),
    )
    command = Command(OTHER_SIDE[Turn(frame.command)]) if frame.command in set(Turn) else frame.command
    return replace(frame, snapshot=mirrored, yaw_rate=-frame.yaw_rate, command=command)


def _all(parts: Any, change: Callable[[Any], dict[str, Any]]) -> Any:
    """The parts, a tuple or a dict by fid, each with the fields that `change` gives."""
    if isinstance(parts, dict):
        return {fid: replace(part, **change(part)) for fid, part in parts.items()}
    return tuple(replace(part, **change(part)) for part in parts)


def _strip(strip: Strip) -> dict[str, Float]:
    return {"centre": _points(strip.centre), "left": _points(strip.right), "right": _points(strip.left)}


def _points(points: Float) -> Float:
    """(..., C) with y, the second column, reversed."""
    mirrored = np.array(points, dtype=np.float64)
    mirrored[..., 1] *= -1.0
    return mirrored


def _ring(ring: Float) -> Float:
    return _points(ring)[::-1].copy()

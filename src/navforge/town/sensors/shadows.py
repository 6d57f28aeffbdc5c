"""Shadows on the ground around ego, drawn as polygons once per frame."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from navforge.town.sensors.lighting import Look
from navforge.town.sensors.scenery import Caster, Scenery
from navforge.town.world import Actors

SHADOW_RESOLUTION_M = 0.2
SHADOW_REACH_M = 90.0


def draw_shadows(
    scenery: Scenery, actors: Actors, near: tuple[float, float], look: Look
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Shadow picture around a point.

    Returns:
        (N, N) uint8, 255 where the sun is hidden, rows north; and its lower left corner (2,), town frame.
    """
    corner = np.array([near[0] - SHADOW_REACH_M, near[1] - SHADOW_REACH_M])
    pixels = round(2 * SHADOW_REACH_M / SHADOW_RESOLUTION_M)
    image = Image.new("L", (pixels, pixels), 0)
    draw = ImageDraw.Draw(image)
    away = -look.sun_direction[:2] / look.sun_direction[2]
    for caster in _near(scenery, actors, near):
        low = (caster.ring + caster.low * away - corner) / SHADOW_RESOLUTION_M - 0.5
        high = (caster.ring + caster.high * away - corner) / SHADOW_RESOLUTION_M - 0.5
        after_low, after_high = np.roll(low, -1, axis=0), np.roll(high, -1, axis=0)
        for ring in (low, high, *np.stack([low, after_low, after_high, high], axis=1)):
            draw.polygon(ring.ravel().tolist(), fill=255)
    return np.asarray(image), corner


def _near(scenery: Scenery, actors: Actors, near: tuple[float, float]) -> Iterator[Caster]:
    if len(scenery.casters):
        distance = np.abs(scenery.caster_centers - np.array(near)).max(axis=1)
        for number in np.flatnonzero(distance < SHADOW_REACH_M + 30.0):
            yield scenery.casters[number]
    corners = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]) / 2
    for x, y, _, length, width, height, heading in actors.box.tolist():
        if max(abs(x - near[0]), abs(y - near[1])) < SHADOW_REACH_M:
            cos, sin = math.cos(heading), math.sin(heading)
            ring = corners * np.array([length, width]) @ np.array([[cos, sin], [-sin, cos]]) + np.array([x, y])
            yield Caster(ring, 0.0, height)

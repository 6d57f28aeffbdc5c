"""Compiled sub-score of red lights: the ego's box must not touch a lane connector while that is red."""

from __future__ import annotations

from navforge.geometry.bits import lowest
from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import box_meets_polygon
from navforge.geometry.lanes import bits, lanes_at
from navforge.scoring.kernels.motion import CENTER_X, CENTER_Y, COS, HALF_LENGTH, HALF_WIDTH, SIN
from navforge.scoring.kernels.reach import near_steps_here


@kernel
def meets_connector(lights, p, t, motion, n):
    """Whether the ego's box of proposal n (or of eight) shares a point with connector p at step t."""
    shapes = lights.polygons
    return box_meets_polygon(
        shapes.xy,
        shapes.ring_start,
        shapes.polygon_start,
        shapes.bounds,
        p,
        motion[CENTER_X, t, n],
        motion[CENTER_Y, t, n],
        motion[COS, t, n],
        motion[SIN, t, n],
        HALF_LENGTH,
        HALF_WIDTH,
    )


@kernel
def lights_block(lights, motion, work):
    """Bit k says that proposal k of a block of eight meets a red light; `work` as filled by `fill_reach`."""
    met = 0
    for p in range(lights.red.shape[0]):
        steps = lights.red[p] & near_steps_here(lights.polygons.bounds, p, work)
        while steps != 0 and met != 255:
            t = lowest(steps)
            steps &= steps - 1
            met |= bits(meets_connector(lights, p, t, motion, lanes_at(0)))
    return met


@kernel
def meets_red_light(lights, motion, steps, n):
    """Whether proposal n meets a red light."""
    for p in range(lights.red.shape[0]):
        for t in range(steps):
            if (lights.red[p] >> t) & 1 and meets_connector(lights, p, t, motion, n):
                return True
    return False

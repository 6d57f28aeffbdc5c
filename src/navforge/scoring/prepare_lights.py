"""Red lights of a cached scene as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.scene import RedLights
from navforge.scoring.arrays import LightArrays
from navforge.scoring.prepare_polygons import prepare_polygons
from navforge.simulation.tracker import STEPS

Float = NDArray[np.float64]


def prepare_lights(lights: RedLights, origin: Float) -> LightArrays:
    """Red connectors by step, in the frame of `origin`."""
    shapes = prepare_polygons(lights.xy, lights.ring_start, lights.polygon_start, origin)
    order = np.argsort(lights.step, kind="stable")
    start = np.searchsorted(lights.step[order], np.arange(STEPS + 1)).astype(np.int32)
    return LightArrays(shapes, start, lights.connector[order].astype(np.int32))

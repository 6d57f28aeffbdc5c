"""Red lights of a cached scene as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.scene import RedLights
from navforge.scoring.arrays import LightArrays
from navforge.scoring.prepare.polygons import prepare_polygons

Float = NDArray[np.float64]


def prepare_lights(lights: RedLights, origin: Float) -> LightArrays:
    """Connectors that are ever red, in the frame of `origin`."""
    shapes = prepare_polygons(lights.xy, lights.ring_start, lights.polygon_start, origin)
    red = np.zeros(len(shapes.bounds), dtype=np.int64)
    np.bitwise_or.at(red, lights.connector, np.int64(1) << lights.step.astype(np.int64))
    return LightArrays(shapes, red)

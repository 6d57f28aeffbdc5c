"""Embree behind two calls: build a scene of triangles, ask which triangle every ray hits first."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
FAR_M = 1e30


class RayScene:
    """Triangles in an acceleration structure of Embree. Not picklable; build one per process."""

    def __init__(self, triangles: Float32) -> None:
        """Index `triangles` (T, 3, 3), metres."""
        self.size = len(triangles)
        self._scene = EmbreeScene()
        if self.size:
            self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(triangles, dtype=np.float32))

    def first_hit(self, origins: Float32, directions: Float32, far: Float32 | None = None) -> NDArray[np.int32]:
        """Index (R,) of the first triangle along every ray, -1 where there is none.

        Args:
            origins: (R, 3) starts, m.
            directions: (R, 3), of any length.
            far: (R,) where a ray ends, in lengths of its direction; no end where omitted.
        """
        if not self.size or not len(directions):
            return np.full(len(directions), -1, dtype=np.int32)
        if far is None:
            far = np.full(len(directions), FAR_M, dtype=np.float32)
        hit: NDArray[np.int32] = self._scene.run(origins, directions, far, query="INTERSECT")
        return hit

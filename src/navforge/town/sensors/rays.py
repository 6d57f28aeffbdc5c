"""Embree behind two calls: build a scene of triangles, ask which triangle every ray hits first."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import NavforgeError

Float32 = NDArray[np.float32]
FAR_M = 1e30


class RayScene:
    """Triangles in an acceleration structure of Embree. Not picklable; build one per process."""

    def __init__(self, triangles: Float32) -> None:
        """Index `triangles` (T, 3, 3), metres."""
        self.size = len(triangles)
        self._scene = embree("rtcore_scene").EmbreeScene()
        if self.size:
            meshes = embree("mesh_construction")
            self._mesh = meshes.TriangleMesh(self._scene, np.ascontiguousarray(triangles, dtype=np.float32))

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


def embree(module: str) -> ModuleType:
    """A module of embreex, which is an optional package.

    Raises:
        NavforgeError: it is not installed.
    """
    try:
        return importlib.import_module(f"embreex.{module}")
    except ImportError as error:
        raise NavforgeError(
            'rendering sensors needs embreex, which is not installed: pip install "navforge[town]", or give '
            "sensors=none"
        ) from error

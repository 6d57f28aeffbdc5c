"""A cached scene made ready for the scoring kernels: flat arrays in its ego frame, with indexes over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import State
from navforge.geometry.writable import writable
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.prepare.areas import prepare_areas
from navforge.scoring.prepare.comfort import prepare_comfort_v1, prepare_comfort_v2
from navforge.scoring.prepare.lights import prepare_lights
from navforge.scoring.prepare.path import prepare_path
from navforge.scoring.prepare.traffic import prepare_traffic

Float = NDArray[np.float64]


def prepare(
    scene: CachedScene,
    devkit: Devkit = Devkit.V2,
    *,
    drop_overlapping: bool | None = None,
    raster: bool = True,
    around: Float | None = None,
    like: SceneArrays | None = None,
) -> SceneArrays:
    """What the kernels read of a scene under the rules of a release; in the ego frame, so states stay global.

    The PDM-Closed reference is not read, so a scene whose reference is yet to be planned can be prepared.

    Args:
        scene: the cached scene, global frame.
        devkit: the release.
        drop_overlapping: ignore objects whose box meets the ego's at the current step. None: as the benchmark does
            (v2's log replay drops them, v1.1 does not). PDM-Closed ignores them in both.
        raster: build the raster over the map; worth its few hundred microseconds from some ten proposals on. Scores
            are the same without it.
        around: (4,) `surroundings.surroundings` of the states to be scored, if they are known: what lies beyond is left
            out.
        like: this scene prepared in the same way for the other release; map and lights are shared.

    Raises:
        DataError: a log that ends too early for the release; a centreline with less than two points; map, centreline
            or objects that are not finite.
    """
    if devkit is Devkit.V1 and scene.objects_v1 is None:
        raise DataError(
            f"scene {scene.token} has less than 5 s of future frames, which protocol pdms_v1 needs; use a scene "
            "filter with num_future_frames=10, or another protocol"
        )
    x, y, heading = origin = scene.ego_state[: State.HEADING + 1]
    drop = devkit is Devkit.V2 if drop_overlapping is None else drop_overlapping
    objects = scene.objects(devkit)
    near = objects if around is None else objects.near(around)
    check_finite(scene, "objects", near.pose, near.extent, near.first_heading)  # velocities may be unknown
    if like is None:
        check_finite(scene, "map polygons", scene.polygons.xy)
        check_finite(scene, "the centreline", scene.centerline)
    try:
        if devkit is Devkit.V1:
            comfort = prepare_comfort_v1(scene.ego_state)
        else:
            comfort = prepare_comfort_v2(scene.ego_state, scene.history_states)
        traffic = prepare_traffic(near, origin, drop_overlapping=drop)
        if like is not None:
            return like._replace(traffic=traffic, comfort=comfort)
        areas = prepare_areas(scene.polygons if around is None else scene.polygons.near(around), origin, raster=raster)
        path = prepare_path(scene.centerline, origin, areas)
    except DataError as error:
        raise DataError(f"scene {scene.token}: {error}") from None
    return SceneArrays(
        ego_state=writable(scene.ego_state),
        frame=np.array([x, y, np.cos(heading), np.sin(heading)]),
        time_us=scene.time_us,
        areas=areas,
        path=path,
        traffic=traffic,
        lights=prepare_lights(scene.red_lights, origin),
        comfort=comfort,
    )


def check_finite(scene: CachedScene, what: str, *arrays: Float) -> None:
    """Raise DataError if a number of a scene is not finite."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise DataError(f"scene {scene.token}: NaN or infinite numbers in {what}; cache the scene again")

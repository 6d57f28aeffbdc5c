"""A cached scene made ready for the kernels: flat arrays in its ego frame, with indexes over them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import State
from navforge.geometry.writable import writable
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.arrays import AreaArrays, ComfortArrays, LightArrays, PathArrays, TrafficArrays
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.prepare.areas import prepare_areas
from navforge.scoring.prepare.comfort import prepare_comfort_v1, prepare_comfort_v2
from navforge.scoring.prepare.lights import prepare_lights
from navforge.scoring.prepare.path import prepare_path
from navforge.scoring.prepare.traffic import prepare_traffic

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedScene:
    """A scene as the kernels read it. Arrays are in the ego frame of `ego_state`; states go in as they are, global."""

    token: str
    time_us: int
    """Time of the current frame."""
    ego_state: Float
    """(11,) current state, global frame."""
    areas: AreaArrays
    path: PathArrays
    lights: LightArrays
    traffic: dict[Devkit, TrafficArrays]
    """By the rules of each release that the scene's frames allow."""
    comfort: dict[Devkit, ComfortArrays]
    around: Float | None = None
    """(4,) low x, low y, high x, high y, global frame: polygons and objects beyond are left out; None: all are here."""

    def traffic_of(self, devkit: Devkit) -> TrafficArrays:
        """Other road users by the rules of a release.

        Raises:
            DataError: the scene's log ends too early for that release.
        """
        if devkit not in self.traffic:
            raise DataError(
                f"scene {self.token} has less than 5 s of future frames, which protocol pdms_v1 needs; use a scene "
                "filter with num_future_frames=10, or another protocol"
            )
        return self.traffic[devkit]

    def arrays(self, devkit: Devkit) -> SceneArrays:
        """What kernels read of the scene under the rules of a release.

        Raises:
            DataError: the scene's log ends too early for that release.
        """
        x, y, heading = self.ego_state[:3]
        return SceneArrays(
            self.ego_state,
            np.array([x, y, np.cos(heading), np.sin(heading)]),
            self.time_us,
            self.areas,
            self.path,
            self.traffic_of(devkit),
            self.lights,
            self.comfort[devkit],
        )

    def check_serves(self, scene: CachedScene) -> None:
        """Check that any plans of a scene can be scored here.

        Raises:
            DataError: this is another scene, or was prepared only around some states.
        """
        if self.token != scene.token or not np.array_equal(self.ego_state, scene.ego_state):
            raise DataError(f"scene {scene.token} was given with what was prepared of another scene, {self.token}")
        if self.around is not None:
            raise DataError(f"scene {scene.token}: plans need a scene prepared whole, without around=")


def prepare(
    scene: CachedScene,
    *,
    devkits: Collection[Devkit] = tuple(Devkit),
    drop_overlapping: bool | None = None,
    raster: bool = True,
    around: Float | None = None,
) -> PreparedScene:
    """Make a scene ready for `scoring.engine.score_proposals`.

    The PDM-Closed reference is not read, so a scene whose reference is yet to be planned can be prepared.

    Args:
        scene: the cached scene, global frame.
        devkits: releases by whose rules it will be scored; those that its frames do not allow are left out.
        drop_overlapping: ignore objects whose box meets the ego's at the current step. None: as the benchmark does
            (v2's log replay drops them, v1.1 does not). PDM-Closed ignores them in both.
        raster: build the raster over the map; worth its few hundred microseconds from some ten proposals on. Scores
            are the same without it.
        around: `surroundings.surroundings` of the states to be scored, if they are known: what lies beyond is left out.

    Raises:
        DataError: a centreline with less than two points; map, centreline or objects that are not finite.
    """
    _check_finite(scene, "map polygons", scene.polygons.xy)
    _check_finite(scene, "the centreline", scene.centerline)
    origin = scene.ego_state[: State.HEADING + 1]
    traffic = {}
    for devkit in devkits:
        if devkit is Devkit.V1 and scene.objects_v1 is None:
            continue
        drop = devkit is Devkit.V2 if drop_overlapping is None else drop_overlapping
        objects = scene.objects(devkit)
        near = objects if around is None else objects.near(around)
        _check_finite(scene, "objects", near.pose, near.extent, near.first_heading)  # velocities may be unknown
        traffic[devkit] = prepare_traffic(near, origin, drop_overlapping=drop)
    polygons = scene.polygons if around is None else scene.polygons.near(around)
    areas = prepare_areas(polygons, origin, raster=raster)
    return PreparedScene(
        token=scene.token,
        time_us=scene.time_us,
        ego_state=writable(scene.ego_state),
        areas=areas,
        path=prepare_path(scene.centerline, origin, areas),
        lights=prepare_lights(scene.red_lights, origin),
        traffic=traffic,
        comfort={
            devkit: prepare_comfort_v1(scene.ego_state)
            if devkit is Devkit.V1
            else prepare_comfort_v2(scene.ego_state, scene.history_states)
            for devkit in devkits
        },
        around=around,
    )


def _check_finite(scene: CachedScene, what: str, *arrays: Float) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise DataError(f"scene {scene.token}: NaN or infinite numbers in {what}; cache the scene anew")

"""Small scenes made by hand, and random ones, as `CachedScene`s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from navforge.geometry.columns import STATE_SIZE, State
from navforge.geometry.se2 import points_to_global, poses_to_global, wrap_angle
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer, MapPolygons, RedLights
from navforge.metric_cache.tracks import ObjectTracks

TIME_US = 1_600_000_000_123_456
STEP_TIMES = np.arange(51) * 0.1


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An object moving at constant velocity; it exists at steps first..last."""

    x: float
    y: float
    heading: float = 0.0
    length: float = 4.5
    width: float = 1.9
    vx: float = 0.0
    vy: float = 0.0
    type: ObjectType = ObjectType.VEHICLE
    first: int = 0
    last: int = 50


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """A scene in the ego frame: ego at the origin heading +x."""

    speed: float = 8.0
    things: Sequence[Thing] = ()
    polygons: Sequence[tuple[MapLayer, shapely.Polygon, bool]] = ()
    lights: Sequence[tuple[int, shapely.Polygon]] = ()
    """(step, connector polygon) under red."""
    centerline: np.ndarray = field(default_factory=lambda: np.stack([np.linspace(-20, 120, 71), np.zeros(71)], axis=1))
    history: int = 15
    human: np.ndarray | None = None
    reference_speed: float = 8.0
    lateral_acceleration: float = 0.0
    token: str = "0123456789abcdef"

    def scene(self) -> CachedScene:
        ego = np.zeros(STATE_SIZE)
        ego[State.VELOCITY_X] = self.speed
        ego[State.ACCELERATION_Y] = self.lateral_acceleration
        history = np.zeros((self.history, STATE_SIZE))
        history[:, State.X] = -self.speed * 0.1 * np.arange(self.history, 0, -1)
        history[:, State.VELOCITY_X] = self.speed
        reference = np.zeros((2, 51, 3))
        reference[..., 0] = self.reference_speed * STEP_TIMES
        human = straight(8, 0.5, self.speed) if self.human is None else self.human
        heading = np.arctan2(*np.gradient(self.centerline, axis=0).T[::-1])
        lengths = np.hypot(*np.diff(self.centerline, axis=0).T)
        return CachedScene(
            token=self.token,
            log_name="hand",
            map_location="nowhere",
            time_us=TIME_US,
            synthetic=len(self.token) == 17,
            ego_state=ego,
            history_states=history,
            human_poses=None if len(self.token) == 17 else human,
            pdm_reference=reference,
            pdm_reference_input=reference[:, :41].copy(),
            pdm_times_us=TIME_US + 100_000 * np.arange(51),
            centerline=np.concatenate([self.centerline, heading[:, None]], axis=1),
            centerline_progress=np.concatenate([[0.0], np.cumsum(lengths)]),
            route_lane_ids=(),
            polygons=_polygons(self.polygons),
            objects_v1=tracks(self.things, Devkit.V1.observation_steps),
            objects_v2=tracks(self.things, Devkit.V2.observation_steps),
            red_lights=_lights(self.lights),
        )


def straight(count: int, interval: float, speed: float, y: float = 0.0) -> np.ndarray:
    """A plan (count, 3) along x at constant speed, reaching lateral offset y linearly."""
    t = interval * np.arange(1, count + 1)
    return np.stack([speed * t, y * t / t[-1], np.zeros(count)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float) -> shapely.Polygon:
    return shapely.box(x0, y0, x1, y1)


def two_lane_road() -> list[tuple[MapLayer, shapely.Polygon, bool]]:
    """A road along x: own lane |y| < 1.75 on the route, its neighbour 1.75 < y < 5.25 not."""
    return [
        (MapLayer.ROADBLOCK, box(-50, -1.75, 150, 5.25), False),
        (MapLayer.LANE, box(-50, -1.75, 150, 1.75), True),
        (MapLayer.LANE, box(-50, 1.75, 150, 5.25), False),
    ]


def tracks(things: Sequence[Thing], steps: int) -> ObjectTracks:
    count = len(things)
    pose, velocity = np.zeros((count, steps, 3)), np.zeros((count, steps, 2))
    valid = np.zeros((count, steps), dtype=bool)
    at = np.arange(steps) * 0.1
    for i, thing in enumerate(things):
        since = at - at[min(thing.first, steps - 1)]
        pose[i] = np.stack([thing.x + thing.vx * since, thing.y + thing.vy * since, 0 * at + thing.heading], axis=1)
        velocity[i] = thing.vx, thing.vy
        valid[i, thing.first : thing.last + 1] = True
    return ObjectTracks(
        token=np.array([f"track{i}" for i in range(count)], dtype=np.str_),
        type=np.array([thing.type for thing in things], dtype=np.uint8),
        extent=np.array([(thing.length, thing.width) for thing in things], dtype=np.float64).reshape(count, 2),
        pose=pose,
        velocity=velocity,
        valid=valid,
        first_heading=np.array([thing.heading for thing in things], dtype=np.float64),
        first_velocity=np.array([(thing.vx, thing.vy) for thing in things], dtype=np.float64).reshape(count, 2),
    )


def _flatten(polygons: Sequence[shapely.Polygon]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xy, ring_start, polygon_start = [np.empty((0, 2))], [0], [0]
    for polygon in polygons:
        for ring in (polygon.exterior, *polygon.interiors):
            xy.append(np.asarray(ring.coords)[:, :2])
            ring_start.append(ring_start[-1] + len(ring.coords))
        polygon_start.append(len(ring_start) - 1)
    return np.concatenate(xy), np.array(ring_start, dtype=np.int64), np.array(polygon_start, dtype=np.int64)


def _polygons(given: Sequence[tuple[MapLayer, shapely.Polygon, bool]]) -> MapPolygons:
    xy, ring_start, polygon_start = _flatten([polygon for _, polygon, _ in given])
    return MapPolygons(
        xy=xy,
        ring_start=ring_start,
        polygon_start=polygon_start,
        layer=np.array([layer for layer, _, _ in given], dtype=np.uint8),
        fid=np.arange(len(given), dtype=np.int64),
        on_route=np.array([on_route for _, _, on_route in given], dtype=bool),
    )


def _lights(given: Sequence[tuple[int, shapely.Polygon]]) -> RedLights:
    xy, ring_start, polygon_start = _flatten([polygon for _, polygon in given])
    return RedLights(
        step=np.array([step for step, _ in given], dtype=np.uint8),
        connector=np.arange(len(given), dtype=np.int64),
        fid=np.arange(len(given), dtype=np.int64),
        xy=xy,
        ring_start=ring_start,
        polygon_start=polygon_start,
    )


def moved(scene: CachedScene, origin: np.ndarray) -> CachedScene:
    """The whole scene moved so that its frame lies at `origin` (x, y, heading)."""
    turn = float(origin[2])
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, s], [-s, c]])

    def state(states: np.ndarray) -> np.ndarray:
        new = states.copy()
        new[..., :3] = poses_to_global(origin, states[..., :3])
        return new

    def objects(given: ObjectTracks | None) -> ObjectTracks | None:
        if given is None:
            return None
        return replace(
            given,
            pose=poses_to_global(origin, given.pose),
            velocity=given.velocity @ rotation,
            first_heading=wrap_angle(given.first_heading + turn),
            first_velocity=given.first_velocity @ rotation,
        )

    moved_objects = objects(scene.objects_v2)
    assert moved_objects is not None
    return replace(
        scene,
        ego_state=state(scene.ego_state),
        history_states=state(scene.history_states),
        pdm_reference=poses_to_global(origin, scene.pdm_reference),
        pdm_reference_input=poses_to_global(origin, scene.pdm_reference_input),
        centerline=poses_to_global(origin, scene.centerline),
        polygons=replace(scene.polygons, xy=points_to_global(origin, scene.polygons.xy)),
        objects_v1=objects(scene.objects_v1),
        objects_v2=moved_objects,
        red_lights=replace(scene.red_lights, xy=points_to_global(origin, scene.red_lights.xy)),
    )


def random_scene(rng: np.random.Generator) -> CachedScene:
    """A crowded scene with overlapping, holed and self-crossing polygons, lights and all kinds of objects."""
    polygons = []
    for _ in range(int(rng.integers(8, 30))):
        layer = MapLayer(int(rng.integers(0, 7)))
        polygons.append((layer, _random_polygon(rng), bool(rng.random() < 0.6)))
    polygons.append((MapLayer.ROADBLOCK, box(-40, -6, 90, 6), False))
    polygons.append((MapLayer.LANE, box(-40, -2, 60, 2), True))
    polygons.append((MapLayer.INTERSECTION, box(20, -4, 35, 4), False))
    hole = shapely.Polygon([(-40, -9), (90, -9), (90, 9), (-40, 9)], [[(10, -8), (10, -5), (30, -5), (30, -8)]])
    polygons.append((MapLayer.CARPARK_AREA, hole, False))
    bow_tie = shapely.Polygon([(5, 8), (25, 14), (25, 8), (5, 14)])
    polygons.append((MapLayer.ROADBLOCK, bow_tie, False))
    things = []
    for _ in range(int(rng.integers(0, 40))):
        first = int(rng.integers(0, 30)) if rng.random() < 0.3 else 0
        kind = ObjectType(int(rng.integers(0, 7)))
        moving = kind <= ObjectType.BICYCLE and rng.random() < 0.7
        things.append(
            Thing(
                x=rng.uniform(-15, 60),
                y=rng.uniform(-10, 10),
                heading=rng.uniform(-7, 7),
                length=rng.uniform(0.2, 8.0),
                width=rng.uniform(0.2, 2.5),
                vx=rng.normal(0, 5) if moving else 0.0,
                vy=rng.normal(0, 1) if moving else 0.0,
                type=kind,
                first=first,
                last=int(rng.integers(first, 51)),
            )
        )
    lights = [(int(rng.integers(0, 41)), _random_polygon(rng)) for _ in range(int(rng.integers(0, 4)))]
    s = np.linspace(-20, 100, int(rng.integers(2, 60)))
    centerline = np.stack([s, rng.normal(0, 1.0) + 0.002 * rng.normal() * s**2], axis=1)
    centerline = np.repeat(centerline, rng.integers(1, 3, len(s)), axis=0)
    if len(centerline) < 2:
        centerline = np.array([[-20.0, 0.0], [100.0, 0.0]])
    return Sketch(
        speed=float(rng.uniform(0, 12)),
        things=things,
        polygons=polygons,
        lights=lights,
        centerline=centerline,
        history=int(rng.integers(14, 16)),
        reference_speed=float(rng.uniform(0, 10)),
        lateral_acceleration=float(rng.normal(0, 0.5)),
    ).scene()


def _random_polygon(rng: np.random.Generator) -> shapely.Polygon:
    """Star-shaped around a random centre, many vertices or few."""
    count = int(rng.integers(3, 25))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = rng.uniform(1, 18, count)
    center = rng.uniform(-10, 50), rng.uniform(-12, 12)
    return shapely.Polygon(np.stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)], axis=1))


def random_plans(rng: np.random.Generator, count: int) -> np.ndarray:
    """Smooth plans (count, 40, 3) at 10 Hz, turning, stopping, some reversing."""
    t = np.arange(1, 41) * 0.1
    speed = np.maximum(rng.uniform(-3, 14, (count, 1)) + rng.normal(0, 1.5, (count, 1)) * t, -3.0)
    heading = rng.normal(0, 0.12, (count, 1)) * t + rng.normal(0, 0.03, (count, 1)) * t**2
    step = 0.1 * speed[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return np.concatenate([np.cumsum(step, axis=1), heading[..., None]], axis=-1)

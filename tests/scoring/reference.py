"""A plain scorer with shapely and SciPy in the global frame, one proposal and one step at a time.

Slow and literal on purpose; the kernels must agree with it on every scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.signal import savgol_filter
from shapely.geometry import LineString, Point, Polygon

from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer
from navforge.metric_cache.tracks import ObjectTracks

LENGTH, WIDTH, REAR_TO_CENTER = 5.176, 2.297, 1.461
AGENTS = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
DRIVABLE = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA)
LANES = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)


def rectangle(x: float, y: float, heading: float, length: float, width: float) -> Polygon:
    c, s = np.cos(heading), np.sin(heading)
    corners = ((1, 1), (-1, 1), (-1, -1), (1, -1))
    return Polygon(
        [(x + 0.5 * (a * length * c - b * width * s), y + 0.5 * (a * length * s + b * width * c)) for a, b in corners]
    )


@dataclass
class Reference:
    """Scores of one scene under the rules of one devkit."""

    scene: CachedScene
    devkit: Devkit

    def __post_init__(self) -> None:
        p = self.scene.polygons
        self.map = [
            Polygon(rings[0], rings[1:])
            for rings in (
                [p.xy[p.ring_start[r] : p.ring_start[r + 1]] for r in range(p.polygon_start[i], p.polygon_start[i + 1])]
                for i in range(len(p.layer))
            )
        ]
        self.layer = p.layer
        self.line = LineString(self.scene.centerline[:, :2])
        self.objects = self._boxes(self.scene.objects(self.devkit))
        lights = self.scene.red_lights
        self.lights = [
            (
                int(step),
                Polygon(
                    lights.xy[
                        lights.ring_start[lights.polygon_start[k]] : lights.ring_start[lights.polygon_start[k] + 1]
                    ]
                ),
            )
            for step, k in zip(lights.step, lights.connector, strict=True)
        ]

    def _boxes(self, objects: ObjectTracks) -> list[dict[int, Polygon]]:
        """By step: object -> box."""
        ego = rectangle(*self.center(self.scene.ego_state), LENGTH, WIDTH)
        steps = objects.valid.shape[1]
        boxes: list[dict[int, Polygon]] = [{} for _ in range(steps)]
        for o in range(len(objects.token)):
            own = {t: rectangle(*objects.pose[o, t], *objects.extent[o]) for t in np.flatnonzero(objects.valid[o])}
            if self.devkit is Devkit.V2 and 0 in own and own[0].intersects(ego):
                continue
            for t, shape in own.items():
                boxes[t][o] = shape
        return boxes

    @staticmethod
    def center(state: np.ndarray) -> tuple[float, float, float]:
        x, y, h = state[:3]
        return x + REAR_TO_CENTER * np.cos(h), y + REAR_TO_CENTER * np.sin(h), h

    def inside(self, point: Point, chosen: np.ndarray) -> bool:
        return any(self.map[i].contains(point) for i in np.flatnonzero(chosen))

    def in_intersection(self, point: Point) -> bool:
        return self.inside(point, self.layer == MapLayer.INTERSECTION)

    def score(self, states: np.ndarray) -> dict[str, float]:
        """Sub-scores of one proposal (41, 11) and its raw progress."""
        tracks = self.scene.objects(self.devkit)
        ego = [rectangle(*self.center(s), LENGTH, WIDTH) for s in states]
        centers = [Point(*self.center(s)[:2]) for s in states]
        corners = [[Point(xy) for xy in shape.exterior.coords[:4]] for shape in ego]
        drivable = np.isin(self.layer, DRIVABLE)
        lanes = np.isin(self.layer, LANES)
        off_road = [not all(self.inside(c, drivable) for c in step) for step in corners]
        oncoming = [not self.inside(c, lanes & self.scene.polygons.on_route) for c in centers]
        several = []
        for step in corners:
            held = [sum(self.map[i].contains(c) for c in step) for i in np.flatnonzero(lanes)]
            several.append(sum(h > 0 for h in held) > 1 and 4 not in held)
        speed = np.hypot(states[:, 3], states[:, 4])
        v2 = self.devkit is Devkit.V2

        def bearing(t: int, shape: Polygon) -> float:
            dx, dy = shape.centroid.x - states[t, 0], shape.centroid.y - states[t, 1]
            if dx == 0.0 and dy == 0.0:
                return 90.0  # the devkit's angle is NaN there: neither ahead nor behind
            return abs(np.degrees(np.arctan2(*np.array([np.sin(a := np.arctan2(dy, dx) - states[t, 2]), np.cos(a)]))))

        collision, first_hit, ignored = 1.0, -1, set()
        for t in range(41):
            for o, shape in self.objects[t].items():
                if o in ignored or not shape.intersects(ego[t]):
                    continue
                agent = tracks.type[o] in AGENTS
                stopped = not agent or np.hypot(*tracks.first_velocity[o]) <= 0.05
                front = LineString([ego[t].exterior.coords[0], ego[t].exterior.coords[3]])
                if speed[t] <= 0.05:
                    fault = False
                elif stopped:
                    fault = True
                elif bearing(t, shape) > 150:
                    fault = False
                else:
                    fault = front.intersects(shape) or several[t] or off_road[t]
                if not fault:
                    ignored.add(o)
                    continue
                collision = min(collision, 0.0 if agent else 0.5)
                first_hit = t if first_hit < 0 else first_hit

        ttc, first_ttc, ignored = 1.0, -1, set()
        for t in range(32 if v2 else 41):
            for ahead in (0, 3, 6, 9):
                way = speed[t] * ahead * 0.1
                moved = shapely.affinity.translate(ego[t], way * np.cos(states[t, 2]), way * np.sin(states[t, 2]))
                for o, shape in self.objects[t + ahead].items():
                    if o in ignored or speed[t] < 0.005 or not shape.intersects(moved):
                        continue
                    angle = bearing(t, shape)
                    exposed = several[t] or off_road[t] or self.in_intersection(Point(*states[t, :2]))
                    if angle < 30 or (exposed and angle <= 150):
                        ttc = 0.0
                        first_ttc = t if first_ttc < 0 else first_ttc
                    else:
                        ignored.add(o)

        way = np.zeros(41)
        for t in range(1, 41):
            if oncoming[t] and not (v2 and self.in_intersection(centers[t])):
                way[t] = centers[t].distance(centers[t - 1])
        worst = max(way[max(0, t - 10) : t + 1].sum() for t in range(41))
        run = longest = 0
        for c in centers:
            if self.in_intersection(c):
                continue
            run = run + 1 if c.distance(self.line) > 0.5 else 0
            longest = max(longest, run)
        return {
            "no_at_fault_collisions": collision,
            "drivable_area_compliance": 0.0 if any(off_road) else 1.0,
            "driving_direction_compliance": 1.0 if worst < 2 else 0.5 if worst < 6 else 0.0,
            "traffic_light_compliance": 0.0 if any(p.intersects(ego[t]) for t, p in self.lights) else 1.0,
            "time_to_collision_within_bound": ttc,
            "lane_keeping": 0.0 if longest >= 20 else 1.0,
            "history_comfort": float(self.comfort(states)),
            "comfort": float(self.comfort(states)),
            "progress": max(self.line.project(centers[-1]) - self.line.project(centers[0]), 0.0),
            "collision_step": first_hit,
            "ttc_step": first_ttc,
        }

    def comfort(self, states: np.ndarray) -> bool:
        v2 = self.devkit is Devkit.V2
        s = np.concatenate([self.scene.history_states, states]) if v2 else states
        n = len(s)
        shift = REAR_TO_CENTER if v2 else 0.0
        lon = s[:, 5] + shift * (s[:, 9] ** 2 + s[:, 10])
        heading = np.unwrap(s[:, 2])

        def smooth(x: np.ndarray, window: int, order: int = 2, derivative: int = 0) -> np.ndarray:
            return np.round(savgol_filter(x, window, order, deriv=derivative, delta=0.1), 8)

        long_window, jerk_window = (8, 15) if v2 else (n, n)
        lon_smooth, lat_smooth = smooth(lon, long_window), smooth(s[:, 6], long_window)
        jerk = smooth(smooth(np.hypot(s[:, 5], s[:, 6]), 8), jerk_window, derivative=1)
        lon_jerk = smooth(smooth(lon, 8), jerk_window, derivative=1)
        return bool(
            ((lon_smooth > -4.05) & (lon_smooth < 2.4)).all()
            and (np.abs(lat_smooth) < 4.89).all()
            and (np.abs(jerk) < 8.37).all()
            and (np.abs(lon_jerk) < 4.13).all()
            and (np.abs(smooth(heading, 5, 2, 1)) < 0.95).all()
            and (np.abs(smooth(heading, 5, 3, 2)) < 1.93).all()
        )

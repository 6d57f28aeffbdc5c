"""A scene from above, ego at the bottom and looking up: map, tracks, trajectories."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from PIL import Image

from navforge.geometry.columns import State
from navforge.geometry.se2 import points_to_local
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer
from navforge.metric_cache.tracks import ObjectTracks
from navforge.reports.figures import style
from navforge.reports.figures.style import Trajectory
from navforge.reports.figures.surroundings import Surroundings

NEAREST_M, FARTHEST_M = 32.0, 60.0
"""How far ahead of ego a picture reaches, at least and at most; it reaches a quarter of that behind."""
PIXELS = 560
SECOND = 10
"""Steps of object tracks per second."""
AHEAD_DOTS_S = 3
"""How many seconds of an object's future are drawn."""

Points = NDArray[np.float64]


def draw_bev(
    scene: CachedScene, trajectories: Sequence[Trajectory] = (), surroundings: Surroundings | None = None
) -> bytes:
    """PNG (560 x 560 px) of one scene, ego heading up; zoomed so that the trajectories fill it (40 to 75 m across).

    Args:
        scene: cached arrays: drivable map, objects now and to come, red lights, route.
        trajectories: plans to draw, later ones on top.
        surroundings: lane centre lines and object histories; without it only the route's centre line is drawn.
    """
    figure = Figure(figsize=(PIXELS / 100, PIXELS / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_facecolor(style.OFF_ROAD)
    ahead = reach_of(trajectories)
    axes.set_xlim(-0.625 * ahead, 0.625 * ahead)
    axes.set_ylim(-0.25 * ahead, ahead)
    axes.set_aspect("equal")
    axes.set_axis_off()
    figure.patch.set_facecolor(style.OFF_ROAD)
    view = _View(scene.ego_state[[State.X, State.Y, State.HEADING]])
    around = surroundings or Surroundings()
    _draw_map(axes, view, scene)
    _draw_red_lights(axes, view, scene)
    _draw_centers(axes, view, scene, around)
    _draw_objects(axes, view, scene.objects(Devkit.V2), around)
    _draw_ego(axes, view, around)
    _draw_trajectories(axes, trajectories)
    _draw_scale(axes)
    return to_png(figure)


def reach_of(trajectories: Sequence[Trajectory]) -> float:
    """How far ahead, m, a picture of these trajectories reaches."""
    ends = [np.asarray(trajectory.poses, np.float64)[:, :2] for trajectory in trajectories]
    forward = max((float(points[:, 0].max()) for points in ends), default=FARTHEST_M)
    aside = max((float(np.abs(points[:, 1]).max()) for points in ends), default=0.0)
    return float(np.clip(max(forward + 12.0, (aside + 8.0) / 0.625), NEAREST_M, FARTHEST_M))


class _View:
    """Global frame to the picture's: ego at the origin, its heading up."""

    def __init__(self, pose: Points) -> None:
        self._pose = pose

    def __call__(self, points: NDArray[np.floating[Any]]) -> Points:
        return upright(points_to_local(self._pose, np.asarray(points, np.float64)[:, :2]))


def upright(points: Points) -> Points:
    """Ego frame (x forward, y left) to the picture's axes (right, up)."""
    return np.column_stack([-points[:, 1], points[:, 0]])


def _draw_map(axes: Axes, view: _View, scene: CachedScene) -> None:
    polygons = scene.polygons
    for layer, color in style.LAYER_COLOR.items():
        _fill(
            axes, view, scene, np.flatnonzero(polygons.layer == layer), facecolor=color, edgecolor=color, linewidth=0.6
        )
    lanes = np.isin(polygons.layer, [MapLayer.LANE, MapLayer.LANE_CONNECTOR])
    _fill(axes, view, scene, np.flatnonzero(lanes & polygons.on_route), facecolor=style.ROUTE_COLOR, linewidth=0.0)
    edges = np.flatnonzero(polygons.layer == MapLayer.LANE)
    _fill(axes, view, scene, edges, facecolor="none", edgecolor=style.LANE_EDGE, linewidth=0.7)


def _fill(axes: Axes, view: _View, scene: CachedScene, rows: NDArray[np.intp], **look: object) -> None:
    """Polygons with their holes."""
    polygons = scene.polygons
    outlines = []
    for row in rows:
        rings = [
            Outline(view(polygons.xy[polygons.ring_start[r] : polygons.ring_start[r + 1]]), closed=True)
            for r in range(polygons.polygon_start[row], polygons.polygon_start[row + 1])
        ]
        outlines.append(Outline.make_compound_path(*rings))
    if outlines:
        axes.add_collection(PathCollection(outlines, **look))  # pyright: ignore[reportArgumentType]


def _draw_red_lights(axes: Axes, view: _View, scene: CachedScene) -> None:
    lights = scene.red_lights
    rings = []
    for k in np.unique(lights.connector[lights.step == 0]):
        first = lights.polygon_start[k]
        rings.append(view(lights.xy[lights.ring_start[first] : lights.ring_start[first + 1]]))
    if rings:
        axes.add_collection(PolyCollection(rings, facecolors=style.RED_LIGHT, edgecolors="none", alpha=0.25))


def _draw_centers(axes: Axes, view: _View, scene: CachedScene, around: Surroundings) -> None:
    lines = [view(line) for line in around.lane_centers]
    if lines:
        axes.add_collection(
            LineCollection(lines, colors=style.LANE_CENTER, linewidths=0.6, linestyles=(0, (4, 4)), alpha=0.8)
        )
    route = view(scene.centerline[:, :2])
    axes.plot(route[:, 0], route[:, 1], color="#7ba6cf", linewidth=1.0)


def _draw_objects(axes: Axes, view: _View, objects: ObjectTracks, around: Surroundings) -> None:
    past = [view(line) for line in around.past_tracks]
    if past:
        axes.add_collection(LineCollection(past, colors="#5b6b80", linewidths=2.2, alpha=0.35, capstyle="round"))
    now = np.flatnonzero(objects.valid[:, 0])
    for row in now[np.argsort(objects.type[now], kind="stable")]:
        color = style.OBJECT_COLOR[ObjectType(int(objects.type[row]))]
        _draw_future(axes, view, objects, int(row), color)
        box = view(box_corners(objects.pose[row, 0], *objects.extent[row].tolist()))
        axes.fill(box[:, 0], box[:, 1], facecolor=color, edgecolor="white", linewidth=0.5)
        if objects.type[row] in (ObjectType.VEHICLE, ObjectType.BICYCLE):
            nose = view(_nose(objects.pose[row, 0], float(objects.extent[row, 0])))
            axes.plot(nose[:, 0], nose[:, 1], color="white", linewidth=1.0, solid_capstyle="round")


def _draw_future(axes: Axes, view: _View, objects: ObjectTracks, row: int, color: str) -> None:
    """A dot per second where the object will be, if it moves."""
    steps = [s for s in range(SECOND, AHEAD_DOTS_S * SECOND + 1, SECOND) if objects.valid[row, s]]
    if steps and np.hypot(*(objects.pose[row, steps[-1], :2] - objects.pose[row, 0, :2])) > 1.0:
        dots = view(objects.pose[row, steps, :2])
        axes.plot(dots[:, 0], dots[:, 1], linestyle="none", marker="o", markersize=2.4, color=color, alpha=0.55)


def _draw_ego(axes: Axes, view: _View, around: Surroundings) -> None:
    if around.past_ego is not None:
        past = view(around.past_ego)
        axes.plot(past[:, 0], past[:, 1], color=style.EGO_COLOR, linewidth=2.2, alpha=0.4, solid_capstyle="round")
    box = upright(box_corners(np.array([REAR_AXLE_TO_CENTER_M, 0.0, 0.0]), EGO_LENGTH_M, EGO_WIDTH_M))
    axes.fill(box[:, 0], box[:, 1], facecolor=style.EGO_COLOR, edgecolor="white", linewidth=0.8, zorder=5)
    nose = upright(_nose(np.array([REAR_AXLE_TO_CENTER_M, 0.0, 0.0]), EGO_LENGTH_M))
    axes.plot(nose[:, 0], nose[:, 1], color="white", linewidth=1.2, zorder=6)


def _draw_trajectories(axes: Axes, trajectories: Sequence[Trajectory]) -> None:
    """All lines over all halos, so that none hides another's colour."""
    lines = [
        upright(np.concatenate([np.zeros((1, 2)), np.asarray(trajectory.poses, np.float64)[:, :2]]))
        for trajectory in trajectories
    ]
    for line, trajectory in zip(lines, trajectories, strict=True):
        width = trajectory.style.points + 2.2
        axes.plot(line[:, 0], line[:, 1], color="white", linewidth=width, solid_capstyle="round", zorder=7)
    for line, trajectory in zip(lines, trajectories, strict=True):
        look = trajectory.style
        pattern = (0, look.dash) if look.dash else "-"
        axes.plot(line[:, 0], line[:, 1], color=look.color, linewidth=look.points, linestyle=pattern, zorder=8)
        axes.plot(line[-1:, 0], line[-1:, 1], marker="o", markersize=look.points + 2.2, color=look.color, zorder=8)


def _draw_scale(axes: Axes) -> None:
    left, bottom = axes.get_xlim()[0] + 2.0, axes.get_ylim()[0] + 2.0
    axes.plot([left, left + 10.0], [bottom, bottom], color="#444b55", linewidth=2.0, solid_capstyle="butt")
    axes.text(left + 5.0, bottom + 0.8, "10 m", ha="center", va="bottom", fontsize=8, color="#444b55")


def box_corners(pose: Points, length: float, width: float) -> Points:
    """Corners (4, 2) of a box about a centre pose (x, y, heading)."""
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * np.array([length, width]) / 2
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    return pose[:2] + corners @ np.array([[cos, sin], [-sin, cos]])


def _nose(pose: Points, length: float) -> Points:
    """Stroke (2, 2) from the middle of a box to its front, which shows where it is heading."""
    forward = np.array([np.cos(pose[2]), np.sin(pose[2])]) * length / 2
    return np.array([pose[:2] + 0.2 * forward, pose[:2] + 0.95 * forward])


def to_png(figure: Figure) -> bytes:
    """The figure with 256 colours, which is a third of the size and looks the same."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=100, facecolor=figure.get_facecolor())
    packed = io.BytesIO()
    Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()

"""Perception targets of a scene as the public TransFuser makes them: vehicles around, and the ground ahead by class.

The ground is a picture of `BEV_SHAPE` pixels, rows along x from the rear axle forward, columns along y from the right
edge to the left. Map areas, lane centrelines and objects are drawn in the order of `BEV_CLASSES`, later ones over
earlier ones; bicycles are not drawn. Pixel coordinates are cut towards zero, areas cover their outline, centrelines
are two pixels wide: OpenCV's `fillPoly` and `polylines` decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.data.logs import LogBox
from navforge.data.scenes import Scene
from navforge.geometry.columns import Box, Pose
from navforge.maps.graph import lane_graph
from navforge.maps.map import Map
from navforge.maps.schema import Layer
from navforge.models.perception import BEV_CLASSES, BEV_SHAPE, BOX_COLUMNS, MOST_AGENTS, REACH_M

PIXEL_M = REACH_M / BEV_SHAPE[0]
ROAD, WALKWAY, CENTRELINE, STATIC_OBJECT, VEHICLE, PEDESTRIAN = range(1, len(BEV_CLASSES))
CLASS_OF = {
    "vehicle": VEHICLE,
    "pedestrian": PEDESTRIAN,
    "czone_sign": STATIC_OBJECT,
    "barrier": STATIC_OBJECT,
    "traffic_cone": STATIC_OBJECT,
    "generic_object": STATIC_OBJECT,
}
"""Class an object is drawn as; others are not drawn."""

_AREAS = ((ROAD, (Layer.LANE, Layer.INTERSECTION)), (WALKWAY, (Layer.WALKWAY,)))
_LINES = (Layer.LANE, Layer.LANE_CONNECTOR)
_LINE_WIDTH_PX = 2

Float = NDArray[np.float64]
Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What perception targets are made of, without the log they come from."""

    boxes: Float
    """(O, 5) columns `Box`, ego frame, in log order: drawn objects that may lie within reach."""
    classes: NDArray[np.uint8]
    """(O,) index into `BEV_CLASSES`."""
    pose: Float
    """(3,) of the ego in the map's frame."""
    location: str
    """The map."""


def surroundings(scene: Scene) -> Surroundings:
    """Objects and pose of a scene's current frame; raises `DataError` where the log is malformed."""
    annotations = scene.current.annotations
    classes = np.array([CLASS_OF.get(name, 0) for name in annotations.names], np.uint8)
    log_columns = [LogBox.X, LogBox.Y, LogBox.HEADING, LogBox.LENGTH, LogBox.WIDTH]
    boxes = annotations.boxes[:, log_columns].astype(np.float64)
    half_diagonal = np.hypot(boxes[:, Box.LENGTH], boxes[:, Box.WIDTH]) / 2
    reach = math.sqrt(2) * REACH_M + 1.0 + half_diagonal
    kept = (classes > 0) & (np.hypot(boxes[:, Box.X], boxes[:, Box.Y]) <= reach)
    return Surroundings(boxes[kept], classes[kept], scene.current.pose, scene.map_location)


def agents(around: Surroundings) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The nearest vehicles whose centre lies within `REACH_M` in x and in y.

    Returns:
        boxes (30, 5), columns `Box`, ego frame, nearest first, then rows of zeros; labels (30,): rows with a vehicle.
    """
    boxes = around.boxes
    inside = (around.classes == VEHICLE) & (np.abs(boxes[:, Box.X]) <= REACH_M) & (np.abs(boxes[:, Box.Y]) <= REACH_M)
    vehicles = boxes[inside].astype(np.float32)
    nearest = np.argsort(np.linalg.norm(vehicles[:, : Box.HEADING], axis=1), kind="stable")[:MOST_AGENTS]
    found = np.zeros((MOST_AGENTS, BOX_COLUMNS), np.float32)
    found[: len(nearest)] = vehicles[nearest]
    return found, np.arange(MOST_AGENTS) < len(nearest)


def bev_semantics(around: Surroundings, road_map: Map) -> NDArray[np.uint8]:
    """(rows along x, columns along y) class of every pixel of the ground ahead.

    Args:
        around: objects and pose.
        road_map: map of its location.
    """
    x, y = float(around.pose[Pose.X]), float(around.pose[Pose.Y])
    ground = np.zeros(BEV_SHAPE, np.uint8)
    for label, layers in _AREAS:
        mask = _blank()
        for layer in layers:
            table = road_map.layer(layer)
            rows = [table.row(int(fid)) for fid in road_map.near(layer, x, y, REACH_M)]
            rings = shapely.get_exterior_ring(shapely.get_parts(table.geometry[rows]))
            _fill(mask, _local(rings, around.pose))
        ground[mask.T > 0] = label
    mask = _blank()
    graph = lane_graph(road_map)
    for layer in _LINES:
        lane = graph.lane if layer is Layer.LANE else graph.lane_connector
        lines = [lane(int(fid)).line for fid in road_map.near(layer, x, y, REACH_M)]
        for points in _local(lines, around.pose):
            cv2.polylines(mask, [_pixels(points)], isClosed=False, color=1, thickness=_LINE_WIDTH_PX)
    ground[mask.T > 0] = CENTRELINE
    for label in (STATIC_OBJECT, VEHICLE, PEDESTRIAN):
        mask = _blank()
        _fill(mask, [_outline(box) for box in around.boxes[around.classes == label]])
        ground[mask.T > 0] = label
    return ground


def _blank() -> Mask:
    """A picture with y down and x to the right, as OpenCV draws; its transpose is the target's orientation."""
    return np.zeros(BEV_SHAPE[::-1], np.uint8)


def _fill(mask: Mask, outlines: Iterable[Float]) -> None:
    for outline in outlines:  # one by one: outlines in one call cancel where they overlap
        cv2.fillPoly(mask, [_pixels(outline)], color=1)


def _pixels(points: Float) -> NDArray[np.int32]:
    """(V, 2) ego-frame points as pixel column and row of the picture OpenCV draws on."""
    return (points / PIXEL_M + (0.0, BEV_SHAPE[1] / 2)).astype(np.int32)


def _local(lines: Sequence[shapely.Geometry] | NDArray[np.object_], pose: Float) -> list[Float]:
    """Vertices (V, 2) of each line in the ego frame."""
    points, line = shapely.get_coordinates(lines, return_index=True)
    cos, sin = math.cos(pose[Pose.HEADING]), math.sin(pose[Pose.HEADING])
    x, y = points[:, 0] - pose[Pose.X], points[:, 1] - pose[Pose.Y]
    moved = np.stack([cos * x + sin * y, -sin * x + cos * y], axis=1)
    return np.split(moved, np.flatnonzero(np.diff(line)) + 1) if len(moved) else []


def _outline(box: Float) -> Float:
    """(4, 2) corners: front left, rear left, rear right, front right."""
    heading = box[Box.HEADING]
    along = np.array([math.cos(heading), math.sin(heading)]) * box[Box.LENGTH] / 2
    left = np.array([-math.sin(heading), math.cos(heading)]) * box[Box.WIDTH] / 2
    centre = box[: Box.HEADING]
    return np.stack([centre + along + left, centre - along + left, centre - along - left, centre + along - left])

"""Perception targets: pictures that can be checked by hand, their order, and independence of where the world lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import shapely

from navforge.data.logs import Annotations
from navforge.geometry.se2 import points_to_global
from navforge.inputs.targets import (
    CENTRELINE,
    PEDESTRIAN,
    ROAD,
    STATIC_OBJECT,
    VEHICLE,
    WALKWAY,
    Surroundings,
    agents,
    bev_semantics,
    surroundings,
)
from navforge.maps.schema import Layer

HERE = np.zeros(3)


@dataclass
class Table:
    fids: list[int]
    geometry: np.ndarray

    connector_row: int = 0
    """Row of the first lane connector in the table of baselines."""

    def row(self, fid: int) -> int:
        return self.fids.index(fid)

    def one_where(self, column: str, fid: int) -> int:
        return fid + {"lane_fid": 0, "lane_connector_fid": self.connector_row}[column]


class SmallMap:
    """Polygons and baselines by layer, in the frame of an ego pose."""

    def __init__(self, areas: dict[Layer, list[Any]], lines: dict[Layer, list[Any]], pose: np.ndarray = HERE) -> None:
        def polygon(points: Any) -> shapely.Polygon:
            return shapely.Polygon(points_to_global(pose, np.array(points, float)))

        self.areas = {layer: [polygon(points) for points in found] for layer, found in areas.items()}
        self.lines = {
            layer: [shapely.LineString(points_to_global(pose, np.array(points, float))) for points in found]
            for layer, found in lines.items()
        }

    def layer(self, layer: Layer) -> Table:
        lanes, connectors = (self.lines.get(kind, []) for kind in (Layer.LANE, Layer.LANE_CONNECTOR))
        baselines = {Layer.LANE: lanes, Layer.LANE_CONNECTOR: connectors, Layer.BASELINE_PATH: lanes + connectors}
        shapes = self.areas.get(layer, baselines.get(layer, []))
        geometry = np.empty(len(shapes), object)
        geometry[:] = shapes
        return Table(list(range(len(shapes))), geometry, len(lanes))

    def near(self, layer: Layer, x: float, y: float, radius: float) -> np.ndarray:
        square = shapely.box(x - radius, y - radius, x + radius, y + radius)
        return np.flatnonzero([shape.intersects(square) for shape in self.layer(layer).geometry])


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def around(objects: list[tuple[int, tuple[float, ...]]] = [], pose: np.ndarray = HERE) -> Surroundings:
    boxes = np.array([box for _, box in objects], float).reshape(-1, 5)
    return Surroundings(boxes, np.array([label for label, _ in objects], np.uint8), pose, "anywhere")


def draw(areas: Any = {}, lines: Any = {}, objects: Any = [], pose: np.ndarray = HERE) -> np.ndarray:
    ground = bev_semantics(around(objects, pose), SmallMap(areas, {Layer.LANE: [], **lines}, pose))  # type: ignore[arg-type]
    assert ground.shape == (128, 256) and ground.dtype == np.uint8
    return ground


def test_an_area_covers_its_pixels_and_no_others() -> None:
    """Forward is down the rows, left is to higher columns; 4 pixels a metre; the ego stands at row 0, column 128."""
    ground = draw({Layer.WALKWAY: [rectangle(2.1, -3.9, 20.1, 8.1)]})
    expected = np.zeros((128, 256), np.uint8)
    expected[8:81, 112:161] = WALKWAY
    np.testing.assert_array_equal(ground, expected)


def test_areas_behind_the_ego_are_cut_off_at_its_rear_axle() -> None:
    ground = draw({Layer.INTERSECTION: [rectangle(-30.1, -40.1, 1.1, 40.1)]})
    assert (ground[:5] == ROAD).all() and (ground[5:] == 0).all()


def test_overlapping_areas_do_not_cancel() -> None:
    one, other = rectangle(2.1, -3.9, 20.1, 4.1), rectangle(10.1, -3.9, 30.1, 4.1)
    ground = draw({Layer.WALKWAY: [one, other]})
    assert (ground[8:121, 112:145] == WALKWAY).all()


def test_holes_are_filled_as_upstream_does() -> None:
    ring = shapely.Polygon(rectangle(2.1, -3.9, 20.1, 4.1), [rectangle(8.1, -1.9, 12.1, 2.1)])
    small = SmallMap({}, {Layer.LANE: []})
    small.areas = {Layer.WALKWAY: [ring]}
    assert (bev_semantics(around(), small)[8:81, 112:145] == WALKWAY).all()  # type: ignore[arg-type]


def test_centrelines_are_two_pixels_wide_and_come_from_lanes_and_connectors() -> None:
    lane = {Layer.LANE: [[(-5.1, 2.1), (10.1, 2.1)]], Layer.LANE_CONNECTOR: [[(10.1, -6.1), (40.1, -6.1)]]}
    ground = draw(lines=lane)
    columns = np.flatnonzero((ground == CENTRELINE).sum(axis=0) > 20)
    left, right = columns[columns > 128], columns[columns < 128]
    assert 136 in left and 103 in right and 2 <= len(left) <= 3 and 2 <= len(right) <= 3
    rows = np.flatnonzero((ground[:, left] == CENTRELINE).any(axis=1))
    assert rows.min() == 0 and 40 <= rows.max() <= 41


def test_later_classes_are_drawn_over_earlier_ones() -> None:
    box = (10.1, 0.1, 0.0, 4.0, 2.0)
    everything = [(PEDESTRIAN, box), (VEHICLE, box), (STATIC_OBJECT, box)]
    areas = {
        Layer.LANE: [rectangle(0.1, -8.1, 31.1, 8.1)],
        Layer.WALKWAY: [rectangle(0.1, -4.1, 31.1, 4.1)],
        Layer.INTERSECTION: [],
    }

    def at_box(objects: list[Any]) -> int:
        small = SmallMap(areas, {Layer.LANE_CONNECTOR: [[(0.1, 0.1), (31.1, 0.1)]]})
        small.lines[Layer.LANE] = [shapely.LineString([(0.1, -6.1), (31.1, -6.1)])]
        ground = bev_semantics(around(objects), small)  # type: ignore[arg-type]
        assert ground[40, 140] == WALKWAY and ground[40, 155] == ROAD and ground[80, 128] == CENTRELINE
        assert ground[80, 103] == CENTRELINE
        return int(ground[40, 128])

    assert at_box([]) == CENTRELINE
    assert [at_box(everything[:n]) for n in (1, 2, 3)] == [PEDESTRIAN] * 3
    assert at_box(everything[1:]) == VEHICLE and at_box(everything[2:]) == STATIC_OBJECT


def test_a_turned_box_covers_its_outline() -> None:
    ground = draw(objects=[(VEHICLE, (10.0, 5.0, math.pi / 2, 6.0, 2.0))])
    rows, columns = np.nonzero(ground == VEHICLE)
    assert (rows.min(), rows.max()) == (36, 44) and (columns.min(), columns.max()) == (136, 160)


@pytest.mark.parametrize("pose", [(587400.3, 4475700.8, 0.0), (-120.0, 40.0, 2.2), (3e5, -2e5, -3.0)])
def test_targets_do_not_depend_on_where_the_world_lies(pose: tuple[float, float, float]) -> None:
    """Vertices lie amid pixels, so that rounding moves none; all shapes lie near enough for any heading's query."""
    areas = {
        Layer.LANE: [rectangle(1.1, -3.9, 20.1, 4.1)],
        Layer.INTERSECTION: [[(12.1, 3.1), (22.1, 10.1), (15.1, 16.1)]],
        Layer.WALKWAY: [rectangle(1.1, 5.1, 20.1, 8.1)],
    }
    lines = {Layer.LANE_CONNECTOR: [[(0.1, 0.1), (8.1, 1.1), (18.1, 5.1)]]}
    objects = [(VEHICLE, (9.1, -6.1, 0.3, 4.5, 1.9)), (PEDESTRIAN, (4.1, 6.6, 0.0, 0.6, 0.6))]

    def ground(origin: np.ndarray) -> np.ndarray:
        small = SmallMap(areas, lines, origin)
        small.lines[Layer.LANE] = [shapely.LineString(points_to_global(origin, np.array([(1.1, 1.1), (20.1, 1.1)])))]
        return bev_semantics(around(objects, origin), small)  # type: ignore[arg-type]

    still = ground(HERE)
    assert set(np.unique(still)) == {0, ROAD, WALKWAY, CENTRELINE, VEHICLE, PEDESTRIAN}
    np.testing.assert_array_equal(ground(np.array(pose)), still)


def test_agents_are_the_nearest_vehicles_in_reach() -> None:
    vehicles = [(VEHICLE, (10.0 + n / 2, -20.0 + n, 0.1 * n, 4.0 + n / 10, 2.0)) for n in range(40)]
    others = [(PEDESTRIAN, (1.0, 1.0, 0.0, 1.0, 1.0)), (VEHICLE, (32.1, 0.0, 0.0, 4.0, 2.0))]
    others += [(VEHICLE, (0.0, y, 0.0, 4.0, 2.0)) for y in (32.1, -32.1)]
    edge = [(VEHICLE, (-32.0, 0.0, 4.0, 4.0, 2.0))]
    boxes, labels = agents(around(others + vehicles))
    assert boxes.shape == (30, 5) and boxes.dtype == np.float32 and labels.all()
    distance = np.hypot(boxes[:, 0], boxes[:, 1])
    assert (np.diff(distance) >= 0).all()
    expected = sorted(math.hypot(box[0], box[1]) for _, box in vehicles)[:30]
    np.testing.assert_allclose(distance, expected, rtol=1e-6)
    boxes, labels = agents(around(others + edge + vehicles[:2]))
    assert labels.tolist() == [True] * 3 + [False] * 27 and (boxes[3:] == 0).all()
    assert boxes[2].tolist() == [-32.0, 0.0, 4.0, 4.0, 2.0], "the border counts and headings stay as logged"
    boxes, labels = agents(around())
    assert not labels.any() and not boxes.any()


def test_surroundings_keep_what_may_be_seen() -> None:
    @dataclass
    class Frame:
        annotations: Annotations
        pose: np.ndarray

    @dataclass
    class OneScene:
        current: Frame
        map_location: str = "somewhere"

    boxes = np.zeros((6, 7), np.float32)
    boxes[:, 0] = [10, 20, 44, 60, 90, 5]
    boxes[:, 3] = [4, 1, 6, 60, 4, 2]
    boxes[:, 4] = 2
    names = ("vehicle", "pedestrian", "barrier", "generic_object", "vehicle", "bicycle")
    annotations = Annotations(boxes, names, np.zeros((6, 3)), ("i",) * 6, ("t",) * 6)
    found = surroundings(OneScene(Frame(annotations, np.array([1.0, 2.0, 3.0]))))  # type: ignore[arg-type]
    assert found.classes.tolist() == [VEHICLE, PEDESTRIAN, STATIC_OBJECT, STATIC_OBJECT]
    assert found.boxes[:, 0].tolist() == [10, 20, 44, 60] and found.boxes.dtype == np.float64
    assert (found.location, found.pose.tolist()) == ("somewhere", [1.0, 2.0, 3.0])

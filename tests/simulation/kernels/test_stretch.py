"""Areas of stretches of lanes against shapely's buffers, which the devkit uses."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.simulation.kernels.lane import MOST_TRIMMED
from navforge.simulation.kernels.stretch import Areas, Lanes, add_stretch, lane_areas
from tests.simulation.lanes import bent_lane

WIDTHS = (0.3, 0.9, 1.3)


def lanes_of(lane: np.ndarray, half_width: float) -> Lanes:
    return lane_areas(lane, np.array([0, len(lane)]), np.array([half_width]), np.zeros(2))


def stretch(lane: np.ndarray, arc: np.ndarray, half_width: float, low: float, high: float) -> np.ndarray:
    """The pieces as shapely polygons."""
    lanes = lanes_of(lane, half_width)
    room = len(lanes.quads) + 3 + MOST_TRIMMED
    areas = Areas(
        np.zeros((room, 4, 2)), np.zeros((room, 3)), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 4))
    )
    add_stretch(areas, 0, lanes, arc, 0, len(lane) - 1, low, high, half_width)
    return np.asarray(shapely.polygons(areas.quads[: areas.end[0]]))


def distances(pieces: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.min(shapely.distance(pieces[:, None], points[None]), axis=0)


def points_around(area: shapely.Geometry, rng: np.random.Generator, count: int) -> np.ndarray:
    """Points all over the bounds of an area and near its corners."""
    corners = shapely.get_coordinates(area)
    x0, y0, x1, y1 = area.bounds
    spread = np.column_stack([rng.uniform(x0 - 2, x1 + 2, count), rng.uniform(y0 - 2, y1 + 2, count)])
    near = corners[rng.integers(len(corners), size=count)] + rng.normal(0.0, 0.2, (count, 2))
    return np.asarray(shapely.points(np.concatenate([spread, near])))


def cut(lane: np.ndarray, arc: np.ndarray, low: float, high: float) -> shapely.LineString:
    inside = (arc > low) & (arc < high)
    ends = [[np.interp(at, arc, lane[:, c]) for c in range(2)] for at in (low, high)]
    return shapely.LineString([ends[0], *lane[inside, :2], ends[1]])


@pytest.mark.parametrize("turn", [0.0, 0.0003, 0.02, 0.1])
def test_area_of_a_stretch_is_shapelys_buffer(turn: float) -> None:
    """By distances to points around. With the GEOS of the devkit (3.11) all are within 3e-7 m; from 3.13 on GEOS gives
    bends below 0.05 rad one point less, which moves the outline by up to 2 mm. A corner left untrimmed is cm off.
    """
    rng = np.random.default_rng(int(turn * 1e4))
    for _ in range(60):
        lane, arc = bent_lane(rng, 14, turn)
        low, high = np.sort(rng.uniform(0.0, arc[-1], 2))
        if rng.random() < 0.5:  # an end just after a bend, or a start just before one: trimmed corners
            high = arc[rng.integers(9, 13)] + rng.uniform(0.001, 0.1)
            low = arc[rng.integers(1, 6)] - rng.uniform(0.001, 0.1)
        half_width = float(rng.choice(WIDTHS))
        wanted = cut(lane, arc, low, high).buffer(half_width, cap_style="flat")
        points = points_around(wanted, rng, 100)
        found = distances(stretch(lane, arc, half_width, low, high), points)
        np.testing.assert_allclose(found, shapely.distance(wanted, points), atol=2e-3, err_msg=f"{low} {high}")


def test_beyond_an_end_the_segment_at_that_end_stands_for_the_stretch() -> None:
    lane, arc = bent_lane(np.random.default_rng(3), 6, 0.1)
    rng = np.random.default_rng(5)
    last = shapely.LineString(lane[-2:, :2]).buffer(1.0, cap_style="flat")
    points = points_around(last, rng, 50)
    pieces = stretch(lane, arc, 1.0, arc[-1], arc[-1])
    np.testing.assert_allclose(distances(pieces, points), shapely.distance(last, points), atol=1e-9)
    first = shapely.LineString(lane[:2, :2]).buffer(1.0, cap_style="flat")
    points = points_around(first, rng, 50)
    pieces = stretch(lane, arc, 1.0, 0.0, 0.0)
    np.testing.assert_allclose(distances(pieces, points), shapely.distance(first, points), atol=1e-9)

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.cache_builder.centerline import centerline_lanes, centerline_poses, shortest_lanes, starting_lane
from navforge.cache_builder.drivable import DrivableMap
from navforge.cache_builder.route import Route, load_route
from navforge.core.errors import DataError
from navforge.data import ego_states as ego
from tests.cache_builder.graph import FakeGraph

CHAIN = [(b, b + 1) for b in range(8)]


def drivable(graph, lanes):
    polygons = np.array([graph.lane_polygon(lane) for lane in lanes], dtype=object)
    return DrivableMap(np.full(len(lanes), 2, np.uint8), np.array(lanes), polygons)


def start(graph, route, pose, lanes):
    pose = np.array(pose)
    return starting_lane(graph, route, drivable(graph, lanes), pose, ego.center(pose), ego.boxes(pose))


def test_starting_lane_is_the_route_lane_that_turns_least():
    graph = FakeGraph(CHAIN)
    graph.lane_lists = {1: [7, 8]}
    graph.lane_polygon = lambda lane: shapely.box(10, -2, 20, 2)
    graph.lane_path = lambda lane: np.array([[15.0, 0.0, 0.4 if lane == 7 else -0.1]])
    route = Route((1,), (7, 8))
    assert start(graph, route, [15.0, 0.0, 0.0], [7, 8]) == 8
    assert start(graph, route, [15.0, 0.0, 0.4], [7, 8]) == 7
    assert start(graph, Route((1,), (7,)), [15.0, 0.0, 0.0], [7, 8]) == 7


def test_outside_all_lanes_the_one_with_the_centre_else_the_nearest():
    graph = FakeGraph(CHAIN)
    route = load_route(graph, [1, 2, 3])
    assert start(graph, route, [9.5, 0.0, 0.0], []) == 101
    assert start(graph, route, [50.0, 0.0, 0.0], []) == 103


def test_route_without_lanes_is_refused():
    with pytest.raises(DataError, match="no lanes"):
        start(FakeGraph(CHAIN), Route((1,), ()), [50.0, 0.0, 0.0], [])


def test_centreline_reaches_the_end_of_the_route_with_repeated_joints():
    graph = FakeGraph(CHAIN)
    lanes = centerline_lanes(graph, load_route(graph, [1, 2, 3]), 101)
    assert lanes == [101, 102, 103]
    poses = centerline_poses(graph, lanes)
    assert poses[:, 0].tolist() == [10, 15, 20, 20, 25, 30, 30, 35, 40]


def test_shorter_branch_wins_and_lanes_off_the_route_are_not_entered():
    graph = FakeGraph([(1, 2), (1, 3), (2, 4), (3, 4)])
    graph.lengths = {102: 30.0, 103: 10.0}
    assert shortest_lanes(graph, 101, 4, {101, 102, 103, 104}) == [101, 103, 104]
    assert shortest_lanes(graph, 101, 4, {101, 102, 104}) == [101, 102, 104]


def test_without_a_path_the_deepest_lane_ends_the_centreline():
    graph = FakeGraph([(1, 2), (2, 3), (1, 4)], blocks=[9])
    graph.lengths = {104: 1.0}
    assert shortest_lanes(graph, 101, 9, {101, 102, 103, 104, 109}) == [101, 102, 103]


def test_a_ring_of_lanes_ends():
    graph = FakeGraph([(1, 2), (2, 3), (3, 1)], blocks=[9])
    assert shortest_lanes(graph, 101, 9, {101, 102, 103}) == [101, 102, 103]

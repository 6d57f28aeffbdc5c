from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.cache_builder.route import correct_route, load_route, search_blocks
from navforge.core.errors import DataError
from tests.cache_builder.graph import FakeGraph

CHAIN = [(b, b + 1) for b in range(8)]


def corrected(graph, blocks, x, heading=0.0):
    return list(correct_route(graph, load_route(graph, blocks), np.array([x, 0.0, heading])).blocks)


def naive_search(start, targets, neighbours, depth):
    """Breadth first over whole paths; among the shortest, what the devkit's queue with repeated visits finds."""
    queue, parent = [start], {}
    for level in range(1, depth + 1):
        for block in queue:
            if block in targets:
                path = [block]
                for back in range(level, 1, -1):
                    path.append(parent[path[-1], back])
                return path[::-1]
        following = []
        for block in queue:
            for after in neighbours(block):
                following.append(after)
                parent[after, level + 1] = block
        queue = following
    return None


def test_load_route_keeps_order_and_drops_repeats():
    route = load_route(FakeGraph(CHAIN), [2, 1, 2, 3])
    assert route.blocks == (2, 1, 3)
    assert route.lanes == (102, 101, 103)


def test_unknown_roadblock_is_named():
    with pytest.raises(DataError, match="roadblock 77"):
        load_route(FakeGraph(CHAIN), [1, 77])


def test_route_that_starts_under_the_ego_stays():
    assert corrected(FakeGraph(CHAIN), [2, 3, 4], 25.0) == [2, 3, 4]


def test_ego_behind_the_route_extends_it_backwards():
    assert corrected(FakeGraph(CHAIN), [4, 5], 15.0) == [1, 2, 3, 4, 5]


def test_ego_off_the_route_reaches_one_of_the_first_three_blocks():
    graph = FakeGraph([(0, 5), (5, 6), (6, 7), (7, 8), (1, 6)])
    assert corrected(graph, [5, 6, 7, 8], 15.0) == [1, 6, 7, 8]


def test_unreachable_route_is_left_alone():
    graph = FakeGraph([(5, 6)], blocks=[1])
    assert corrected(graph, [5, 6], 15.0) == [5, 6]


def test_missing_block_between_two_is_filled_in():
    assert corrected(FakeGraph(CHAIN), [1, 2, 4, 6], 15.0) == [1, 2, 3, 4, 5, 6]


def test_gap_that_cannot_be_filled_stays():
    graph = FakeGraph([(1, 2), (4, 5)])
    assert corrected(graph, [1, 2, 4, 5], 15.0) == [1, 2, 4, 5]


def test_route_ends_before_a_connector_that_overlaps_an_earlier_one():
    graph = FakeGraph([(1, 50), (50, 2), (2, 51), (51, 3)])
    graph.areas = {50: shapely.box(0, 20, 10, 30), 51: shapely.box(5, 25, 15, 35)}
    assert corrected(graph, [1, 50, 2, 51, 3], 15.0) == [1, 50, 2]
    graph.areas[51] = shapely.box(10, 20, 20, 30)
    assert corrected(graph, [1, 50, 2, 51, 3], 15.0) == [1, 50, 2, 51, 3]


@pytest.mark.parametrize(("metres", "cut"), [(0.09, False), (0.11, True)])
def test_a_route_ends_where_connectors_overlap_by_more_than_one_square_metre(metres, cut):
    graph = FakeGraph([(1, 50), (50, 2), (2, 51), (51, 3)])
    graph.areas = {50: shapely.box(0, 20, 10, 30), 51: shapely.box(10 - metres, 20, 20, 30)}
    assert corrected(graph, [1, 50, 2, 51, 3], 15.0) == ([1, 50, 2] if cut else [1, 50, 2, 51, 3])


@pytest.mark.parametrize(("degrees", "expected"), [(44.0, [1, 2]), (46.0, [50, 2])])
def test_the_ego_is_on_a_block_whose_lane_turns_less_than_45_degrees_against_it(degrees, expected):
    """Block 50 lies on block 1 and heads north, at 90 degrees."""
    graph = FakeGraph([*CHAIN, (50, 2)])
    graph.areas = {50: shapely.box(10, -2, 20, 2)}
    north = np.array([[15.0, 0.5, np.pi / 2]])
    graph.lane_path = lambda lane: north if lane == 150 else FakeGraph.lane_path(graph, lane)
    assert corrected(graph, [1, 2], 15.0, heading=np.radians(degrees)) == expected


@pytest.mark.parametrize(("last", "reached"), [(29, True), (30, False)])
def test_a_gap_is_filled_by_thirty_blocks_at_most(last, reached):
    graph = FakeGraph([(b, b + 1) for b in range(40)])
    assert corrected(graph, [0, last], 5.0) == (list(range(last + 1)) if reached else [0, last])


def test_ego_far_from_everything_takes_the_nearest_blocks():
    assert corrected(FakeGraph(CHAIN), [3, 4], -500.0) == [0, 1, 2, 3, 4]


def test_block_driven_the_other_way_is_a_last_resort():
    graph = FakeGraph(CHAIN, blocks=[50])
    graph.areas = {50: shapely.box(10, -2, 20, 2)}
    graph.lane_path = lambda lane: np.array([[15.0, 0.5, np.pi]]) if lane == 150 else FakeGraph.lane_path(graph, lane)
    assert corrected(graph, [1, 2], 15.0, heading=0.0) == [1, 2]


def test_empty_route_off_the_road_is_refused():
    with pytest.raises(DataError, match="route is empty"):
        corrected(FakeGraph(CHAIN), [], 15.0)


@pytest.mark.parametrize("seed", range(20))
def test_search_finds_what_the_repeating_queue_finds(seed):
    random = np.random.default_rng(seed)
    following = {b: [int(x) for x in random.integers(0, 12, random.integers(0, 4))] for b in range(12)}
    for start in range(12):
        for target in range(12):
            expected = naive_search(start, [target], following.__getitem__, 7)
            assert search_blocks(start, [target], following.__getitem__, 7) == expected


def test_search_does_not_explode_on_dense_graphs():
    blocks = range(30)
    assert search_blocks(0, [99], lambda block: list(blocks), 30) is None

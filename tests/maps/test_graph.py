"""Lane and roadblock graph on a hand-drawn map."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.maps import LaneGraph, Layer, Map, lane_graph
from navforge.maps.flat import discrete_path
from tests.maps.tiny_map import ORIGIN


@pytest.fixture
def graph(tiny_map: Map) -> LaneGraph:
    return lane_graph(tiny_map)


def fids(edges) -> list[int]:
    return [edge.fid for edge in edges]


def test_lanes_and_connectors_lead_to_each_other(graph):
    assert fids(graph.lane(31).outgoing) == [11]
    assert fids(graph.lane(31).incoming) == []
    assert fids(graph.lane(34).incoming) == [12]
    assert fids(graph.lane_connector(11).incoming) == [31]
    assert fids(graph.lane_connector(11).outgoing) == [33]


def test_every_successor_has_its_predecessor(graph):
    edges = [graph.lane(int(f)) for f in graph.map.layer(Layer.LANE).fid]
    edges += [graph.lane_connector(int(f)) for f in graph.map.layer(Layer.LANE_CONNECTOR).fid]
    for edge in edges:
        assert all(edge in following.incoming for following in edge.outgoing)


def test_roadblocks(graph):
    block, connector = graph.roadblock(61), graph.roadblock_connector(21)
    assert fids(block.interior) == [31, 32]
    assert fids(connector.interior) == [11, 12]
    assert fids(block.outgoing) == [21] == fids(graph.roadblock(62).incoming)
    assert fids(connector.incoming) == [61]
    assert fids(connector.outgoing) == [62]
    assert graph.lane(32).roadblock is block
    assert graph.lane_connector(12).roadblock is connector
    assert block.polygon.area == pytest.approx(300, abs=0.5)


def test_find_prefers_lane_and_roadblock(graph):
    assert not graph.find_lane_edge(31).is_connector
    assert graph.find_lane_edge(12).is_connector
    assert graph.find_lane_edge(999) is None
    assert graph.find_roadblock(21).is_connector
    assert graph.find_roadblock(999) is None


def test_baseline_path_heads_along_the_lane(graph):
    path = graph.lane(31).path
    np.testing.assert_allclose(path[:, :2] - ORIGIN, [[0, 1.5], [20, 1.5], [50, 1.5]], atol=1e-6)
    np.testing.assert_allclose(path[:, 2], 0, atol=1e-6)
    assert path[-1, 2] == path[-2, 2]
    assert graph.lane(31).length_m == pytest.approx(50, abs=1e-6)


def test_attributes(graph):
    lane, connector = graph.lane(31), graph.lane_connector(11)
    assert lane.id == "31"
    assert lane.speed_limit_mps == 10
    assert graph.lane(32).speed_limit_mps is None
    assert connector.speed_limit_mps is None
    assert connector.polygon.area == pytest.approx(30, abs=0.1)
    for fid, low_y in ((11, 0.0), (12, -3.0)):
        bounds = np.array(graph.lane_connector(fid).polygon.bounds) - [*ORIGIN, *ORIGIN]
        np.testing.assert_allclose(bounds, [50.0, low_y, 60.0, low_y + 3.0], atol=1e-6)


def test_a_path_heads_from_vertex_to_vertex_and_at_its_end_as_before():
    path = discrete_path(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [0.0, 4.0], [0.0, 1.0]]))
    np.testing.assert_allclose(path[:, 2], [0.0, np.pi / 2, np.pi, -np.pi / 2, -np.pi / 2])


def test_edge_outside_the_map_has_no_neighbours_and_no_geometry(graph):
    stranger = graph.lane(999)
    assert stranger.outgoing == stranger.incoming == ()
    with pytest.raises(DataError, match="lanes_polygons has no feature 999"):
        _ = stranger.polygon
    with pytest.raises(DataError, match="0 features with lane_fid 999"):
        _ = stranger.path

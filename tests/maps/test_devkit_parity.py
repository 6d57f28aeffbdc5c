"""Map vertices of two real maps against what the official devkit extracted from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M
from navforge.maps import Layer, lane_graph, read_map
from navforge.maps.flat import flatten_polygons

LOGS = ["av2.adcf7d18-0510-35b0-a2fa-b4cea13a6d76", "av2.3b3570b4-7b0b-3268-a571-b0889dbf40b6"]


def drivable_polygons(scene_map, x, y, radius=100.0):
    """Tokens and polygons in the order of the devkit's drivable map."""
    graph = lane_graph(scene_map)
    blocks = [graph.roadblock(int(fid)) for fid in scene_map.near(Layer.ROADBLOCK, x, y, radius)]
    connectors = [graph.roadblock_connector(int(f)) for f in scene_map.near(Layer.ROADBLOCK_CONNECTOR, x, y, radius)]
    lanes = [lane for block in blocks + connectors for lane in block.interior]
    found = [(item.id, item.polygon) for item in blocks + lanes]
    for layer in (Layer.INTERSECTION, Layer.CARPARK_AREA):
        table = scene_map.layer(layer)
        found += [(str(fid), table.geometry[table.row(int(fid))]) for fid in scene_map.near(layer, x, y, radius)]
    return [token for token, _ in found], np.array([polygon for _, polygon in found], object)


@pytest.mark.parametrize("log", LOGS)
def test_drivable_polygons_have_the_same_vertices(realdata: Path, log: str):
    files = sorted((realdata / "golden" / "v2" / log).glob("*.npz"))
    assert files
    for file in files:
        golden = np.load(file)
        scene_map = read_map(realdata / "maps", str(golden["map_name"]))
        x, y, heading = golden["ego_initial_state"][:3]
        centre = x + REAR_AXLE_TO_CENTER_M * np.cos(heading), y + REAR_AXLE_TO_CENTER_M * np.sin(heading)
        tokens, polygons = drivable_polygons(scene_map, *centre)
        flat = flatten_polygons(polygons)
        assert tokens == [str(token) for token in golden["map_tokens"]]
        np.testing.assert_array_equal(flat.ring_start, golden["map_ring_start"])
        np.testing.assert_array_equal(flat.polygon_start, golden["map_polygon_start"])
        np.testing.assert_allclose(flat.xy, golden["map_xy"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("log", LOGS)
def test_centreline_points_are_vertices_of_the_route_lanes(realdata: Path, log: str):
    for file in sorted((realdata / "golden" / "v2" / log).glob("*.npz")):
        golden = np.load(file)
        scene_map = read_map(realdata / "maps", str(golden["map_name"]))
        paths = [lane_graph(scene_map).find_lane_edge(int(fid)).path for fid in golden["route_lane_ids"]]
        vertices = np.concatenate(paths)
        gap = np.abs(golden["centerline"][:, None] - vertices[None]).max(axis=2).min(axis=1)
        assert gap.max() < 1e-9, file.name


def test_red_light_connectors_are_in_the_map(realdata: Path):
    for log in LOGS:
        for file in sorted((realdata / "golden" / "v2" / log).glob("*.npz")):
            golden = np.load(file)
            scene_map = read_map(realdata / "maps", str(golden["map_name"]))
            for token in np.unique(golden["light_tokens"]):
                fid = int(str(token).removeprefix("red_light_"))
                assert lane_graph(scene_map).lane_connector(fid).polygon.area > 0

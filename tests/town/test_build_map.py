"""The lane graph and the areas of a town are sound."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.town import curves
from navforge.town.build_map import build_map
from navforge.town.log_window import drivable_area
from navforge.town.right_of_way import crossing_pairs
from navforge.town.scales import PlanConfig
from navforge.town.world import TownMap, Turn


def test_same_seed_same_town_other_seed_other_town(town: TownMap) -> None:
    plan = PlanConfig(rows=4, columns=4)
    same, other = (
        build_map(location=town.location, crs=town.crs, origin=(0.0, 0.0), plan=plan, seed=seed) for seed in (5, 6)
    )
    assert all(np.array_equal(same.lanes[fid].centre, lane.centre) for fid, lane in town.lanes.items())
    assert any(not np.array_equal(other.lanes[fid].centre, town.lanes[fid].centre) for fid in town.lanes)


def test_connectors_join_the_lanes_they_name(town: TownMap) -> None:
    for connector in town.connectors.values():
        source, target = town.lanes[connector.from_lane], town.lanes[connector.to_lane]
        assert np.allclose(connector.centre[0], source.centre[-1]) and np.allclose(
            connector.centre[-1], target.centre[0]
        )
        into, out = curves.headings(source.centre)[-1], curves.headings(target.centre)[0]
        angle = (out - into + np.pi) % (2 * np.pi) - np.pi
        expected = Turn.STRAIGHT if abs(angle) < np.radians(42) else Turn.LEFT if angle > 0 else Turn.RIGHT
        assert connector.turn == expected


def test_every_lane_leads_on_and_is_reached(town: TownMap) -> None:
    assert {c.from_lane for c in town.connectors.values()} == set(town.lanes)
    targets = {c.to_lane for c in town.connectors.values()}
    blocks = {town.lanes[fid].roadblock for fid in targets}
    assert blocks == set(town.roadblocks)


def test_roadblock_connectors_hold_their_connectors(town: TownMap) -> None:
    for block in town.roadblock_connectors.values():
        assert block.connectors
        for fid in block.connectors:
            connector = town.connectors[fid]
            assert connector.roadblock == block.fid
            assert town.lanes[connector.from_lane].roadblock == block.from_roadblock
            assert town.lanes[connector.to_lane].roadblock == block.to_roadblock


def test_feature_ids_are_distinct(town: TownMap) -> None:
    fids = [*town.lanes, *town.connectors, *town.roadblocks, *town.roadblock_connectors, *town.intersections]
    fids += [*town.stop_lines, *(p.fid for p in town.carparks), *(c.fid for c in town.crosswalks)]
    assert len(fids) == len(set(fids))


def test_polygons_are_valid_and_lanes_lie_in_their_roadblock(town: TownMap) -> None:
    for block in town.roadblocks.values():
        ring = shapely.Polygon(block.polygon)
        assert ring.is_valid
        for fid in block.lanes:
            lane = shapely.Polygon(town.lanes[fid].polygon)
            assert lane.is_valid and lane.difference(ring.buffer(1e-6)).area < 1e-6
    assert all(shapely.Polygon(area.polygon).is_valid for area in town.intersections.values())
    assert all(shapely.Polygon(c.polygon).is_valid for c in town.connectors.values())


def test_a_wide_vehicle_fits_on_every_way_through_a_junction(town: TownMap) -> None:
    drivable = drivable_area(town)
    for connector in town.connectors.values():
        swept = shapely.LineString(connector.centre).buffer(1.7, cap_style="flat")
        assert swept.difference(drivable).area < 1e-2, connector.fid


def test_drivable_area_is_in_one_piece(town: TownMap) -> None:
    assert drivable_area(town).geom_type == "Polygon"


def test_ways_that_meet_are_known_to_cross(town: TownMap) -> None:
    crossing = crossing_pairs(town)
    for one in town.connectors.values():
        for other in town.connectors.values():
            if one.intersection != other.intersection or one.from_lane == other.from_lane or one.fid >= other.fid:
                continue
            if shapely.LineString(one.centre).intersects(shapely.LineString(other.centre)):
                assert other.fid in crossing[one.fid] and one.fid in crossing[other.fid]


@pytest.mark.parametrize("seed", range(6))
def test_other_towns_are_sound_too(seed: int) -> None:
    plan = PlanConfig(rows=5, columns=4)
    town = build_map(location="us-ma-boston", crs="EPSG:32619", origin=(0.0, 0.0), plan=plan, seed=seed)
    test_a_wide_vehicle_fits_on_every_way_through_a_junction(town)
    test_every_lane_leads_on_and_is_reached(town)
    test_drivable_area_is_in_one_piece(town)

"""Pictures: things are drawn where they are, in the colours the legend promises, the same bytes every time."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from navforge.core.errors import DataError
from navforge.data.sensors import CameraCalibration, project
from navforge.metric_cache.objects import ObjectType
from navforge.reports.figures import (  # fmt: skip
    BEST,
    CHOSEN,
    HUMAN,
    Surroundings,
    Trajectory,
    draw_bev,
    draw_camera,
    learning_curves,
    score_intervals,
)
from navforge.reports.figures.bev import FARTHEST_M, NEAREST_M, PIXELS, reach_of
from navforge.reports.figures.camera import ribbon
from navforge.reports.figures.curves import read_metrics
from navforge.reports.figures.style import EGO_COLOR, OBJECT_COLOR, ROUTE_COLOR
from tests.reports import report_scene

STRAIGHT = np.column_stack([np.arange(1, 41) * 0.6, np.zeros(40), np.zeros(40)])
LEFT = np.column_stack([np.arange(1, 41) * 0.5, (np.arange(1, 41) * 0.1) ** 2, np.zeros(40)])


def camera() -> CameraCalibration:
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    pose[:3, 3] = [1.6, 0, 1.6]
    matrix = np.array([[386.25, 0, 240], [0, 386.25, 140], [0, 0, 1]])
    return CameraCalibration("CAM_F0", matrix, np.zeros(5), pose)


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def at(image: np.ndarray, forward: float, left: float, ahead: float) -> np.ndarray:
    """Colour of a place of the ego frame in a picture from above that reaches `ahead` m."""
    scale = PIXELS / (1.25 * ahead)
    return image[round((ahead - forward) * scale), round((0.625 * ahead - left) * scale)]


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])


def test_bev_shows_things_where_they_are() -> None:
    plans = [Trajectory("chosen", LEFT, CHOSEN)]
    ahead = reach_of(plans)
    image = pixels_of(draw_bev(report_scene.scene(), plans))
    assert image.shape == (PIXELS, PIXELS, 3)
    for color, forward, left in (
        (OBJECT_COLOR[ObjectType.VEHICLE], 14.3, 0.6),
        (OBJECT_COLOR[ObjectType.PEDESTRIAN], 8.0, -6.0),
        (EGO_COLOR, 1.46, 0.8),
        (ROUTE_COLOR, 27.0, 1.0),
        (CHOSEN.color, LEFT[-1, 0], LEFT[-1, 1]),
        (CHOSEN.color, LEFT[20, 0], LEFT[20, 1]),
    ):
        assert np.abs(at(image, forward, left, ahead) - rgb(color)).max() < 24, (color, forward, left)
    image = pixels_of(draw_bev(report_scene.scene()))
    red, plain = at(image, 35.0, 1.0, FARTHEST_M), at(image, 45.0, 1.0, FARTHEST_M)
    assert red[0] - red[2] > 10 > plain[0] - plain[2], "the connector under a red light is tinted"


def test_bev_zooms_to_its_trajectories() -> None:
    assert reach_of([Trajectory("a", np.zeros((8, 3)), CHOSEN)]) == NEAREST_M
    assert reach_of([Trajectory("a", STRAIGHT * 10, CHOSEN)]) == FARTHEST_M
    assert NEAREST_M < reach_of([Trajectory("a", STRAIGHT, CHOSEN)]) < FARTHEST_M


def test_bev_is_invariant_to_where_the_scene_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    here = pixels_of(draw_bev(report_scene.scene()))
    monkeypatch.setattr(report_scene, "POSE", np.array([100.0, -40.0, -2.0]))
    there = pixels_of(draw_bev(report_scene.scene()))
    assert np.abs(here - there).mean() < 1.0


def test_bev_draws_histories_and_lane_centres() -> None:
    scene = report_scene.scene()
    line = report_scene.rings_to_global([(-25.0, 3.5), (50.0, 3.5)])[0][:2]
    past = report_scene.rings_to_global([(20.0, -12.0), (30.0, -12.0)])[0][:2]
    plain = pixels_of(draw_bev(scene))
    drawn = pixels_of(draw_bev(scene, surroundings=Surroundings((line,), (past,), None)))
    assert (np.abs(at(drawn, 25.0, -12.0, FARTHEST_M) - at(plain, 25.0, -12.0, FARTHEST_M)) > 15).any()
    column = round((0.625 * FARTHEST_M - 3.5) * PIXELS / (1.25 * FARTHEST_M))
    assert (np.abs(drawn[:, column] - plain[:, column]).sum(axis=1) > 20).mean() > 0.2


def test_bev_repeats_byte_for_byte() -> None:
    plans = [Trajectory("chosen", LEFT, CHOSEN), Trajectory("human", report_scene.human(), HUMAN)]
    assert draw_bev(report_scene.scene(), plans) == draw_bev(report_scene.scene(), plans)


def test_ribbon_lies_on_the_projected_trajectory() -> None:
    calibration = camera()
    quads = np.array(ribbon(Trajectory("chosen", STRAIGHT, CHOSEN), calibration, (480, 270)))
    assert len(quads) > 60
    np.testing.assert_allclose(quads[..., 0].mean(axis=1), 240, atol=1e-6)
    edge = np.array([[10.0, CHOSEN.width_m / 2, 0.0]])
    pixel, _, _ = project(edge, calibration)
    left = quads[:, 0]
    assert np.hypot(*(left - pixel[0]).T).min() < 1e-6
    assert (np.diff(quads[:, 0, 1]) < 0).all(), "farther is higher in the image"


def test_dashes_leave_gaps() -> None:
    solid = ribbon(Trajectory("a", STRAIGHT, CHOSEN), camera(), (480, 270))
    dashed = ribbon(Trajectory("b", STRAIGHT, HUMAN), camera(), (480, 270))
    assert 0.4 * len(solid) < len(dashed) < 0.9 * len(solid)


@pytest.mark.parametrize(
    "poses",
    [np.zeros((40, 3)), np.column_stack([-np.arange(1, 9.0), np.zeros(8), np.zeros(8)]), STRAIGHT[:1] * 0.01],
    ids=["standing", "backwards", "one short step"],
)
def test_plans_that_go_nowhere_ahead_draw_nothing(poses: np.ndarray) -> None:
    assert ribbon(Trajectory("x", poses, BEST), camera(), (480, 270)) == []
    blank = np.full((270, 480, 3), 90, np.uint8)
    assert np.abs(pixels_of(draw_camera(blank, camera(), [Trajectory("x", poses, BEST)])) - 90).max() < 4
    draw_bev(report_scene.scene(), [Trajectory("x", poses, BEST)])


def test_camera_paints_the_trajectory() -> None:
    blank = np.full((270, 480, 3), 90, np.uint8)
    image = pixels_of(draw_camera(blank, camera(), [Trajectory("chosen", STRAIGHT, CHOSEN)]))
    assert image.shape == (540, 960, 3)
    wanted = rgb(CHOSEN.color) * 190 / 255 + 90 * 65 / 255
    assert np.abs(image[400, 481] - wanted).max() < 20
    assert np.abs(image[400, 100] - 90).max() < 6
    assert np.abs(image[100, 481] - 90).max() < 6


METRICS = """epoch,step,train/loss,val/loss,val/pdms,lr
0,10,2.0,,,0.1
0,20,1.5,,,0.1
0,20,,1.6,0.5,
1,30,1.2,,,0.1
1,40,nan,,,0.1
1,40,,1.3,0.6,
"""


def test_metrics_are_read_per_column(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS)
    curves = {(curve.stage, curve.name): curve for curve in read_metrics(path)}
    assert curves["train", "loss"].steps == (10, 20, 30)
    assert curves["val", "pdms"].values == (0.5, 0.6)
    assert ("", "lr") in curves


def test_learning_curves_are_well_formed_svg(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS)
    svg = learning_curves(path)
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    text = "".join(root.itertext())
    assert "loss" in text
    assert "pdms" in text
    assert "currentColor" in svg
    assert svg == learning_curves(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "not found"), ("time,loss\n0,1\n", "no column 'step' or 'epoch'"), ("step,loss\n0,x\n", "'loss'"),
     ("step,loss\n0,1\n", "two points")],
)  # fmt: skip
def test_bad_metrics_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        learning_curves(path)


def test_score_intervals_name_every_agent() -> None:
    svg = score_intervals([("human", 92.0, 91.0, 93.0), ("constant velocity", 40.5, None, None)])
    text = "".join(ElementTree.fromstring(svg).itertext())
    assert "human" in text
    assert "40.5" in text

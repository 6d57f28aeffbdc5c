"""Cropping and stitching of camera images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from navforge.core.errors import ConfigError, DataError
from navforge.models.panorama import PanoramaConfig, stitch


def flat(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def images(height: int = 1080, width: int = 1920) -> dict[str, np.ndarray]:
    return {
        "CAM_L0": flat(height, width, 10),
        "CAM_F0": flat(height, width, 100),
        "CAM_R0": flat(height, width, 200),
    }


def test_public_crops_at_full_size() -> None:
    panorama = stitch(images(), PanoramaConfig(height=1024, width=4096))
    assert panorama.shape == (3, 1024, 4096) and panorama.dtype == np.uint8
    row = panorama[0, 500]
    assert (row[:1088] == 10).all() and (row[1088:3008] == 100).all() and (row[3008:] == 200).all()


def test_rows_are_cut_off_top_and_bottom() -> None:
    given = images()
    given["CAM_F0"][:28] = 0
    given["CAM_F0"][-28:] = 0
    panorama = stitch(given, PanoramaConfig(height=1024, width=4096))
    assert (panorama[:, :, 1500] == 100).all()


def test_any_resolution_gives_the_same_view() -> None:
    small = stitch(images(270, 480), PanoramaConfig(height=64, width=256))
    large = stitch(images(), PanoramaConfig(height=64, width=256))
    assert np.abs(small.astype(int) - large.astype(int)).max() <= 12  # at the seams
    assert (small[:, :, 100] == large[:, :, 100]).all()


def test_front_camera_alone_keeps_its_width() -> None:
    image = flat(270, 480, 0)
    image[:, 0] = 255
    panorama = stitch({"CAM_F0": image}, PanoramaConfig(names=("CAM_F0",), height=256, width=480))
    assert (panorama[:, :, 0] == 255).all() and (panorama[:, :, 1] == 0).all()


def test_missing_camera_and_grey_image() -> None:
    with pytest.raises(DataError, match="CAM_L0 is missing"):
        stitch({"CAM_F0": flat(270, 480, 1)}, PanoramaConfig())
    with pytest.raises(DataError, match="expected"):
        stitch({**images(), "CAM_L0": np.zeros((270, 480), np.uint8)}, PanoramaConfig())


def test_cameras_named_twice() -> None:
    with pytest.raises(ConfigError, match="each once"):
        PanoramaConfig(names=("CAM_F0", "CAM_F0"))


def textured() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, (1080, 1920, 3), dtype=np.uint8) for name in images()}


@pytest.mark.parametrize(("factor", "first"), [(4, 1), (2, 0)])
def test_bilinear_is_the_mean_of_the_four_pixels_around_each_sample(factor: int, first: int) -> None:
    """What OpenCV's INTER_LINEAR does to 4096 x 1024: every other pixel is left out."""
    given = textured()
    whole = stitch(given, PanoramaConfig(height=1024, width=4096)).astype(int)
    four = sum(whole[:, first + i :: factor, first + j :: factor] for i in (0, 1) for j in (0, 1))
    config = PanoramaConfig(height=1024 // factor, width=4096 // factor, resize="bilinear")
    np.testing.assert_array_equal(stitch(given, config), (four + 2) // 4)


def test_antialiased_averages_over_all_pixels() -> None:
    """The way of the tiny planners, whose inputs must never change: Pillow's bilinear, a tent over 8 x 8 pixels."""
    given = textured()
    whole = stitch(given, PanoramaConfig(height=1024, width=4096))
    found = stitch(given, PanoramaConfig())
    expected = Image.fromarray(whole.transpose(1, 2, 0)).resize((1024, 256), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(expected).transpose(2, 0, 1))
    assert found.std() < 0.7 * stitch(given, PanoramaConfig(resize="bilinear")).std()

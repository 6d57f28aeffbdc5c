"""Decoding equals Pillow's bit for bit; damage is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from navforge.core.errors import DataError
from navforge.inputs.jpeg import decode, encode, read_camera


def picture(size: tuple[int, int]) -> np.ndarray:
    """Smooth shades with noise on top."""
    y, x = np.mgrid[: size[0], : size[1]]
    shades = np.stack([x * 255 / size[1], y * 255 / size[0], (x + y) % 256], axis=2)
    return np.clip(shades + np.random.default_rng(1).normal(0, 12, shades.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(64, 96), (61, 93)])
@pytest.mark.parametrize("progressive", [False, True])
def test_pixels_are_pillows(subsampling: str, size: tuple[int, int], progressive: bool) -> None:
    written = io.BytesIO()
    Image.fromarray(picture(size)).save(written, "JPEG", quality=88, subsampling=subsampling, progressive=progressive)
    expected = np.asarray(Image.open(io.BytesIO(written.getvalue())).convert("RGB"))
    found = decode(written.getvalue())
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(decode(memoryview(written.getvalue())), expected)


def test_grey_images_have_three_equal_channels() -> None:
    written = io.BytesIO()
    Image.fromarray(picture((32, 32))).convert("L").save(written, "JPEG")
    found = decode(written.getvalue())
    assert found.shape == (32, 32, 3) and (found[..., 0] == found[..., 2]).all()


def test_a_camera_that_notes_its_orientation_is_not_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    written = io.BytesIO()
    Image.fromarray(picture((32, 64))).save(written, "JPEG", exif=exif)
    assert decode(written.getvalue()).shape == (32, 64, 3)


@pytest.mark.parametrize("left", [0, 1, 100, -2, -40])
def test_truncated_images_are_refused(left: int, tmp_path: Path) -> None:
    whole = encode(picture((64, 64)), 90)
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[:left])
    with pytest.raises(DataError, match=r"cut.jpg"):
        read_camera(path)


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """Its header says 30,000 x 30,000; nothing is decoded."""
    written = io.BytesIO()
    Image.new("RGB", (64, 64)).save(written, "JPEG")
    content = bytearray(written.getvalue())
    size = content.index(b"\xff\xc0") + 5
    content[size : size + 4] = (30_000).to_bytes(2, "big") * 2
    path = tmp_path / "huge.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"huge\.jpg"):
        read_camera(path)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.jpg not found"):
        read_camera(tmp_path / "none.jpg")


def test_encoding_keeps_the_picture() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None], (64, 96, 3)).copy()
    assert np.abs(decode(encode(smooth, 95)).astype(int) - smooth).max() <= 3
    assert len(encode(smooth, 60)) < len(encode(smooth, 100))

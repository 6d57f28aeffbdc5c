"""Camera files to pixels, and panoramas to the JPEG an input store keeps.

Decoding is libjpeg-turbo's exact one, so that pixels equal Pillow's, with which the public training code reads
(docs/input-store.md has the measurements behind the choice of torchvision for decoding and Pillow for encoding).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from navforge.core.errors import DataError
from navforge.core.outside.files import read_bytes
from navforge.data.sensors import DAMAGE, IMAGE, read_image

Buffer = bytes | bytearray | memoryview

_JPEG_START = b"\xff\xd8"


def read_camera(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of an image file.

    Raises:
        DataError: it is missing, truncated or no image.
    """
    content = read_bytes(path, IMAGE)
    if not content.startswith(_JPEG_START) or not _has_header(content):
        return read_image(path)  # which says what is wrong, also of an image that would fill the memory
    try:
        return decode(content)
    except DataError as error:
        raise DataError(f"{IMAGE} {path} is damaged: {error}") from error


def _has_header(content: bytes) -> bool:
    """Whether Pillow takes the header for that of an image of a size that it would decode."""
    try:
        with Image.open(io.BytesIO(content)):
            return True
    except DAMAGE:
        return False


def decode(content: Buffer) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a JPEG.

    Raises:
        DataError: truncated or not decodable.
    """
    try:
        # A copy, because torch wants memory it may write to.
        pixels = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
        assert isinstance(pixels, torch.Tensor), "one image in, one image out"
    except (RuntimeError, ValueError) as error:
        raise DataError(str(error).splitlines()[0]) from error
    return pixels.permute(1, 2, 0).contiguous().numpy()


def encode(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG of (H, W, 3) RGB with colour at half resolution (4:2:0)."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=quality, subsampling="4:2:0")
    return written.getvalue()

"""The camera input of a planner: cameras side by side, cropped to fit each other, scaled to one size.

Crops are fractions of the source image, so that any resolution of the same camera gives the same view. The defaults
are those of the public planners for 1920x1080: 28 rows off top and bottom of each camera, 416 columns off both sides
of the side cameras, which makes 4096x1024.

Two ways of scaling exist, and a planner sees the difference: `bilinear` takes the four pixels around each sample and
leaves out the rest (OpenCV's INTER_LINEAR, with which the published planners were trained), `antialiased` averages over
all the pixels that a scaled pixel covers (Pillow's BILINEAR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError

CAMERAS = ("CAM_F0", "CAM_L0", "CAM_L1", "CAM_L2", "CAM_R0", "CAM_R1", "CAM_R2", "CAM_B0")
FRONT = "CAM_F0"
ANTIALIASED = "antialiased"
BILINEAR = "bilinear"


@dataclass(frozen=True, kw_only=True)
class PanoramaConfig:
    """Which cameras, how cropped, how large."""

    names: tuple[str, ...] = key(("CAM_L0", "CAM_F0", "CAM_R0"), "cameras from left to right", choices=CAMERAS)
    crop_rows: float = key(28 / 1080, "fraction of the rows cut off top and bottom", low=0.0, high=0.45)
    crop_columns: float = key(
        416 / 1920, "fraction of the columns cut off both sides of every camera but CAM_F0", low=0.0, high=0.45
    )
    height: int = key(256, "height of the panorama", unit="px", low=16, high=16384)
    width: int = key(1024, "width of the panorama", unit="px", low=16, high=16384)
    resize: str = key(
        ANTIALIASED,
        "scaling: bilinear (OpenCV, four pixels), as the published planners were trained; antialiased (Pillow)",
        choices=(ANTIALIASED, BILINEAR),
    )
    quality: int | None = key(
        None,
        "JPEG quality at which the planner sees the panorama (and input stores keep it); null: exact",
        low=50,
        high=100,
    )

    stitched: bool = key(True, "one image of all cameras side by side; false: one of each camera")
    frames: int = key(1, "frames at 2 Hz that are seen, the current one last", low=1, high=4)

    @property
    def views(self) -> int:
        """Images that are seen: of every frame, oldest first, the panorama or each camera."""
        return self.frames * (1 if self.stitched else len(self.names))

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, H, W), or (V, 3, H, W) where there are several views."""
        size = (3, self.height, self.width)
        return size if self.views == 1 else (self.views, *size)

    def __post_init__(self) -> None:
        """Raise ConfigError for no camera or one named twice."""
        if not self.names or len(set(self.names)) != len(self.names):
            raise ConfigError(f"panorama.names: expected cameras, each once, got {list(self.names)}")


def views(frames: Sequence[dict[str, NDArray[np.uint8]]], config: PanoramaConfig) -> NDArray[np.uint8]:
    """All views of a scene.

    Args:
        frames: full camera images of each frame, oldest first, as `stitch` takes them.
        config: which, how cropped, how large, how many.

    Returns:
        `config.shape` uint8.

    Raises:
        DataError: as `stitch`.
    """
    groups = [config] if config.stitched else [replace(config, names=(name,)) for name in config.names]
    seen = [stitch(images, group) for images in frames for group in groups]
    return seen[0] if len(seen) == 1 else np.stack(seen)


def stitch(images: dict[str, NDArray[np.uint8]], config: PanoramaConfig) -> NDArray[np.uint8]:
    """One panorama from full camera images.

    Args:
        images: camera name -> (H, W, 3) RGB; heights may differ between cameras, all are scaled to the first's.
        config: which, how cropped, how large.

    Returns:
        (3, height, width) uint8, channels first.

    Raises:
        DataError: a camera is missing or no RGB image.
    """
    from PIL import Image  # noqa: PLC0415 (help needs the configs alone)

    parts: list[NDArray[np.uint8]] = []
    for name in config.names:
        if name not in images:
            raise DataError(f"camera {name} is missing; given: {', '.join(images) or 'none'}")
        image = images[name]
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(f"camera {name}: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
        part = _crop(image, config, sides=name != FRONT)
        if parts and len(part) != len(parts[0]):
            width = round(part.shape[1] * len(parts[0]) / len(part))
            part = np.asarray(Image.fromarray(part).resize((width, len(parts[0]))))
        parts.append(part)
    small = _resize(np.concatenate(parts, axis=1), config)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def _resize(image: NDArray[np.uint8], config: PanoramaConfig) -> NDArray[np.uint8]:
    import cv2  # noqa: PLC0415 (help needs the configs alone)
    from PIL import Image  # noqa: PLC0415

    cv2.setNumThreads(1)  # OpenCV's own threads do not survive the fork of a loader's worker
    size = (config.width, config.height)
    if config.resize == BILINEAR:
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _crop(image: NDArray[np.uint8], config: PanoramaConfig, *, sides: bool) -> NDArray[np.uint8]:
    rows = round(image.shape[0] * config.crop_rows)
    columns = round(image.shape[1] * config.crop_columns) if sides else 0
    return image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]

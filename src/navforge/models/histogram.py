"""The LiDAR input of a planner: how many points of a sweep fall on each pixel of a grid around the LiDAR.

Axes are those of the public TransFuser: in a (channel, row, column) histogram the row counts x (forward), the column
y (left), both from the most negative edge up, in the frame of the merged LiDAR as logged. Columns of points keep the
file's float32; a pixel holds its lower edge, the last one its upper edge too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.config import key
from navforge.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class HistogramConfig:
    """A square grid around the LiDAR and which points count. The defaults are those of the public TransFuser."""

    metres: int = key(32, "half the side of the square", unit="m", low=1, high=1000)
    pixels_per_metre: int = key(4, "pixels along one metre", low=1, high=100)
    split_height: float = key(0.2, "points up to this height are ground", unit="m")
    max_height: float = key(100.0, "points from this height on are left out", unit="m")
    cap: int = key(5, "points counted in a pixel at most", low=1, high=255)
    ground: bool = key(False, "a channel of ground points before that of the points above it")

    def __post_init__(self) -> None:
        """Raise ConfigError for heights that leave nothing."""
        if not self.split_height < self.max_height:
            raise ConfigError(
                f"lidar.split_height: expected less than lidar.max_height ({self.max_height} m), "
                f"got {self.split_height} m"
            )

    @property
    def size(self) -> int:
        """Pixels along one side."""
        return 2 * self.metres * self.pixels_per_metre

    @property
    def channels(self) -> int:
        """1, or 2 with `ground`."""
        return 2 if self.ground else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of `histogram`."""
        return (self.channels, self.size, self.size)


def histogram(points: NDArray[np.float32], config: HistogramConfig) -> NDArray[np.uint8]:
    """Capped point counts per pixel; divided by `cap` they are the public TransFuser's LiDAR feature.

    Args:
        points: (P, 3 or more) float32 x, y, z in the frame of the merged LiDAR, m. Points outside the square and
            points that are not finite do not count.
        config: the grid and which points count.

    Returns:
        (channels, rows along x, columns along y) uint8 in 0..cap; ground before above-ground.
    """
    # Heights are compared in float32, as the points are stored.
    height = points[:, 2]
    inside = height < np.float32(config.max_height)
    rows, row_inside = _pixels(points[:, 0], config)
    columns, column_inside = _pixels(points[:, 1], config)
    inside &= row_inside & column_inside
    pixel = rows * config.size + columns
    above = height > np.float32(config.split_height)
    masks = [inside & ~above, inside & above] if config.ground else [inside & above]
    counts = np.stack([np.bincount(pixel[mask], minlength=config.size**2) for mask in masks])
    return np.minimum(counts, config.cap).astype(np.uint8).reshape(config.shape)


def _pixels(metres: NDArray[np.float32], config: HistogramConfig) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pixel of each coordinate along one axis, and whether it lies on the grid; 0 where it does not."""
    inside = (metres >= -config.metres) & (metres <= config.metres)
    exact = np.where(inside, metres, 0).astype(np.float64)
    # The offset is added to the whole number, so that no coordinate is rounded across an edge.
    pixels = np.floor(exact * config.pixels_per_metre).astype(np.int64) + config.metres * config.pixels_per_metre
    return np.minimum(pixels, config.size - 1), inside

"""The LiDAR histogram against numpy's own, point by point at edges, and along its axes."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import ConfigError
from navforge.models.histogram import HistogramConfig, histogram


def plain(points: np.ndarray, config: HistogramConfig) -> np.ndarray:
    """The textbook way: numpy's histogram over explicit edges, then the cap."""
    edges = np.linspace(-config.metres, config.metres, config.size + 1)
    kept = points[points[:, 2] < np.float32(config.max_height)]
    above = kept[:, 2] > np.float32(config.split_height)
    parts = [kept[~above], kept[above]] if config.ground else [kept[above]]
    counts = [np.histogram2d(part[:, 0], part[:, 1], bins=(edges, edges))[0] for part in parts]
    return np.minimum(np.stack(counts), config.cap)


@pytest.mark.parametrize(
    "config",
    [
        HistogramConfig(),
        HistogramConfig(ground=True),
        HistogramConfig(metres=7, pixels_per_metre=2, cap=3, split_height=-0.5, max_height=1.0, ground=True),
    ],
)
def test_counts_equal_numpys(config: HistogramConfig) -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(0, (12, 12, 1), (30_000, 3)).astype(np.float32)
    points[:4000] = np.round(points[:4000] * 4) / 4  # on edges
    points[4000:4500, 2] = np.float32(config.split_height)
    points[4500:4600, 2] = np.float32(config.max_height)
    found = histogram(points, config)
    assert found.dtype == np.uint8 and found.shape == config.shape
    np.testing.assert_array_equal(found, plain(points, config))
    assert found.max() == config.cap


def test_edges_of_the_square_and_points_just_off_them() -> None:
    config = HistogramConfig(split_height=0.0)
    edge = np.float32(32)
    beyond = np.nextafter(edge, np.float32(33))
    below_zero = np.nextafter(np.float32(0), np.float32(-1))
    xs = np.array([-edge, edge, -beyond, beyond, below_zero, 0], np.float32)
    points = np.stack([xs, np.zeros(6, np.float32), np.ones(6, np.float32)], axis=1)
    rows = np.flatnonzero(histogram(points, config)[0].sum(axis=1))
    assert rows.tolist() == [0, 127, 128, 255]
    np.testing.assert_array_equal(histogram(points, config), plain(points, config))


def test_rows_are_forward_and_columns_left() -> None:
    counts = histogram(np.array([[10.1, -3.1, 1.0]], np.float32), HistogramConfig())
    assert np.argwhere(counts).tolist() == [[0, (32 + 10) * 4, (32 - 4) * 4 + 3]]


def test_points_that_are_not_finite_do_not_count() -> None:
    points = np.full((6, 3), 1.0, np.float32)
    points[0, 0] = points[1, 1] = points[2, 2] = np.nan
    points[3, 0] = np.inf
    points[4, 2] = np.inf
    assert histogram(points, HistogramConfig()).sum() == 1
    assert histogram(points[:0], HistogramConfig()).sum() == 0


def test_heights_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="split_height"):
        HistogramConfig(split_height=3.0, max_height=3.0)

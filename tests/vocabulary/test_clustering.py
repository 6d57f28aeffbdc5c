"""Upsampling of logged poses and k-means."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.vocabulary import clustering
from navforge.vocabulary.clustering import cluster, medoids, upsample


def arc(times_s: np.ndarray, speed: float, yaw_rate: float) -> np.ndarray:
    heading = yaw_rate * times_s
    radius = speed / yaw_rate
    return np.stack([radius * np.sin(heading), radius * (1 - np.cos(heading)), heading], axis=-1)


def test_upsampled_arc_stays_on_the_arc() -> None:
    logged = arc(0.5 * np.arange(1, 11), speed=8.0, yaw_rate=0.3)
    fine = upsample(logged, np.array([8.0, 0.0]))
    assert fine.shape == (40, 3) and fine.dtype == np.float32
    truth = arc(0.1 * np.arange(1, 41), speed=8.0, yaw_rate=0.3)
    assert np.abs(fine[:, :2] - truth[:, :2]).max() < 0.01
    assert np.abs(fine[:, 2] - truth[:, 2]).max() < 0.005


def test_upsampled_passes_through_the_logged_poses_and_starts_at_the_logged_speed() -> None:
    logged = np.zeros((8, 3))
    logged[:, 0] = np.cumsum([3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0])
    fine = upsample(logged, np.array([6.2, 0.0]))
    assert np.allclose(fine[4::5], logged, atol=1e-5)
    assert fine[0, 0] / 0.1 == pytest.approx(6.2, abs=0.15)


def test_heading_is_unwrapped_not_averaged_through_zero() -> None:
    logged = np.zeros((8, 3))
    logged[:, 2] = (np.linspace(2.9, 3.5, 8) + np.pi) % (2 * np.pi) - np.pi
    assert (upsample(logged, np.zeros(2))[5:, 2] > 2.8).all()


def test_standing_car_stands() -> None:
    assert np.array_equal(upsample(np.zeros((10, 3)), np.zeros(2)), np.zeros((40, 3)))


def some_trajectories(n: int = 60) -> np.ndarray:
    generator = np.random.default_rng(1)
    times = 0.1 * np.arange(1, 41)
    rows = [arc(times, generator.uniform(1, 14), generator.uniform(0.01, 0.3)) for _ in range(n)]
    return np.array(rows, dtype=np.float32)


def test_medoids_are_driven_trajectories_each_once() -> None:
    trajectories = some_trajectories()
    entries = cluster(trajectories, 20, seed=0).poses
    rows = {row.tobytes() for row in trajectories}
    assert all(entry.tobytes() in rows for entry in entries)
    assert len({entry.tobytes() for entry in entries}) == 20


def test_means_of_separate_groups() -> None:
    slow, fast = some_trajectories(1)[0], some_trajectories(2)[1] + 50
    groups = np.stack([slow, slow, fast, fast + 0.02]).astype(np.float32)
    entries = cluster(groups, 2, seed=0, representative="mean").poses
    centres = sorted(entries.tolist(), key=lambda e: e[0][0])
    assert np.allclose(centres[0], slow, atol=1e-5) and np.allclose(centres[1], fast + 0.01, atol=1e-4)


def test_seed_decides() -> None:
    trajectories = some_trajectories()
    first = cluster(trajectories, 10, seed=3)
    assert np.array_equal(first.poses, cluster(trajectories, 10, seed=3).poses)


def test_entries_are_ordered_by_length() -> None:
    entries = cluster(some_trajectories(), 12, seed=0).poses
    lengths = np.linalg.norm(np.diff(entries[..., :2], axis=1), axis=-1).sum(axis=1)
    assert (np.diff(lengths) >= 0).all()


def test_too_few_distinct_trajectories() -> None:
    twice = np.repeat(some_trajectories(5), 4, axis=0)
    with pytest.raises(DataError, match="5 of them distinct"):
        cluster(twice, 6, seed=0)


def test_too_short_future() -> None:
    with pytest.raises(DataError, match="8 poses"):
        upsample(np.zeros((5, 3)), np.zeros(2))


def test_many_are_upsampled_to_the_same_bits_as_one_by_one() -> None:
    generator = np.random.default_rng(5)
    poses = np.stack(
        [arc(0.5 * np.arange(1, 11), generator.uniform(1, 14), generator.uniform(-0.4, 0.4)) for _ in range(9)]
    )
    velocity = generator.uniform(0, 10, (9, 2))
    each = np.stack([upsample(one, speed) for one, speed in zip(poses, velocity, strict=True)])
    assert np.array_equal(upsample(poses, velocity), each)


@pytest.mark.parametrize("representative", ["medoid", "mean"])
def test_many_trajectories_give_a_vocabulary_as_good_as_few_do(
    representative: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact k-means of large numbers against scikit-learn's of small ones, on the same trajectories."""
    trajectories = some_trajectories(600)

    def error(entries: np.ndarray) -> float:
        away = trajectories[:, None, ::5, :2] - entries[None, :, ::5, :2]
        return float(np.linalg.norm(away, axis=-1).mean(axis=-1).min(axis=1).mean())

    few = cluster(trajectories, 40, seed=0, representative=representative)
    monkeypatch.setattr(clustering, "EXACT_FROM", 500)
    many = cluster(trajectories, 40, seed=0, representative=representative)
    assert not np.array_equal(few.poses, many.poses)
    assert error(many.poses) < 1.15 * error(few.poses)
    if representative == "medoid":
        rows = {row.tobytes() for row in trajectories}
        assert len({entry.tobytes() for entry in many.poses} & rows) == 40


def test_a_cluster_without_members_takes_the_farthest_row_left() -> None:
    rows = np.array([[0.0], [1.0], [9.0], [9.0], [5.0]], np.float32)
    labels, squares = np.array([0, 0, 2, 2, 0]), np.array([4.0, 1.0, 0.0, 0.0, 9.0])
    assert medoids(rows, 3, labels, squares).tolist() == [1, 4, 2]

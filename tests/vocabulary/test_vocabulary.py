"""The vocabulary file: layout, validation, fingerprint, the public file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.vocabulary.vocabulary import Vocabulary


def some_poses(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 40, 3)).astype(np.float32)


def test_save_and_load_return_the_same_poses(tmp_path: Path) -> None:
    vocabulary = Vocabulary(some_poses())
    vocabulary.save(tmp_path / "v.npy", split="train")
    again = Vocabulary.load(tmp_path / "v.npy")
    assert np.array_equal(again.poses, vocabulary.poses)
    assert again.fingerprint == vocabulary.fingerprint
    about = json.loads((tmp_path / "v.npy.json").read_text())
    assert about["size"] == 5 and about["split"] == "train"


def test_fingerprint_depends_on_order() -> None:
    poses = some_poses()
    assert Vocabulary(poses).fingerprint != Vocabulary(poses[::-1].copy()).fingerprint


def test_plans_are_the_half_seconds() -> None:
    poses = np.zeros((1, 40, 3), dtype=np.float32)
    poses[0, :, 0] = np.arange(1, 41) / 10
    assert np.allclose(Vocabulary(poses).plans[0, :, 0], np.arange(1, 9) * 0.5)


@pytest.mark.parametrize(
    ("poses", "words"),
    [
        (np.zeros((3, 8, 3), np.float32), "shape"),
        (np.zeros((3, 40, 3), np.float64), "float32"),
        (np.zeros((0, 40, 3), np.float32), "N >= 1"),
        (np.full((3, 40, 3), np.nan, np.float32), "not finite"),
        (np.full((3, 40, 3), 4.0e5, np.float32), "global"),
    ],
)
def test_wrong_poses_are_refused(poses: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Vocabulary(poses)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    Vocabulary(some_poses()).save(tmp_path / "v.npy")
    data = (tmp_path / "v.npy").read_bytes()
    (tmp_path / "v.npy").write_bytes(data[:-100])
    with pytest.raises(DataError, match=r"v\.npy is damaged: .*it must be a plain \.npy array of float32"):
        Vocabulary.load(tmp_path / "v.npy")


def test_pickled_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"v\.npy is damaged: .*it must be a plain \.npy array of float32"):
        Vocabulary.load(tmp_path / "v.npy")


def test_replaced_file_is_noticed(tmp_path: Path) -> None:
    Vocabulary(some_poses()).save(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", some_poses()[::-1])
    with pytest.raises(DataError, match="was replaced"):
        Vocabulary.load(tmp_path / "v.npy")


def test_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="navforge vocab"):
        Vocabulary.load(tmp_path / "none.npy")


def test_public_vocabulary(navsim_files: Path) -> None:
    vocabulary = Vocabulary.load(navsim_files / "vocabulary_8192.npy")
    assert vocabulary.size == 8192
    x, y, heading = np.moveaxis(vocabulary.poses, -1, 0)
    assert x.min() == pytest.approx(-1.7, abs=0.05) and x.max() == pytest.approx(58.9, abs=0.05)
    assert 22 < np.abs(y).max() < 24
    assert heading.min() == pytest.approx(-1.66, abs=0.01) and heading.max() == pytest.approx(2.53, abs=0.01)

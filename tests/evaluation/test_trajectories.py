"""Every way a trajectory file can be wrong is refused with its cause."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.evaluation import trajectories
from navforge.evaluation.trajectories import Trajectories


def arrays(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "tokens": np.array(["aa", "bb"]),
        "poses": np.linspace(0, 30, 2 * 3 * 8 * 3).reshape(2, 3, 8, 3),
        "interval_s": np.float64(0.5),
    }
    return {**good, **changes}


def saved(folder: Path, **changes: object) -> Path:
    values = {name: value for name, value in arrays(**changes).items() if value is not None}
    np.savez(folder / "t.npz", **values)  # type: ignore[arg-type]
    return folder / "t.npz"


def test_round_trip(tmp_path: Path) -> None:
    given = trajectories.read(saved(tmp_path))
    trajectories.write(tmp_path / "again.npz", given)
    again = trajectories.read(tmp_path / "again.npz")
    assert again.tokens == ("aa", "bb")
    assert again.per_scene == 3
    assert again.interval_s == 0.5
    np.testing.assert_array_equal(again.poses, given.poses)
    assert again.fingerprint == given.fingerprint


def test_fingerprint_follows_values() -> None:
    one = Trajectories.make(*arrays().values())  # type: ignore[arg-type]
    poses = one.poses.copy()
    poses[0, 0, 0, 0] += 1e-9
    assert Trajectories(one.tokens, poses, 0.5).fingerprint != one.fingerprint


def test_float32_poses_and_byte_tokens_are_taken(tmp_path: Path) -> None:
    poses = np.ones((2, 1, 40, 3), np.float32)
    read = trajectories.read(saved(tmp_path, tokens=np.array([b"aa", b"bb"]), poses=poses, interval_s=np.array([0.1])))
    assert read.tokens == ("aa", "bb")
    assert read.poses.dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": None}, "no array tokens; it holds interval_s, poses"),
        ({"tokens": np.array(["aa", "aa"])}, "more than once: aa"),
        ({"tokens": np.array(["aa", "bb", "cc"])}, "3 tokens but poses of 2 scenes"),
        ({"tokens": np.arange(2)}, "must be a list of text"),
        ({"tokens": np.array(["aa", "bb"], dtype=object)}, "plain numbers or text"),
        ({"tokens": np.array(["ä".encode(), b"bb"])}, "ASCII text"),
        ({"poses": np.ones((2, 8, 3))}, r"\(scenes, trajectories, times, 3"),
        ({"poses": np.ones((2, 1, 8, 2))}, r"got shape \(2, 1, 8, 2\)"),
        ({"poses": np.ones((2, 0, 8, 3))}, "got shape"),
        ({"poses": np.ones((2, 1, 8, 3), int)}, "floating-point"),
        ({"poses": np.ones((2, 1, 7, 3))}, "7 poses of 0.5 s reach 3.5 s"),
        ({"poses": np.array([[[[np.nan] * 3] * 8], [[[0.0] * 3] * 8]])}, "NaN or infinity: aa"),
        ({"poses": np.full((2, 1, 8, 3), 5e5)}, "2 scene.s. are more than 1000 m away"),
        ({"interval_s": np.float64(0.3)}, "does not divide"),
        ({"interval_s": np.float64(-0.5)}, "at least 0.001 s"),
        ({"interval_s": np.float64(np.nan)}, "at least 0.001 s"),
        ({"interval_s": np.array([0.5, 0.5])}, "one number"),
        ({"interval_s": np.array("half")}, "one number"),
    ],
)
def test_wrong_files(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = saved(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as raised:
        trajectories.read(path)
    assert re.search(re.escape(str(path)), str(raised.value))


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        trajectories.read(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="not an npz file"):
        trajectories.read(tmp_path / "text.npz")
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(DataError, match=r"not an npz file.*it is an npy array"):
        trajectories.read(tmp_path / "single.npy")
    whole = saved(tmp_path).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        trajectories.read(tmp_path / "cut.npz")


def corrupt_deflate(path: Path) -> None:
    np.savez_compressed(path, **arrays())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("poses.npy").header_offset + 30 + len("poses.npy") + 20
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)


def unknown_method(path: Path) -> None:
    np.savez(path, **arrays())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + offset : at + offset + 2] = (97).to_bytes(2, "little")
    path.write_bytes(content)


def encrypted(path: Path) -> None:
    np.savez(path, **arrays())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + offset] |= 1
    path.write_bytes(content)


def enormous(path: Path) -> None:
    header = io.BytesIO()
    shape = (1 << 30, 8, 8, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in arrays().items():
            member = io.BytesIO()
            np.save(member, value)
            archive.writestr(f"{name}.npy", header.getvalue() if name == "poses" else member.getvalue())


def torn_header(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': ('<f8'\n")


@pytest.mark.parametrize("damage", [corrupt_deflate, unknown_method, encrypted, enormous, torn_header])
def test_damaged_archives_are_named_without_advice_to_unpickle(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "t.npz"
    damage(path)
    with pytest.raises(DataError, match=r"is damaged or not an npz file") as raised:
        trajectories.read(path)
    assert str(path) in str(raised.value) and "ZipInfo" not in str(raised.value) and "\n" not in str(raised.value)


def test_python_objects_are_refused_without_advice_to_unpickle(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="plain numbers or text") as raised:
        trajectories.read(saved(tmp_path, tokens=np.array(["aa", "bb"], dtype=object)))
    assert "pickle" not in str(raised.value)


def turning(times: int, first: int = 1) -> np.ndarray:
    """(2, 1, times, 3) a left turn of 20 m radius at 5 m/s, from pose `first` on; 0 is the current pose."""
    angle = np.arange(first, first + times) * 0.5 * 5.0 / 20.0
    poses = np.stack([20 * np.sin(angle), 20 * (1 - np.cos(angle)), angle], axis=-1)
    return np.broadcast_to(poses, (2, 1, times, 3)).copy()


def test_nine_poses_whose_first_is_the_current_one_are_refused() -> None:
    with pytest.raises(DataError, match=r"first pose of every trajectory that moves is zero.*poses\[:, :, 1:\]"):
        Trajectories(("a", "b"), turning(9, first=0), 0.5)
    standing = turning(9)
    standing[0] = 0.0
    assert Trajectories(("a", "b"), standing, 0.5).doubts == ()
    assert Trajectories(("a", "b"), np.zeros((2, 1, 9, 3)), 0.5).doubts == ()


def test_eight_poses_whose_first_is_the_current_one_are_questioned() -> None:
    assert Trajectories(("a", "b"), turning(8), 0.5).doubts == ()
    (doubt,) = Trajectories(("a", "b"), turning(8, first=0), 0.5).doubts
    assert "is zero, as the current pose is? If so, leave it out" in doubt
    late = turning(8, first=0)
    late[1, :, 0, 0] = 1e-3
    assert Trajectories(("a", "b"), late, 0.5).doubts == ()


def test_headings_in_degrees_are_refused() -> None:
    poses = turning(8)
    poses[..., 2] = np.rad2deg(poses[..., 2])
    with pytest.raises(DataError, match=r"headings look like degrees.*give radians"):
        Trajectories(("a", "b"), poses, 0.5)
    poses[..., 2] = 0.0  # headings that are wrong in every unit are scored as they are
    Trajectories(("a", "b"), poses, 0.5)
    backwards = turning(8)
    backwards[..., 2] += np.pi
    Trajectories(("a", "b"), backwards, 0.5)

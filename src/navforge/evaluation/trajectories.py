"""Trajectories to score, from anyone: a plain npz file, checked before anything is computed.

Arrays of the file: `tokens` (S,) text, `poses` (S, N, T, 3) x m, y m, heading rad in the ego rear-axle frame of each
token's current pose, the current pose itself left out, and `interval_s`, the time between poses in seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navforge.core.errors import DataError
from navforge.core.files import atomic_path, fingerprint
from navforge.core.outside.arrays import read_npz
from navforge.geometry.columns import Pose
from navforge.geometry.se2 import wrap_angle
from navforge.simulation.plans import HORIZON_S, horizon_interval

REACH_M = 1_000.0
"""No plan of a few seconds leaves this circle; poses beyond it are in another frame."""
_MOVES_M = 2.0
"""A trajectory that ends farther away moves."""
_STEP_M = 0.5
"""Poses that are farther apart say in which direction the car drives."""
_RAD_OFF, _DEGREES_OFF = 0.3, 0.1
"""Median angle, rad, between heading and direction of travel: too large in rad, small in degrees."""
_CURRENT_POSE = "the first pose of every trajectory that moves is zero, as the current pose is"
_NAMES = ("tokens", "poses", "interval_s")


@dataclass(frozen=True)
class Trajectories:
    """N trajectories for each of S scenes, checked."""

    tokens: tuple[str, ...]
    poses: NDArray[np.float64]
    """(S, N, T, 3) ego frame."""
    interval_s: float

    def __post_init__(self) -> None:
        if self.poses.ndim != 4 or self.poses.shape[3] != 3 or 0 in self.poses.shape:
            raise DataError(
                f"poses must be (scenes, trajectories, times, 3: x, y, heading), got shape {self.poses.shape}"
            )
        if len(self.tokens) != len(self.poses):
            raise DataError(f"{len(self.tokens)} tokens but poses of {len(self.poses)} scenes; give one row per token")
        repeated = [token for token, count in Counter(self.tokens).items() if count > 1]
        if repeated:
            raise DataError(f"{len(repeated)} token(s) occur more than once: {listing(repeated)}")
        interval_s = horizon_interval(self.interval_s, self.poses.shape[2])
        _check_values(self.tokens, self.poses)
        _check_units(self.poses)
        if self.poses.shape[2] > round(HORIZON_S / interval_s) and _starts_now(self.poses):
            raise DataError(f"{_CURRENT_POSE}; leave it out: poses[:, :, 1:]")

    @property
    def per_scene(self) -> int:
        """N, trajectories per scene."""
        return self.poses.shape[1]

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a trajectory may be but hardly is, in sentences."""
        return (f"{_CURRENT_POSE}? If so, leave it out and append the pose at 4 s",) if _starts_now(self.poses) else ()

    @property
    def fingerprint(self) -> str:
        """Hash of tokens, poses and interval."""
        return fingerprint(list(self.tokens), self.poses, self.interval_s)

    def only(self, tokens: set[str]) -> Trajectories:
        """Those of the given scenes.

        Raises:
            DataError: there is none.
        """
        rows = [row for row, token in enumerate(self.tokens) if token in tokens]
        if not rows:
            raise DataError(f"none of the {len(self.tokens)} scenes with trajectories can be scored")
        return Trajectories(tuple(self.tokens[row] for row in rows), self.poses[rows], self.interval_s)

    @classmethod
    def make(cls, tokens: ArrayLike, poses: ArrayLike, interval_s: float) -> Trajectories:
        """Check and convert plain arrays."""
        names = np.asarray(tokens)
        if names.ndim != 1 or names.dtype.kind not in "US":
            raise DataError(f"tokens must be a list of text, got {names.dtype} of shape {names.shape}")
        values = np.asarray(poses)
        if values.dtype.kind != "f":
            raise DataError(f"poses must be floating-point numbers, got {values.dtype}")
        try:
            text = np.char.decode(names, "ascii") if names.dtype.kind == "S" else names
        except UnicodeDecodeError as error:
            raise DataError(f"tokens must be ASCII text: {error}") from error
        return cls(tuple(str(name) for name in text), values.astype(np.float64), float(interval_s))


def read(path: Path | str) -> Trajectories:
    """Read and check a trajectory file.

    Raises:
        DataError: not an npz file, an array missing, of the wrong type or shape, or values no trajectory has.
    """
    arrays = read_npz(path, "trajectories", _NAMES, remedy="write it with numpy.savez(tokens=, poses=, interval_s=)")
    tokens, poses, interval = (arrays[name] for name in _NAMES)
    if interval.size != 1 or interval.dtype.kind not in "fiu":
        raise DataError(f"{path}: interval_s must be one number, got {interval.dtype} of shape {interval.shape}")
    try:
        return Trajectories.make(tokens, poses, float(interval.reshape(())))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def write(path: Path | str, trajectories: Trajectories) -> None:
    """Write the file `read` reads, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            tokens=np.array(trajectories.tokens),
            poses=trajectories.poses,
            interval_s=np.float64(trajectories.interval_s),
        )


def listing(names: list[str], most: int = 8) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _check_values(tokens: tuple[str, ...], poses: NDArray[np.float64]) -> None:
    undefined = [token for token, scene in zip(tokens, poses, strict=True) if not np.isfinite(scene).all()]
    if undefined:
        raise DataError(f"poses of {len(undefined)} scene(s) hold NaN or infinity: {listing(undefined)}")
    far = [token for token, scene in zip(tokens, poses, strict=True) if np.abs(scene[..., :2]).max() > REACH_M]
    if far:
        raise DataError(
            f"poses of {len(far)} scene(s) are more than {REACH_M:g} m away: {listing(far)}; "
            "poses are relative to the current rear-axle pose of each scene, not in map coordinates"
        )


def _starts_now(poses: NDArray[np.float64]) -> bool:
    """Whether every trajectory that moves begins with the current pose, which is none of its poses."""
    moving = np.hypot(*poses[..., -1, : Pose.HEADING].reshape(-1, 2).T) > _MOVES_M
    first = np.abs(poses[..., 0, :]).reshape(-1, len(Pose)).max(axis=1)
    return bool(moving.any() and (first[moving] < 1e-6).all())


def _check_units(poses: NDArray[np.float64]) -> None:
    """Raise DataError where headings follow the direction of travel in degrees, but not in radians."""
    steps = np.diff(poses[..., : Pose.HEADING], axis=-2)
    long = np.hypot(steps[..., 0], steps[..., 1]) > _STEP_M
    if not long.any():
        return
    headings = 0.5 * (poses[..., 1:, Pose.HEADING] + poses[..., :-1, Pose.HEADING])[long]
    direction = np.arctan2(steps[..., 1], steps[..., 0])[long]
    off = np.median(np.abs(wrap_angle(headings - direction)))
    off_in_degrees = np.median(np.abs(wrap_angle(np.deg2rad(headings) - direction)))
    if off > _RAD_OFF and off_in_degrees < _DEGREES_OFF:
        raise DataError(
            f"headings look like degrees: as radians they are {off:.2f} rad off the direction of travel (median), as "
            f"degrees {off_in_degrees:.2f} rad; give radians"
        )

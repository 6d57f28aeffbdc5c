"""OpenScene logs: one pickle per log holding a list of 2 Hz frames, read lazily into typed frames.

A key is looked at when it is asked for; one that is missing or malformed, or holds NaN or infinity, raises `DataError`
naming it, the frame and the file. Boxes and velocities of objects alone may hold NaN: `caching` refuses those it uses.
Values agree with the NAVSIM devkit to the bit, float32 ego dynamics included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.outside.files import shown
from navforge.data import pickles
from navforge.data.names import check_name
from navforge.maps.schema import LOCATION_ALIASES

_T = TypeVar("_T")

FRAME_INTERVAL_S = 0.5
"""Nominal time between frames; the time stamps say the true one."""

CAMERAS = ("CAM_F0", "CAM_L0", "CAM_L1", "CAM_L2", "CAM_R0", "CAM_R1", "CAM_R2", "CAM_B0")
"""Camera names of OpenScene: F front, L left, R right (0 foremost), B back."""


UNANNOTATED = (
    "no annotations, as in logs of the private test set: the server of the benchmark scores plans for it; it cannot be "
    "cached or scored here"
)


class LogBox(IntEnum):
    """Columns of annotated boxes (object, 7): box centre in the ego frame, extent, heading relative to the ego."""

    X = 0
    Y = 1
    Z = 2
    LENGTH = 3
    WIDTH = 4
    HEIGHT = 5
    HEADING = 6


@dataclass(frozen=True, slots=True)
class Annotations:
    """Objects of one frame, in log order."""

    boxes: NDArray[np.floating[Any]]
    """(O, 7) columns `LogBox`, m and rad; the heading is not wrapped."""
    names: tuple[str, ...]
    """(O,) class names: vehicle, pedestrian, bicycle, traffic_cone, barrier, czone_sign, generic_object."""
    velocity: NDArray[np.floating[Any]]
    """(O, 3) m/s, ego frame."""
    instance_tokens: tuple[str, ...]
    """(O,) one per object and frame."""
    track_tokens: tuple[str, ...]
    """(O,) one per object over the log."""


@dataclass(frozen=True, slots=True)
class TrafficLights:
    """Lane connectors with a known light in one frame, in log order."""

    connector: NDArray[np.int64]
    """(L,) feature id of the lane connector."""
    is_red: NDArray[np.bool_]
    """(L,) red, or else green."""


@dataclass(frozen=True, slots=True)
class CameraParameters:
    """One camera of one frame. The camera frame has x right, y down, z forward."""

    name: str
    path: str
    """Image file, relative to the split's sensor folder."""
    intrinsics: NDArray[np.float64]
    """(3, 3) pinhole matrix, pixels."""
    distortion: NDArray[np.float64]
    """(D,) OpenCV coefficients k1, k2, p1, p2, k3; all zero or empty: none."""
    sensor2lidar_rotation: NDArray[np.float64]
    """(3, 3) camera axes in the LiDAR frame."""
    sensor2lidar_translation: NDArray[np.float64]
    """(3,) camera centre in the LiDAR frame, m."""


@dataclass(frozen=True)
class Frame:
    """One 2 Hz frame of a log: a typed, lazy view of its dictionary."""

    raw: Mapping[str, Any] = field(repr=False)
    source: str
    """The log's file, for error messages."""
    index: int
    """Position in the log's list."""

    @property
    def token(self) -> str:
        """16 hexadecimal digits."""
        return check_name(str(self._value("token")), f"{self._where()}: the token")

    @property
    def timestamp_us(self) -> int:
        """Time in microseconds."""
        return self._converted("timestamp", self._value("timestamp"), int)

    @property
    def log_name(self) -> str:
        """Name of the log the frame belongs to."""
        return check_name(str(self._value("log_name")), f"{self._where()}: the log name")

    @property
    def scene_token(self) -> str:
        """Token of nuPlan's own scene the frame was cut from; unrelated to a NAVSIM scene's token."""
        return str(self._value("scene_token"))

    @property
    def map_location(self) -> str:
        """Name of the map, aliases resolved."""
        name = str(self._value("map_location"))
        return LOCATION_ALIASES.get(name, name)

    @property
    def roadblock_ids(self) -> tuple[str, ...]:
        """Route as logged: ids of roadblocks and roadblock connectors, in driving order; empty without a route."""
        return self._converted("roadblock_ids", self._value("roadblock_ids"), _texts)

    @cached_property
    def pose(self) -> NDArray[np.float64]:
        """(3,) rear axle x, y, heading in the global frame."""
        translation = self._array("ego2global_translation", (3,))
        yaw = quaternion_yaw(self._array("ego2global_rotation", (4,)))
        return np.array([translation[0], translation[1], yaw], np.float64)

    @property
    def ego2global(self) -> NDArray[np.float64]:
        """(4, 4) pose of the ego frame in the global frame, all six degrees of freedom."""
        return rigid(self._array("ego2global_rotation", (4,)), self._array("ego2global_translation", (3,)))

    @property
    def lidar2ego(self) -> NDArray[np.float64]:
        """(4, 4) pose of the merged LiDAR's frame in the ego frame."""
        return rigid(self._array("lidar2ego_rotation", (4,)), self._array("lidar2ego_translation", (3,)))

    @cached_property
    def velocity(self) -> NDArray[np.float32]:
        """(2,) m/s at the rear axle, ego frame; float32 as in the devkit."""
        return self._array("ego_dynamic_state", (4,))[:2].astype(np.float32)

    @cached_property
    def acceleration(self) -> NDArray[np.float32]:
        """(2,) m/s2 at the rear axle, ego frame; float32 as in the devkit."""
        return self._array("ego_dynamic_state", (4,))[2:].astype(np.float32)

    @cached_property
    def driving_command(self) -> NDArray[np.int64]:
        """(4,) one-hot `geometry.columns.Command`."""
        return self._array("driving_command", (4,)).astype(np.int64)

    @cached_property
    def traffic_lights(self) -> TrafficLights:
        """Known lights of the frame."""
        return self._converted("traffic_lights", self._value("traffic_lights"), _lights)

    @property
    def annotated(self) -> bool:
        """Whether the frame has annotations at all; logs of the private test set have none."""
        return bool(self.raw.get("anns"))

    @cached_property
    def annotations(self) -> Annotations:
        """Annotated objects."""
        if not self.annotated:
            raise DataError(f"{self._where()}: {UNANNOTATED}")
        anns = self._value("anns")

        def column(key: str, convert: Callable[[Any], _T]) -> _T:
            return self._converted(f"anns.{key}", self._within(anns, "anns", key), convert)

        annotations = Annotations(
            boxes=column("gt_boxes", lambda value: _rows(value, 7)),
            names=column("gt_names", _texts),
            velocity=column("gt_velocity_3d", lambda value: _rows(value, 3)),
            instance_tokens=column("instance_tokens", _texts),
            track_tokens=column("track_tokens", _texts),
        )
        lengths = {len(getattr(annotations, name)) for name in Annotations.__dataclass_fields__}
        if len(lengths) > 1:
            raise DataError(f"{self._where()}: annotation arrays differ in length: {sorted(lengths)}")
        return annotations

    @cached_property
    def cameras(self) -> dict[str, CameraParameters]:
        """Cameras by name, in log order."""
        items = self._converted("cams", self._value("cams"), lambda cameras: list(cameras.items()))
        return {str(name): self._camera(str(name), values) for name, values in items}

    @property
    def lidar_path(self) -> str | None:
        """Merged LiDAR file, relative to the split's sensor folder; None where the frame has none."""
        path = self._value("lidar_path")
        return None if path is None else str(path)

    def _camera(self, name: str, values: Mapping[str, Any]) -> CameraParameters:
        def array(key: str, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
            return self._shaped(self._within(values, f"cams.{name}", key), f"cams.{name}.{key}", shape)

        return CameraParameters(
            name=name,
            path=str(self._within(values, f"cams.{name}", "data_path")),
            intrinsics=array("cam_intrinsic", (3, 3)),
            distortion=array("distortion", None).reshape(-1),
            sensor2lidar_rotation=array("sensor2lidar_rotation", (3, 3)),
            sensor2lidar_translation=array("sensor2lidar_translation", (3,)),
        )

    def _where(self) -> str:
        return f"{self.source}, frame {self.index}"

    def _value(self, key: str) -> Any:
        return self._within(self.raw, "", key)

    def _within(self, values: Mapping[str, Any], group: str, key: str) -> Any:
        try:
            return values[key]
        except (KeyError, TypeError) as error:
            name = f"{group}.{key}" if group else key
            raise DataError(f"{self._where()}: missing key {name!r}") from error

    def _array(self, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return self._shaped(self._value(key), key, shape)

    def _shaped(self, value: Any, key: str, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
        array = self._converted(key, value, lambda numbers: np.asarray(numbers, np.float64))
        if shape is not None and array.shape != shape:
            raise DataError(f"{self._where()}: {key!r} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            raise DataError(f"{self._where()}: {key!r} holds NaN or infinity")
        return array

    def _converted(self, key: str, value: Any, convert: Callable[[Any], _T]) -> _T:
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DataError(f"{self._where()}: {key!r} is malformed: {str(error)[:200]}") from error


@dataclass(frozen=True)
class Log:
    """One driving log: its frames in time order as stored."""

    name: str
    path: Path
    frames: tuple[Frame, ...] = field(repr=False)


def read_log(path: Path | str) -> Log:
    """Read one log pickle; the log's name is the file's stem.

    Raises:
        DataError: unreadable, refused by the restricted unpickler, or not a list of frame dictionaries.
    """
    path = Path(path)
    value = pickles.load(path)
    if not isinstance(value, Sequence) or not all(isinstance(frame, Mapping) for frame in value):
        raise DataError(f"{path}: expected a list of frame dictionaries, found {shown(value)}")
    check_name(path.stem, f"{path}: the log's name")
    frames = tuple(Frame(raw, str(path), index) for index, raw in enumerate(value))
    return Log(path.stem, path, frames)


def quaternion_yaw(quaternion: NDArray[np.float64]) -> float:
    """Heading of a quaternion w, x, y, z as NAVSIM computes it (pyquaternion's `yaw_pitch_roll`).

    atan2(2 (w z - x y), 1 - 2 (y^2 + z^2)); its sign of x y differs from the usual formula's, which matters by up to
    1e-4 rad on slopes.
    """
    q = quaternion
    square = np.dot(q, q)
    if abs(1.0 - square) >= 1e-14 and square > 0:
        q = q / np.sqrt(square)
    w, x, y, z = q
    return math.atan2(2 * (w * z - x * y), 1 - 2 * (y**2 + z**2))


def rigid(quaternion: NDArray[np.float64], translation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) transform of a quaternion w, x, y, z (normalised here) and a translation."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def _rows(value: Any, width: int) -> NDArray[np.floating[Any]]:
    array = np.asarray(value)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    return array.reshape(-1, width)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str | bytes):
        raise TypeError("expected a list of texts, found one text")
    return tuple(map(str, value))


def _lights(value: Any) -> TrafficLights:
    pairs = [(int(connector), bool(red)) for connector, red in value]
    return TrafficLights(
        connector=np.array([connector for connector, _ in pairs], np.int64),
        is_red=np.array([red for _, red in pairs], np.bool_),
    )

"""The stored form of an example: one run of bytes per part, the same whether it comes from raw logs or from a store.

`to_stored` makes it, `from_stored` turns it into the arrays a planner sees. Both paths of reading go through both, so
a planner sees the same bits with and without a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from navforge.inputs.input_spec import (
    HUMAN_POSE_COUNT,
    HUMAN_POSES,
    LIDAR,
    PANORAMA,
    STATUS,
    STATUS_HISTORY,
    InputSpec,
)
from navforge.inputs.jpeg import Buffer, decode, encode
from navforge.models.contract import AGENTS, BEV_SEMANTICS, STATUS_SIZE
from navforge.models.perception import BEV_SHAPE, BOX_COLUMNS, MOST_AGENTS

AGENT_LABELS = "agent_labels"

Arrays = dict[str, NDArray[Any]]

_CODEC = pa.Codec("zstd", compression_level=1)
"""For parts that are mostly empty: a LiDAR histogram or a picture of the ground shrinks to a tenth."""


def to_stored(arrays: Mapping[str, NDArray[Any]], spec: InputSpec) -> dict[str, bytes]:
    """Bytes of each part.

    Args:
        arrays: `status` (8,) float32; as wanted `status_history` (K, 8) float32, `panorama` (3, H, W) uint8, `lidar`
            (C, R, C) uint8 counts, `human_poses` (8, 3) float32, `agents` (30, 5) float32 with `agent_labels` (30,)
            bool, `bev_semantics` (128, 256) uint8.
        spec: which parts, and the quality of the panorama.
    """
    stored = {STATUS: arrays[STATUS].tobytes()}
    if spec.status_frames > 1:
        stored[STATUS_HISTORY] = arrays[STATUS_HISTORY].tobytes()
    if spec.panorama is not None:
        image = arrays[PANORAMA]
        quality = spec.panorama.quality
        exact = quality is None
        stored[PANORAMA] = image.tobytes() if exact else encode(_below_each_other(image), quality)
    if spec.lidar is not None:
        stored[LIDAR] = _CODEC.compress(arrays[LIDAR].tobytes(), asbytes=True)
    for name in spec.targets:
        stored[name] = arrays[name].tobytes()
    if AGENTS in spec.targets:
        stored[AGENTS] += arrays[AGENT_LABELS].tobytes()
    if BEV_SEMANTICS in spec.targets:
        stored[BEV_SEMANTICS] = _CODEC.compress(stored[BEV_SEMANTICS], asbytes=True)
    return stored


def from_stored(stored: Mapping[str, Buffer], spec: InputSpec) -> Arrays:
    """Arrays of each part as a planner takes them; they own their memory.

    Returns:
        `status`, `status_history`, `panorama`, `human_poses`, `agents`, `agent_labels` and `bev_semantics` as given to
        `to_stored` (the panorama as its JPEG shows it), `lidar` (C, R, C) float32 counts over the cap, in [0, 1].

    Raises:
        DataError: a panorama is not decodable.
        ValueError: a part has not the bytes its shape needs.
    """
    arrays: Arrays = {STATUS: _array(stored[STATUS], np.float32, (STATUS_SIZE,))}
    if spec.status_frames > 1:
        arrays[STATUS_HISTORY] = _array(stored[STATUS_HISTORY], np.float32, (spec.status_frames, STATUS_SIZE))
    if spec.panorama is not None:
        arrays[PANORAMA] = _panorama(stored[PANORAMA], spec.panorama.shape, exact=spec.panorama.quality is None)
    if spec.lidar is not None:
        levels = (np.arange(spec.lidar.cap + 1) / spec.lidar.cap).astype(np.float32)
        arrays[LIDAR] = levels[_unpack(stored[LIDAR], spec.lidar.shape)]
    if HUMAN_POSES in spec.targets:
        arrays[HUMAN_POSES] = _array(stored[HUMAN_POSES], np.float32, (HUMAN_POSE_COUNT, 3))
    if AGENTS in spec.targets:
        boxes = memoryview(stored[AGENTS])
        size = MOST_AGENTS * BOX_COLUMNS * np.dtype(np.float32).itemsize
        arrays[AGENTS] = _array(boxes[:size], np.float32, (MOST_AGENTS, BOX_COLUMNS))
        arrays[AGENT_LABELS] = _array(boxes[size:], np.bool_, (MOST_AGENTS,))
    if BEV_SEMANTICS in spec.targets:
        arrays[BEV_SEMANTICS] = _unpack(stored[BEV_SEMANTICS], BEV_SHAPE)
    return arrays


def _array(content: Buffer, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.frombuffer(content, dtype).reshape(shape).copy()


def _unpack(content: Buffer, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    unpacked = _CODEC.decompress(content, decompressed_size=int(np.prod(shape)), asbytes=True)
    return np.frombuffer(unpacked, np.uint8).reshape(shape).copy()


def _below_each_other(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(3, H, W) or (V, 3, H, W) as one picture (V H, W, 3)."""
    pixels = np.moveaxis(image, -3, -1)
    return np.ascontiguousarray(pixels.reshape(-1, *pixels.shape[-2:]))


def _panorama(content: Buffer, shape: tuple[int, ...], *, exact: bool) -> NDArray[np.uint8]:
    if exact:
        return _array(content, np.uint8, shape)
    pixels = decode(content)
    *several, _, height, width = shape
    expected = (int(np.prod(several, dtype=int)) * height, width, 3)
    if pixels.shape != expected:
        raise ValueError(f"the panorama has shape {pixels.shape}, expected {expected}")
    return np.ascontiguousarray(np.moveaxis(pixels.reshape(*several, height, width, 3), -1, -3))

"""Scoring of a batch of scenes on a GPU: a chain of kernels over all proposals, nothing copied to the host in between.

What the chain needs of a GPU is `Device`; `TorchDevice` is torch's, and tests run the same chain on numba's simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.cuda import CudaKernel, Packed, join, pack
from navforge.geometry.lanes import WIDTH
from navforge.metric_cache.devkit import Devkit
from navforge.scoring.against_reference import Terms
from navforge.scoring.batch.arrays import BatchArrays, Field, Layout, arrays_in, scene_of
from navforge.scoring.batch.scenes import SceneBatch
from navforge.scoring.kernels import cuda as kernels_cuda
from navforge.scoring.kernels.comfort import SERIES_ROWS
from navforge.scoring.kernels.cuda import Chunk, Raw, Starts
from navforge.scoring.kernels.lookup import SEEN_ROWS
from navforge.scoring.kernels.motion import MOTION_ROWS
from navforge.scoring.kernels.traffic import OUTCOME_ROWS
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import TTC_LAST_STEP
from navforge.scoring.protocols import Protocol as ScoringProtocol
from navforge.simulation.interpolation import Sampling
from navforge.simulation.rows import START_SIZE, STATE_ROWS, WORK_ROWS, WORK_STEPS
from navforge.simulation.tracker import STEPS, speed_factors

Array = Any
"""An array on a device."""

CHUNK = 1 << 18
"""Proposals in work space at a time, 2.5 GB."""
BOUND_ROWS = 4

BEGIN = CudaKernel(kernels_cuda.begin)
TAKE_KNOTS = CudaKernel(kernels_cuda.take_knots)
SIMULATE = CudaKernel(kernels_cuda.simulate)
LOOK = CudaKernel(kernels_cuda.look)
JUDGE_COMFORT = CudaKernel(kernels_cuda.judge_comfort)
JUDGE_TRAFFIC = CudaKernel(kernels_cuda.judge_traffic)
JUDGE_LIGHTS = CudaKernel(kernels_cuda.judge_lights)
START_ALONG = CudaKernel(kernels_cuda.start_along)
JUDGE_PATH = CudaKernel(kernels_cuda.judge_path)
KERNELS = (BEGIN, TAKE_KNOTS, SIMULATE, LOOK, JUDGE_COMFORT, JUDGE_TRAFFIC, JUDGE_LIGHTS, START_ALONG, JUDGE_PATH)


class Device(Protocol):
    """What the chain needs of a GPU."""

    def upload(self, array: NDArray[Any]) -> Array:
        """A copy of an array on the device."""
        ...

    def view(self, memory: Array, field: Field) -> Array:
        """An array that lies in uploaded memory."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: type) -> Array:
        """A new array, not filled."""
        ...

    def pack(self, *arguments: Any) -> Any:
        """Arguments made ready for `launch`, arrays of the device and numbers."""
        ...

    def launch(self, kernel: CudaKernel, threads: int, *arguments: Any) -> None:
        """Start a kernel on packed arguments."""
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """A batch of scenes on a device."""

    scenes: int
    history: int
    """Most rows of history of any scene."""
    packed: Any
    """The arrays as an argument of kernels."""
    factors: Array
    """`simulation.tracker.speed_factors`."""


def make_resident(device: Device, arrays: BatchArrays, layout: Layout, memory: NDArray[np.uint8]) -> Resident:
    """Upload a batch, given by its arrays on the host and the memory they lie in."""
    uploaded = device.upload(memory)
    on_device = arrays_in(layout, lambda field: device.view(uploaded, field))
    scenes = arrays.start.shape[1] - 1
    history = max(len(scene_of(arrays, s).comfort.history) for s in range(scenes))
    return Resident(scenes, history, device.pack(on_device), device.upload(speed_factors()))


def score_batch_on_device(
    device: Device,
    resident: Resident,
    devkit: Devkit,
    poses: Array,
    interval_s: float,
    *,
    shared: bool = False,
    chunk: int = CHUNK,
) -> tuple[Array, Array]:
    """Raw results of plans in every scene of a batch.

    Args:
        device: where everything is.
        resident: S scenes under the rules of `devkit`.
        devkit: release.
        poses: (S * N, T, 3) plans scene by scene, ego frame; (N, T, 3) if `shared`. Finite float64, C order.
        interval_s: time between poses.
        shared: whether all scenes have the same plans.
        chunk: proposals in work space at a time.

    Returns:
        (`Column`, S * N) results, (2, S * N) first step of an at-fault collision and of a TTC violation, or -1.
        Progress of a plan whose simulation overflows is NaN.
    """
    count, steps, _ = poses.shape
    scenes = resident.scenes
    per_scene = count if shared else count // scenes
    proposals = per_scene * scenes
    knots = device.empty((-(-count // WIDTH), 3, steps, WIDTH), np.float64)
    device.launch(TAKE_KNOTS, count, device.pack(poses, knots))
    sampling = Sampling(*(device.empty((scenes, STEPS), kind) for kind in (np.int64, np.float64, np.float64)))
    starts = Starts(device.empty((scenes, START_SIZE), np.float64), sampling, device.empty((scenes,), np.float64))
    device.launch(BEGIN, scenes, resident.packed, device.pack(steps, interval_s, starts))
    raw = Raw(
        device.empty((len(Column), proposals), np.float64),
        device.empty((2, proposals), np.int16),
        device.empty((proposals,), np.bool_),
    )
    for first in range(0, proposals, chunk):
        part = Chunk(
            first=first,
            size=min(chunk, proposals - first),
            per_scene=per_scene,
            shared=int(shared),
            is_v2=int(devkit is Devkit.V2),
            ttc_last_step=TTC_LAST_STEP[devkit],
        )
        _score_chunk(device, resident, part, starts, knots, raw)
    return raw.results, raw.events


def _score_chunk(device: Device, resident: Resident, chunk: Chunk, starts: Starts, knots: Array, raw: Raw) -> None:
    """Score the proposals of a chunk; see `kernels.cuda`."""

    def numbers(*shape: int) -> Array:
        return device.empty((*shape, chunk.size), np.float64)

    def each(kernel: CudaKernel, *arguments: Any) -> None:
        device.launch(kernel, chunk.size, resident.packed, device.pack(chunk, *arguments))

    states, motion = numbers(STATE_ROWS, STEPS), numbers(MOTION_ROWS, STEPS)
    work = numbers(WORK_ROWS, WORK_STEPS)
    device.launch(SIMULATE, chunk.size, device.pack(chunk, starts, knots, resident.factors, work, states, raw))
    del work
    seen = device.empty((SEEN_ROWS, chunk.size), np.int64)
    each(LOOK, states, motion, seen)
    each(JUDGE_COMFORT, states, numbers(SERIES_ROWS, resident.history + STEPS), raw)
    del states
    each(JUDGE_TRAFFIC, motion, seen, numbers(BOUND_ROWS), numbers(OUTCOME_ROWS), raw)
    each(JUDGE_LIGHTS, motion, raw)
    device.launch(START_ALONG, resident.scenes, resident.packed, device.pack(chunk, motion, starts))
    each(JUDGE_PATH, starts, motion, seen, numbers(STEPS), raw)


def score_batch_on_gpu(
    batch: SceneBatch, rules: ScoringProtocol, human_filter: bool | None, poses: Array, interval_s: float
) -> tuple[Array, Array, Terms]:
    """Raw results of trajectories (S, N, T, 3), a tensor on a GPU, and what they are compared with, on that GPU.

    Returns:
        (`Column`, S, N) results, (2, S, N) events, and `SceneBatch.terms`.
    """
    device = TorchDevice(poses.device)
    scenes, count, steps, _ = poses.shape
    resident = batch.resident.get(poses.device)
    if resident is None:
        resident = batch.resident[poses.device] = make_resident(device, batch.arrays, batch.layout, batch.memory)
    results, events = score_batch_on_device(
        device, resident, batch.devkit, poses.view(scenes * count, steps, 3), interval_s
    )
    key = poses.device, rules.name, human_filter
    terms = batch.resident.get(key)
    if terms is None:
        reference_m, forgiven = batch.terms(rules, human_filter)
        uploaded = {name: device.upload(column) for name, column in forgiven.items()}
        terms = batch.resident[key] = Terms(device.upload(reference_m), uploaded)
    return results.view(len(Column), scenes, count), events.view(2, scenes, count), terms


class TorchDevice:
    """A GPU through torch: its memory, its current stream."""

    def __init__(self, device: Any) -> None:
        import torch  # noqa: PLC0415 (only where tensors are)

        self._torch = torch
        self.device = device

    def upload(self, array: NDArray[Any]) -> Array:
        """A tensor with a copy of an array."""
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def view(self, memory: Array, field: Field) -> Array:
        """A tensor over a part of uploaded memory."""
        dtype = getattr(self._torch, field.dtype.name)
        if not field.size:
            return self._torch.empty(field.shape, dtype=dtype, device=self.device)
        return memory[field.offset : field.offset + field.size].view(dtype).view(field.shape)

    def empty(self, shape: tuple[int, ...], dtype: type) -> Array:
        """A new tensor."""
        return self._torch.empty(shape, dtype=getattr(self._torch, np.dtype(dtype).name), device=self.device)

    def pack(self, *arguments: Any) -> Packed:
        """See `geometry.cuda.pack`."""
        return pack(*arguments)

    def launch(self, kernel: CudaKernel, threads: int, *arguments: Packed) -> None:
        """See `geometry.cuda.CudaKernel.launch`."""
        kernel.launch(threads, join(*arguments), self.device)

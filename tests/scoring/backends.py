"""The ways a batch of scenes is scored: on CPU threads, in numba's CUDA simulator, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from navforge.scoring.batch import cuda as batch_cuda
from navforge.scoring.batch.cpu import score_batch_on_cpu
from navforge.scoring.batch.scenes import SceneBatch
from tests.scoring.simulated import run_simulated

Raw = tuple[np.ndarray, np.ndarray]
"""Results (`Column`, S * N) and events (2, S * N)."""
Backend = Callable[[SceneBatch, np.ndarray, bool, Path], Raw]
"""Takes scenes, plans (S * N, T, 3) or (N, T, 3) shared by all scenes, whether they are shared, a scratch folder."""
INTERVAL_S = 0.1


def on_cpu(threads: int) -> Backend:
    def run(batch: SceneBatch, poses: np.ndarray, shared: bool, folder: Path) -> Raw:
        results, events = score_batch_on_cpu(
            batch.arrays, batch.devkit, poses, INTERVAL_S, shared=shared, threads=threads
        )
        return results.reshape(len(results), -1), events.reshape(2, -1)

    return run


def on_simulator(chunk: int) -> Backend:
    def run(batch: SceneBatch, poses: np.ndarray, shared: bool, folder: Path) -> Raw:
        given = {"arrays": batch.arrays, "layout": batch.layout, "memory": batch.memory, "devkit": batch.devkit}
        plans = {"poses": poses, "interval_s": INTERVAL_S, "shared": shared, "chunk": chunk}
        return run_simulated("score", {**given, **plans}, folder)

    return run


def on_gpu(batch: SceneBatch, poses: np.ndarray, shared: bool, folder: Path) -> Raw:
    import torch  # noqa: PLC0415

    device = batch_cuda.TorchDevice(torch.device("cuda", 0))
    resident = batch_cuda.make_resident(device, batch.arrays, batch.layout, batch.memory)
    results, events = batch_cuda.score_batch_on_device(
        device, resident, batch.devkit, device.upload(poses), INTERVAL_S, shared=shared
    )
    return results.cpu().numpy(), events.cpu().numpy()


def has_gpu() -> bool:
    import torch  # noqa: PLC0415

    return torch.cuda.is_available()


gpu = [pytest.mark.gpu, pytest.mark.skipif(not has_gpu(), reason="no CUDA device")]
BACKENDS = [
    pytest.param(on_cpu(1), id="cpu-1-thread"),
    pytest.param(on_cpu(3), id="cpu-threads"),
    pytest.param(on_simulator(batch_cuda.CHUNK), id="cuda-simulator"),
    pytest.param(on_simulator(4), id="cuda-simulator-in-chunks"),
    pytest.param(on_gpu, id="cuda", marks=gpu),
]

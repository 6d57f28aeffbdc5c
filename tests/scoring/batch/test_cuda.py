"""One parity test for every backend: CPU on one thread and on several, numba's CUDA simulator, a GPU if there is one.

Raw results must be equal bit for bit. The kernels also compile to exact PTX, for which no GPU is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge import scoring
from navforge.core.errors import NavforgeError
from navforge.geometry import cuda
from navforge.metric_cache.devkit import Devkit
from navforge.scoring.batch import cuda as batch_cuda
from navforge.scoring.batch.scenes import SceneBatch, prepare_batch
from navforge.scoring.engine import score_plans
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import protocol
from tests.scoring.backends import BACKENDS, INTERVAL_S, Backend, has_gpu, on_cpu
from tests.scoring.scenes import Sketch, random_plans, random_scene

PER_SCENE = 5


def batch_of(name: str) -> SceneBatch:
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng), Sketch().scene(), random_scene(rng)]
    return prepare_batch(scenes, name)


def plans_of(scenes: int) -> np.ndarray:
    plans = random_plans(np.random.default_rng(5), scenes * PER_SCENE)
    plans[7, :, :2] *= 1e250  # overflows
    plans[3] = 0.0
    plans[4, :, 2] += 1e4
    return plans


@pytest.mark.parametrize("name", ["epdms_v2", "pdms_v1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_same_bits(
    backend: Backend, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, poses = batch_of(name), plans_of(3)
    expected = on_cpu(1)(batch, poses, False, tmp_path)
    monkeypatch.setattr("navforge.scoring.batch.cpu.MAX_ITEM", 8)
    monkeypatch.setattr("navforge.scoring.batch.cpu.MIN_RUN", 1)
    found = backend(batch, poses, False, tmp_path)
    assert np.isnan(found[0][Column.PROGRESS]).nonzero()[0].tolist() == [7]
    for given, wanted in zip(found, expected, strict=True):
        assert given.dtype == wanted.dtype
        np.testing.assert_array_equal(given, wanted)
    engine = [
        score_plans(scene, poses[s * PER_SCENE : (s + 1) * PER_SCENE], INTERVAL_S, [name])[name]
        for s, scene in [(0, random_scene(np.random.default_rng(0)))]
    ]
    assert engine[0].collision_step.tolist() == found[1][0, :PER_SCENE].tolist()
    assert engine[0].ttc_step.tolist() == found[1][1, :PER_SCENE].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_plans_shared_by_scenes_are_those_given_to_each(backend: Backend, tmp_path: Path) -> None:
    batch, poses = batch_of("epdms_v2"), random_plans(np.random.default_rng(1), 3)
    shared = backend(batch, poses, True, tmp_path)
    each = on_cpu(1)(batch, np.concatenate([poses] * 3), False, tmp_path)
    for found, wanted in zip(shared, each, strict=True):
        np.testing.assert_array_equal(found, wanted)


def packed_launches() -> list[tuple[cuda.CudaKernel, cuda.Packed]]:
    """Every kernel with arguments as a GPU would get them."""
    launches = []

    class Recorder:
        def upload(self, array: np.ndarray) -> np.ndarray:
            return array

        def view(self, memory: np.ndarray, field: Any) -> np.ndarray:
            return memory[field.offset : field.offset + field.size].view(field.dtype).reshape(field.shape)

        def empty(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
            return np.empty(shape, dtype)

        def pack(self, *arguments: Any) -> cuda.Packed:
            return cuda.pack(*arguments)

        def launch(self, kernel: cuda.CudaKernel, threads: int, *arguments: cuda.Packed) -> None:
            launches.append((kernel, cuda.join(*arguments)))

    batch, device = batch_of("epdms_v2"), Recorder()
    resident = batch_cuda.make_resident(device, batch.arrays, batch.layout, batch.memory)
    batch_cuda.score_batch_on_device(device, resident, Devkit.V2, plans_of(3), INTERVAL_S)
    return launches


@pytest.mark.slow
def test_every_kernel_compiles_to_exact_ptx() -> None:
    try:
        cuda.compiler_version()
    except NavforgeError as error:
        pytest.skip(str(error))
    launches = packed_launches()
    assert {kernel for kernel, _ in launches} == set(batch_cuda.KERNELS)
    for kernel, arguments in launches:
        ptx = cuda.cached_ptx(kernel.function, arguments.kinds, (9, 0))  # refuses what is not exact
        cuda.check_parameters(ptx, arguments)
        assert ".target sm_90" in ptx.text


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["epdms_v2", "pdms_v1"])
def test_library_scores_on_a_gpu_are_those_on_the_cpu(name: str) -> None:
    import torch  # noqa: PLC0415

    rng = np.random.default_rng(4)
    scenes = [random_scene(rng) for _ in range(6)]
    plans = np.stack([random_plans(rng, 100) for _ in scenes])
    batch = prepare_batch(scenes, protocol(name))
    expected = scoring.score(batch, plans, name)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        found = scoring.score(batch, torch.from_numpy(plans).cuda().requires_grad_(), name)  # as a policy's plans do
    side.synchronize()
    for key, value in expected.values.items():
        assert found.values[key].is_cuda
        np.testing.assert_array_equal(found.values[key].cpu().numpy(), value)
    np.testing.assert_array_equal(found.score.cpu().numpy(), expected.score)

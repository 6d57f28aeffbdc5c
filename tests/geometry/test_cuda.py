"""CUDA kernels compile to exact PTX on machines without a GPU, and take the parameters that are packed for them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import cuda, types
from numba.cuda.cudadrv import nvvm

from navforge.core.errors import NavforgeError
from navforge.geometry import cuda as device
from navforge.geometry.compiled import kernel

HOPPER = (9, 0)


@pytest.fixture(autouse=True)
def compiler() -> None:
    try:
        device.compiler_version()
    except NavforgeError as error:
        pytest.skip(str(error))


class Inner(NamedTuple):
    numbers: Any
    table: Any


class Outer(NamedTuple):
    inner: Inner
    flags: Any


@kernel
def scaled(x, y):
    return x * y + 2.5


def sums_products(outer, count, factor, out):
    i = cuda.grid(1)
    if i < count and outer.flags[i]:
        out[i] = scaled(outer.inner.numbers[i], factor) + math.sqrt(outer.inner.table[i, 1]) / out[i]


def takes_sine(out):
    out[0] = math.sin(out[1])


def arguments() -> device.Packed:
    inner = Inner(np.ones(4), np.ones((4, 3)))
    return device.pack(Outer(inner, np.ones(4, dtype=np.bool_)), 4, 0.5, np.ones(4))


def test_products_and_sums_are_rounded_one_by_one() -> None:
    ptx = device.exact_ptx(sums_products, arguments().kinds, HOPPER)
    assert "mul.rn.f64" in ptx.text and "add.rn.f64" in ptx.text
    assert "div.rn.f64" in ptx.text and "sqrt.rn.f64" in ptx.text
    assert "fma." not in ptx.text
    assert ".target sm_90" in ptx.text


def test_contraction_is_refused_if_numba_loses_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_ir = nvvm.compile_ir
    monkeypatch.setattr(nvvm, "compile_ir", lambda ir, fma, **options: compile_ir(ir, **options))
    with pytest.raises(NavforgeError, match=r"sums_products holds the operation fma\.rn\.f64"):
        device.exact_ptx(sums_products, arguments().kinds, HOPPER)


def test_a_kernel_with_inexact_functions_is_refused() -> None:
    with pytest.raises(NavforgeError, match=r"takes_sine holds the operation fma\.rn\.f64"):
        device.exact_ptx(takes_sine, device.pack(np.ones(2)).kinds, HOPPER)


def test_as_many_parameters_are_packed_as_the_kernel_takes() -> None:
    packed = arguments()
    ptx = device.exact_ptx(sums_products, packed.kinds, HOPPER)
    device.check_parameters(ptx, packed)
    assert ptx.parameters == 7 + 9 + 7 + 1 + 1 + 7
    with pytest.raises(NavforgeError, match="takes 32 parameters, 31 were made"):
        device.check_parameters(ptx, packed._replace(values=packed.values[1:]))


def test_parameters_are_numbas_members_of_an_array() -> None:
    table = np.arange(12.0).reshape(4, 3)
    packed = device.pack(table, 7, 0.25)
    assert packed.values.tolist() == [0, 0, 12, 8, table.ctypes.data, 4, 3, 24, 8, 7, np.float64(0.25).view(np.int64)]
    assert packed.kinds == (types.Array(types.float64, 2, "C"), types.int64, types.float64)
    joined = device.join(packed, device.pack(1))
    assert joined.kinds == (*packed.kinds, types.int64) and joined.values[-1] == 1
    with pytest.raises(TypeError, match="integers"):
        device.pack(True)


def test_tensors_pack_like_arrays() -> None:
    import torch  # noqa: PLC0415 (slow to import)

    tensor = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
    assert device.pack(tensor).kinds == device.pack(tensor.numpy()).kinds
    assert device.pack(tensor).values.tolist() == device.pack(tensor.numpy()).values.tolist()
    assert device.pack(torch.ones(2, dtype=torch.bool)).kinds == device.pack(np.ones(2, dtype=np.bool_)).kinds


def test_ptx_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(device.config, "CACHE_DIR", str(tmp_path))
    first = device.cached_ptx(sums_products, arguments().kinds, HOPPER)
    monkeypatch.setattr(device, "exact_ptx", None)
    assert device.cached_ptx(sums_products, arguments().kinds, HOPPER) == first
    assert len(list(tmp_path.iterdir())) == 1

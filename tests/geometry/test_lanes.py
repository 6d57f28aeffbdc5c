"""Lanes must give every proposal the bits its own scalar computation gives."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

import navforge
from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import (
    ALIGNMENT,
    WIDTH,
    aligned,
    all_lanes,
    any_lane,
    bits,
    inverted,
    lane,
    lane_space,
    lanes_at,
    larger,
    load,
    select,
    smaller,
    store,
)
from navforge.geometry.trigonometry import nearest, sincos, tan_small, wrap

SOURCE = Path(navforge.__file__).parent


@kernel
def arithmetic(a, b):
    total = 0.0  # a plain number that becomes lanes in the loop
    for i in range(3):
        total += a * i
        total -= b / (i + 2)
    total *= 1.5
    total /= 3
    return a + b, a - b, a * b, a / b, 2 * a, a - 1.0, 1.0 / a, -a, total


@kernel
def functions(a, b):
    s, c = sincos(a)
    small = smaller(larger(a, -1.0), 1.0)
    return abs(a), math.sqrt(abs(a)), 1.0 * math.floor(b), smaller(a, b), larger(a, b), s, c, tan_small(small), wrap(b)


@kernel
def conditions(a, b):
    mixed = ((a < b) & (b > 0.0)) | inverted(a <= 0.5)
    return (
        select(a >= b, a, b),
        select(a == b, 1.0, 0.0),
        select(a != b, 1, b),
        select(mixed, -1.0, nearest(b)),
        select((a < 0.0) ^ (b < 0.0), a, 2.0),
        select(mixed & True, a, 3.0),
        select(select(a < 0.0, b > 0.0, True), a, b),
        select(any_lane(a < a), a, b),
        select(all_lanes(a == a), a, b),
    )


OUTPUTS = 9


@kernel
def scalar_driver(chosen, a, b, out):
    for n in range(a.shape[2]):
        results = functions(a[0, 0, n], b[0, 0, n])
        if chosen == 0:
            results = arithmetic(a[0, 0, n], b[0, 0, n])
        elif chosen == 2:
            results = conditions(a[0, 0, n], b[0, 0, n])
        for i in range(OUTPUTS):
            out[0, i, n] = results[i]


@kernel
def lanes_driver(chosen, a, b, out):
    for first in range(0, a.shape[2], WIDTH):
        n = lanes_at(first)
        results = functions(a[0, 0, n], b[0, 0, n])
        if chosen == 0:
            results = arithmetic(a[0, 0, n], b[0, 0, n])
        elif chosen == 2:
            results = conditions(a[0, 0, n], b[0, 0, n])
        for i in range(OUTPUTS):
            out[0, i, n] = results[i]


def numbers(rng: np.random.Generator, count: int) -> np.ndarray:
    values = rng.normal(0.0, 1.0, count) * 10.0 ** rng.integers(-3, 3, count)
    values[rng.random(count) < 0.05] = 0.5  # ties
    return values.reshape(1, 1, count)


@pytest.mark.parametrize("chosen", [0, 1, 2], ids=["arithmetic", "functions", "conditions"])
def test_lanes_equal_scalars_bit_by_bit(chosen: int) -> None:
    rng = np.random.default_rng(chosen)
    a, b = numbers(rng, 4096), numbers(rng, 4096)
    ours, plain = np.empty((1, OUTPUTS, 4096)), np.empty((1, OUTPUTS, 4096))
    lanes_driver(chosen, a, b, ours)
    scalar_driver(chosen, a, b, plain)
    np.testing.assert_array_equal(ours.view(np.int64), plain.view(np.int64))


def test_scalar_functions_run_in_plain_python() -> None:
    rng = np.random.default_rng(5)
    compiled: list[Any] = [arithmetic, functions, conditions]
    for a, b in rng.normal(0.0, 3.0, (50, 2)).tolist():
        for function in compiled:
            assert function.py_func(a, b) == function(a, b)
    assert (bits(True), bits(False), any_lane(True), all_lanes(False), lane(2.5, 7)) == (1, 0, True, False, 2.5)


@kernel
def masks(array, limit):
    a = array[0, 0, lanes_at(0)]
    below = a < limit
    return bits(below), any_lane(below), all_lanes(below), bits(inverted(below)), lane(a, 3), lane(below, 3)


@pytest.mark.parametrize("limit", [-1.0, 0.0, 2.5, 3.5, 7.0, 9.0, math.nan])
def test_bits(limit: float) -> None:
    array = np.array([5.0, 1.0, 7.0, 3.0, 0.0, 6.0, 2.0, 4.0]).reshape(1, 1, WIDTH)
    below = array[0, 0] < limit
    expected = sum(1 << n for n in range(WIDTH) if below[n])
    assert masks(array, limit) == (expected, below.any(), below.all(), 255 - expected, 3.0, below[3])


@kernel
def copy_lanes(source, target):
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            for first in range(0, source.shape[2], WIDTH):
                store(target, i, j, first, load(source, i, j, first))
                target[i, j, lanes_at(first)] += 1.0


def test_lanes_are_read_and_written_where_they_belong() -> None:
    source = np.random.default_rng(0).normal(size=(3, 5, 24))[:, :, :]
    target = np.zeros((3, 5, 24))
    copy_lanes(source, target)
    np.testing.assert_array_equal(target, source + 1.0)


def test_aligned_arrays_begin_at_a_line_of_the_cache() -> None:
    for count in (0, 1, 8, 13, 1000):
        array = aligned(count)
        assert (array.shape, array.dtype, array.ctypes.data % ALIGNMENT) == ((count,), np.float64, 0)
        array[:] = 1.0
    space = lane_space(3, 5)
    assert (space.shape, space.ctypes.data % ALIGNMENT, space.flags.c_contiguous) == ((3, 5, WIDTH), 0, True)


def test_the_stack_of_a_function_with_lanes_is_aligned() -> None:
    """What llvmlite and LLVM make of the wish; without it the simulation takes a quarter longer."""

    @njit  # cached code cannot be looked into
    def double(array):
        array[0, lanes_at(0)] = array[0, lanes_at(0)] * 2.0

    array = np.arange(8.0).reshape(1, 8)
    double(array)
    np.testing.assert_array_equal(array[0], 2.0 * np.arange(8))
    assert all(f"alignstack={ALIGNMENT}" in code for code in double.inspect_llvm().values())


@kernel
def loads(array):
    return lane(array[0, lanes_at(0)], 0)


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 16), np.float32), np.zeros((3, 32))[:, ::2], np.zeros((2, 3, 16))],
    ids=["float32", "strided", "an index too few"],
)
def test_refuses_what_is_not_eight_neighbours(array: np.ndarray) -> None:
    with pytest.raises(TypingError, match="C-contiguous float64"):
        loads(array)


def test_lanes_need_compiled_code() -> None:
    with pytest.raises(NotImplementedError, match="compiled code"):
        lanes_at(0)


PROGRAM = """
import numpy as np
from navforge.geometry.user import turn_all
array = np.arange(16.0).reshape(1, 1, 16)
turn_all(array)
print(*array[0, 0], sum(turn_all.stats.cache_hits.values()))
"""


def test_kernels_with_lanes_are_cached_across_processes(tmp_path: Path) -> None:
    package = tmp_path / "navforge"
    shutil.copytree(SOURCE / "geometry", package / "geometry", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "core").mkdir()
    for name in ("__init__.py", "code.py", "errors.py", "files.py"):
        shutil.copy(SOURCE / "core" / name, package / "core")
    (package / "__init__.py").write_text("")
    (package / "geometry" / "user.py").write_text(
        "from navforge.geometry.compiled import kernel\n"
        "from navforge.geometry.lanes import lanes_at, select\n"
        "from navforge.geometry.trigonometry import sincos\n"
        "@kernel\n"
        "def turn(x):\n"
        "    return select(x > 3.0, sincos(x)[0], x)\n"
        "@kernel\n"
        "def turn_all(array):\n"
        "    for first in range(0, array.shape[2], 8):\n"
        "        array[0, 0, lanes_at(first)] = turn(array[0, 0, lanes_at(first)])\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(tmp_path))
    environment.pop("NUMBA_CACHE_DIR", None)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout.split()
        for _ in range(2)
    ]
    x = np.arange(16.0)
    np.testing.assert_allclose([float(v) for v in outputs[0][:-1]], np.where(x > 3.0, np.sin(x), x), rtol=1e-15)
    assert outputs[0][:-1] == outputs[1][:-1]
    assert (outputs[0][-1], outputs[1][-1]) == ("0", "1"), "the second process reuses what the first compiled"

"""Accuracy in units of the last place, against arithmetic of 120 bits; lanes are compared in test_lanes.py."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from navforge.geometry.compiled import kernel
from navforge.geometry.trigonometry import nearest, sincos, tan_small, wrap


@kernel
def tabulate_sincos(x, s, c):
    for i in range(len(x)):
        s[i], c[i] = sincos(x[i])


@kernel
def tabulate_tan(x, t):
    for i in range(len(x)):
        t[i] = tan_small(x[i])


def worst_ulp(found: np.ndarray, exact: list[Any]) -> float:
    return max(
        float(abs(mpmath.mpf(float(value)) - truth) / math.ulp(float(truth)))
        for value, truth in zip(found, exact, strict=True)
    )


def arguments() -> np.ndarray:
    """Random angles of all sizes, and the doubles nearest to multiples of a quarter turn, where digits cancel."""
    rng = np.random.default_rng(0)
    multiples = np.arange(-6300, 6300, 7) * (math.pi / 2)
    return np.concatenate(
        [
            rng.uniform(-1e4, 1e4, 3000),
            rng.uniform(-4.0, 4.0, 4000),
            rng.normal(0.0, 1e-3, 300),
            10.0 ** rng.uniform(-300, -3, 100),
            multiples,
            np.nextafter(multiples, math.inf),
            [0.0, -0.0, math.pi / 4, -math.pi / 4, 3 * math.pi / 4],
        ]
    )


def test_sincos_within_two_ulp() -> None:
    x = arguments()
    s, c = np.empty_like(x), np.empty_like(x)
    tabulate_sincos(x, s, c)
    with mpmath.workprec(120):
        assert worst_ulp(s, [mpmath.sin(mpmath.mpf(float(v))) for v in x]) <= 2.0
        assert worst_ulp(c, [mpmath.cos(mpmath.mpf(float(v))) for v in x]) <= 2.0


def test_tan_within_two_ulp() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [rng.uniform(-1.1, 1.1, 6000), rng.normal(0.0, 1e-4, 300), [0.0, math.pi / 3, -math.pi / 3, 1.1]]
    )
    t = np.empty_like(x)
    tabulate_tan(x, t)
    with mpmath.workprec(120):
        assert worst_ulp(t, [mpmath.tan(mpmath.mpf(float(v))) for v in x]) <= 2.0


@pytest.mark.parametrize("function", [sincos, tan_small, wrap, nearest])
def test_plain_python_gives_the_same_bits(function: Any) -> None:
    rng = np.random.default_rng(2)
    for x in (float(v) for v in rng.uniform(-1.0, 1.0, 200) * rng.choice([1.0, 30.0], 200)):
        assert function.py_func(x) == function(x)


def test_nearest_rounds_ties_to_even() -> None:
    x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994, 1e15 + 0.5]
    assert [nearest(v) for v in x] == [np.rint(v) for v in x]


def test_wrap() -> None:
    inside = np.nextafter(math.pi, 0.0)
    assert [wrap(v) for v in (-math.pi, inside, 0.3)] == [-math.pi, inside, 0.3]
    assert wrap(math.pi) == -math.pi
    assert wrap(7.0) == pytest.approx(7.0 - 2.0 * math.pi, abs=1e-15)
    assert wrap(-1234.5) == pytest.approx(math.remainder(-1234.5, 2.0 * math.pi), abs=1e-12)

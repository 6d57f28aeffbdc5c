"""Savitzky-Golay filters as rows of weights, as the devkit's comfort metrics use them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@cache
def savgol_rows(
    count: int, window: int, polynomial: int, derivative: int = 0, step: float = 1.0
) -> tuple[NDArray[np.int32], Float]:
    """Filter as (start (count,), weights (count, window)): y[i] = weights[i] @ x[start[i] : start[i] + window].

    Equal to `scipy.signal.savgol_filter(x, window, polynomial, derivative, step)` with its default edges (a polynomial
    through the first or last window), even windows included: those are evaluated half a sample after sample i.
    A window longer than the data is cut to it, as the devkit does.
    """
    window = min(window, count)
    half = window // 2
    start = np.clip(np.arange(count) - (window - 1) // 2, 0, count - window)
    centre = np.arange(count, dtype=np.float64)
    interior = (np.arange(count) >= half) & (np.arange(count) < count - half)
    if window % 2 == 0:
        centre[interior] += 0.5
    weights = np.empty((count, window))
    for i in range(count):
        weights[i] = _weights(window, polynomial, derivative, centre[i] - start[i]) / step**derivative
    start_rows = start.astype(np.int32)
    start_rows.flags.writeable = False
    weights.flags.writeable = False
    return start_rows, weights


@cache
def savgol_matrix(count: int, window: int, polynomial: int, derivative: int = 0, step: float = 1.0) -> Float:
    """The same filter as a dense (count, count) matrix."""
    start, weights = savgol_rows(count, window, polynomial, derivative, step)
    matrix = np.zeros((count, count))
    for i in range(count):
        matrix[i, start[i] : start[i] + weights.shape[1]] = weights[i]
    matrix.flags.writeable = False
    return matrix


def _weights(window: int, polynomial: int, derivative: int, at: float) -> Float:
    """Weights of the derivative at position `at` of the polynomial fitted to samples at 0..window - 1."""
    scale = window / 2.0
    powers = ((np.arange(window) - at) / scale)[:, None] ** np.arange(polynomial + 1)
    q, r = np.linalg.qr(powers)
    coefficients = np.linalg.solve(r, q.T)
    return coefficients[derivative] * math.factorial(derivative) / scale**derivative

"""Which of several equally near features the official code picks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALL = 15


def first_in_quicksort(values: NDArray[np.float64]) -> int:
    """Index that numpy 1.23's quicksort puts first: a smallest value, but not always the first of equal ones.

    nuplan-devkit sorts features by distance with pandas' default, numpy's unstable quicksort, and takes the head of the
    result. Neighbouring roadblock connectors often share the nearest point, so the tie matters. The devkit pins numpy
    1.23 (median of three, insertion sort below 17 values), which gives one result on every machine; later numpy
    versions sort by another algorithm where the CPU has AVX-512. Only the leftmost partitions are followed here.

    Args:
        values: (N,) finite, N >= 1.
    """
    v = values.tolist()
    order = list(range(len(v)))
    left, right = 0, len(v) - 1
    while right - left > _SMALL:
        middle = left + (right - left) // 2
        for a, b in ((middle, left), (right, middle), (middle, left)):
            if v[order[a]] < v[order[b]]:
                order[a], order[b] = order[b], order[a]
        pivot = v[order[middle]]
        order[middle], order[right - 1] = order[right - 1], order[middle]
        i, j = left, right - 1
        while True:
            i = next(k for k in range(i + 1, right) if v[order[k]] >= pivot)
            j = next(k for k in range(j - 1, left - 1, -1) if v[order[k]] <= pivot)
            if i >= j:
                break
            order[i], order[j] = order[j], order[i]
        order[i], order[right - 1] = order[right - 1], order[i]
        right = i - 1
    return min(order[left : right + 1], key=v.__getitem__)

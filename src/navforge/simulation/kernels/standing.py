"""Compiled admission of boxes in order: first come, first served."""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import boxes_overlap


@kernel
def first_come(x, y, heading, half_length, half_width, wanted, taken):
    """Let boxes in one after the other unless they meet one that is in; `taken` (N,) says which are, and is updated.

    Only boxes of the mask `wanted` may get in.
    """
    for i in range(len(x)):
        if not wanted[i]:
            continue
        free = True
        for j in range(len(x)):
            if taken[j] and _overlap(x, y, heading, half_length, half_width, i, j):
                free = False
                break
        taken[i] = free


@kernel
def _overlap(x, y, heading, half_length, half_width, i, j):
    dx = x[j] - x[i]
    dy = y[j] - y[i]
    reach = half_length[i] + half_width[i] + half_length[j] + half_width[j]
    if dx * dx + dy * dy > reach * reach:
        return False
    return boxes_overlap(
        dx, dy, math.cos(heading[i]), math.sin(heading[i]), half_length[i], half_width[i],
        math.cos(heading[j]), math.sin(heading[j]), half_length[j], half_width[j],
    )  # fmt: skip


@kernel(allocates=True)
def standing_free(x, y, heading, half_length, half_width, count, present, shown):
    """Which standing boxes are shown at each step: those that meet no vehicle and no standing box shown before them.

    `x`, `y` and `heading` are (T, N), half lengths and widths (N,), of all boxes, the `count` moving ones first.
    `present` (count, T) says which of those exist; `shown` (N - count, T) is filled.
    """
    wanted = np.zeros(x.shape[1], dtype=np.bool_)
    wanted[count:] = True
    taken = np.zeros(x.shape[1], dtype=np.bool_)
    for step in range(x.shape[0]):
        taken[:count] = present[:, step]
        taken[count:] = False
        first_come(x[step], y[step], heading[step], half_length, half_width, wanted, taken)
        shown[:, step] = taken[count:]

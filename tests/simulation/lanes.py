"""Lanes for tests of the reactive kernels."""

from __future__ import annotations

import numpy as np


def bent_lane(rng: np.random.Generator, vertices: int, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) poses a metre or so apart, and their arc lengths."""
    step = rng.uniform(0.6, 1.4, vertices - 1)
    heading = rng.uniform(-np.pi, np.pi) + np.cumsum(rng.normal(0.0, turn, vertices - 1))
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum(step[:, None] * np.c_[np.cos(heading), np.sin(heading)], axis=0)])
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    return np.column_stack([xy, np.append(heading, heading[-1])]), arc

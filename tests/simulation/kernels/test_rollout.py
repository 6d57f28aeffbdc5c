"""Without numba's compiler the kernels are plain Python, and give the same bits."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import numpy as np
from navforge.simulation.kernels import rollout as kernels
from navforge.simulation.interpolation import Sampling, fill_sampling, fill_start
from navforge.simulation.tracker import speed_factors
knots = np.cumsum(np.random.default_rng(0).normal(0.3, 0.3, (3, 8, 3)), axis=1)
ego = np.array([6e5, 4.8e6, -2.7, 3.0, 0.0, 0.2, 0.0, 0.05, 0.0, 0.0, 0.0])
start = np.empty(kernels.START_SIZE)
fill_start(ego, start)
sampling = Sampling(np.empty(41, np.int64), np.empty(41), np.empty(41))
fill_sampling(8, 0.5, 315_971_925_959_748, *sampling)
work = np.zeros((kernels.WORK_ROWS, kernels.WORK_STEPS, 3))
states = np.zeros((kernels.STATE_ROWS, 41, 3))
for n in range(3):
    kernels.simulate_block(knots, n, sampling, start, speed_factors(), work, n, states)
print(hasattr(kernels.rollout, "py_func"), states.tobytes().hex())
"""


def run(**environment: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout.split()


def test_plain_python_gives_the_same_bits() -> None:
    compiled, states = run()
    plain, plain_states = run(NUMBA_DISABLE_JIT="1")
    assert (compiled, plain) == ("True", "False")
    assert states == plain_states

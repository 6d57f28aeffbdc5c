"""The kernels of the simulation compile for CUDA threads, in exact arithmetic; no GPU is needed."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda

from navforge.core.errors import NavforgeError
from navforge.geometry import cuda as device
from navforge.simulation.interpolation import Sampling, fill_sampling, fill_start
from navforge.simulation.kernels import rollout as kernels
from navforge.simulation.rows import START_SIZE, STATE_ROWS, WORK_ROWS, WORK_STEPS


def simulate_thread(ego_state, knots, interval_s, time_us, sampling, start, factors, work, states):
    n = cuda.grid(1)
    fill_start(ego_state, start)
    fill_sampling(knots.shape[1], interval_s, time_us, sampling.upper, sampling.span_us, sampling.offset_us)
    kernels.simulate_block(knots, n, sampling, start, factors, work, n, states)


def test_simulation_compiles_to_exact_ptx() -> None:
    try:
        device.compiler_version()
    except NavforgeError as error:
        pytest.skip(str(error))
    sampling = Sampling(np.zeros(41, np.int64), np.zeros(41), np.zeros(41))
    arrays = (np.zeros(START_SIZE), np.zeros((3, 40)), np.zeros((WORK_ROWS, WORK_STEPS, 4)))
    arguments = device.pack(np.zeros(11), np.zeros((3, 8, 4)), 0.5, 0, sampling, *arrays, np.zeros((STATE_ROWS, 41, 4)))
    ptx = device.exact_ptx(simulate_thread, arguments.kinds, (9, 0))
    device.check_parameters(ptx, arguments)
    assert "call" not in ptx.text, "everything is inlined: no function of libdevice rounds its own way"

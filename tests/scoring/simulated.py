"""The chain of kernels of `scoring.batch.cuda` on numba's CUDA simulator, which is asked for before numba is loaded.

Run as a program in a process of its own (`python -m tests.scoring.simulated GIVEN FOUND`, both pickles).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numba import cuda

from navforge.scoring.batch import cuda as batch_cuda

ROOT = Path(__file__).parents[2]


class SimulatedDevice:
    """numba's simulator with arrays of NumPy in the place of a GPU's memory."""

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def view(self, memory: np.ndarray, field: Any) -> np.ndarray:
        return memory[field.offset : field.offset + field.size].view(field.dtype).reshape(field.shape)

    def empty(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        filled = np.zeros(shape, dtype)
        filled.view(np.uint8)[...] = 0xA5  # what nothing has written is seen
        return filled

    def pack(self, *arguments: Any) -> tuple[Any, ...]:
        return arguments

    def launch(self, kernel: Any, threads: int, *arguments: tuple[Any, ...]) -> None:
        # In a tuple, arrays reach the kernel as they are, not wrapped.
        spread = eval(f"lambda given: {kernel.function.__name__}(*given)", kernel.function.__globals__)
        cuda.jit(spread)[-(-threads // 32), 32](tuple(argument for part in arguments for argument in part))


def run_simulated(task: str, given: dict[str, Any], folder: Path) -> Any:
    """Run `TASKS[task](**given)` in a process with the simulator, all in plain Python."""
    source, target = folder / "given.pkl", folder / "found.pkl"
    source.write_bytes(pickle.dumps((task, given)))
    environment = {
        **os.environ,
        "NUMBA_ENABLE_CUDASIM": "1",
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "tests.scoring.simulated", str(source), str(target)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pickle.loads(target.read_bytes())


def score(arrays: Any, layout: Any, memory: np.ndarray, devkit: Any, **given: Any) -> tuple[np.ndarray, np.ndarray]:
    device = SimulatedDevice()
    resident = batch_cuda.make_resident(device, arrays, layout, memory)
    return batch_cuda.score_batch_on_device(device, resident, devkit, **given)


TASKS = {"score": score}


def main() -> None:
    task, given = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps(TASKS[task](**given)))


if __name__ == "__main__":
    main()

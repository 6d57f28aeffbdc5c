"""Arrays as kernels take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT = np.dtype(np.float64)


def writable(array: Any, dtype: np.dtype[Any] = FLOAT) -> NDArray[Any]:
    """An array in C order that may be written, copied where it is not one (`numpy.require`, quicker where it is).

    Kernels are recompiled for read-only arrays, such as those of a memory-mapped cache, so none may reach them.
    """
    if type(array) is np.ndarray and array.dtype == dtype and array.flags.carray:
        return array
    return np.require(array, dtype, ["C", "W"])

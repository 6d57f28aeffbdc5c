"""CUDA kernels in exact arithmetic: numba functions to PTX without contraction, and their launch on torch's stream.

The functions are those the CPU runs (`geometry.compiled.kernel`); numba compiles them for CUDA threads too. NVVM by
default contracts `a * b + c` into one rounding, which the CPU code never does. Numba has no switch for that, so
`exact_ptx` hands `-fma=0` to NVVM itself and then looks into the PTX: code that holds a fused or approximate operation
in float64 (libdevice's `sin` or `hypot`, which round otherwise than a CPU's, hold many) is refused. What remains are
IEEE operations, with the same bits as on a CPU. No GPU is needed for that, so tests compile every kernel anywhere.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.core import config as numba_config
from numpy.typing import NDArray

from navforge.core.code import sources_hash
from navforge.core.errors import NavforgeError
from navforge.core.files import fingerprint, write_text

INEXACT = re.compile(r"\b(?:fma|mad)\.\S*f64|\b\w+\.approx\.\S*f64")
"""PTX operations in float64 that round otherwise than IEEE multiplication, addition, division and square root."""
MAX_PARAMETER_BYTES = 32764
"""Of one kernel, from compute capability 7.0 on."""
THREADS_PER_BLOCK = 128


config: Any = numba_config


class Ptx(NamedTuple):
    """A compiled kernel as text."""

    text: str
    entry: str
    """Name of the kernel in the text."""

    @property
    def parameters(self) -> int:
        """Parameters the kernel takes, 8 bytes each."""
        head = self.text[self.text.index(f"{self.entry}(") :]
        return len(re.findall(r"\.param\s+\.[ubsf]64", head[: head.index(")")]))


class Packed(NamedTuple):
    """Kernel arguments as numba lays them out, every member 8 bytes."""

    kinds: tuple[types.Type, ...]
    """Type of each argument."""
    values: NDArray[np.int64]


def exact_ptx(function: Callable[..., None], kinds: Sequence[types.Type], capability: tuple[int, int]) -> Ptx:
    """Compile a kernel to PTX whose float64 arithmetic is IEEE's, operation by operation.

    Args:
        function: plain Python function that every thread runs; returns nothing.
        kinds: numba types of its arguments.
        capability: compute capability, such as (9, 0).

    Raises:
        NavforgeError: no compiler on this machine, or the code would not be exact.
    """
    from numba import cuda  # noqa: PLC0415 (half a second, needed with a GPU only)

    compiler_version()
    compile_ptx: Any = getattr(cuda, "compile_ptx")  # noqa: B009 (numba marks it private)
    with _exact(capability):
        text, _ = compile_ptx(function, tuple(kinds), cc=capability)
    inexact = INEXACT.search(text)
    if inexact:
        raise NavforgeError(
            f"the CUDA kernel {function.__name__} holds the operation {inexact.group()}, which rounds otherwise than "
            f"the CPU does, so scores would not be exact (numba {numba.__version__}); please report this"
        )
    entry = re.search(r"\.visible\s+\.entry\s+(\w+)\(", text)
    if entry is None:
        raise NavforgeError(f"the PTX of the CUDA kernel {function.__name__} has no entry; please report this")
    return Ptx(text, entry.group(1))


def compiler_version() -> tuple[int, int]:
    """Version of NVVM on this machine.

    Raises:
        NavforgeError: there is none.
    """
    try:
        from numba.cuda.cudadrv import nvvm  # noqa: PLC0415

        major, minor = nvvm.NVVM().get_version()[:2]
    except (ImportError, OSError, RuntimeError) as error:
        raise NavforgeError(
            f"no compiler for CUDA kernels on this machine ({error}); install numba-cuda[cu13], or a CUDA toolkit "
            "whose folder CUDA_HOME names"
        ) from error
    return major, minor


class _Target(NamedTuple):
    compute_capability: tuple[int, int]


@contextmanager
def _exact(capability: tuple[int, int]) -> Iterator[None]:
    """Numba's CUDA compiler with contraction off, for a GPU that need not be here.

    Numba takes no options for NVVM, and asks the GPU of this machine what to compile called functions for.
    """
    from numba.cuda import dispatcher as numba_dispatcher  # noqa: PLC0415
    from numba.cuda.cudadrv import nvvm as numba_nvvm  # noqa: PLC0415

    dispatcher: Any = numba_dispatcher  # neither is meant for us
    nvvm: Any = numba_nvvm
    compile_ir = nvvm.compile_ir

    def without_contraction(ir: Any, **options: Any) -> Any:
        return compile_ir(ir, **{**options, "fma": False})

    present = dispatcher.get_current_device
    nvvm.compile_ir, dispatcher.get_current_device = without_contraction, lambda: _Target(capability)
    try:
        yield
    finally:
        nvvm.compile_ir, dispatcher.get_current_device = compile_ir, present


def cached_ptx(function: Callable[..., None], kinds: Sequence[types.Type], capability: tuple[int, int]) -> Ptx:
    """`exact_ptx`, kept on disk beside the compiled CPU code until any kernel source or numba changes."""
    stamp = fingerprint(
        sources_hash(function.__code__.co_filename),
        function.__qualname__,
        [str(kind) for kind in kinds],
        list(capability),
        numba.__version__,
        list(compiler_version()),
    )
    path = Path(config.CACHE_DIR or Path(__file__).parent / "__pycache__") / f"{function.__name__}-{stamp}.ptx"
    if path.exists():
        entry, text = path.read_text().split("\n", 1)
        return Ptx(text, entry.removeprefix("// "))
    ptx = exact_ptx(function, kinds, capability)
    try:
        write_text(path, f"// {ptx.entry}\n{ptx.text}")
    except OSError:  # a package folder that is read-only: compiled every time
        return ptx
    return ptx


def pack(*arguments: Any) -> Packed:
    """Lay out arguments: torch tensors or NumPy arrays (C order), integers, floats, named tuples of these.

    The memory must outlive the launch, and must be the GPU's.
    """
    kinds, values = [], []
    for argument in arguments:
        kinds.append(_kind(argument))
        _append(argument, values)
    return Packed(tuple(kinds), np.array(values, dtype=np.int64))


def join(*parts: Packed) -> Packed:
    """One argument list from several."""
    return Packed(tuple(kind for part in parts for kind in part.kinds), np.concatenate([part.values for part in parts]))


def _kind(value: Any) -> types.Type:
    if isinstance(value, tuple):
        return types.NamedTuple([_kind(member) for member in value], type(value))
    if isinstance(value, bool):
        raise TypeError("hand booleans over as integers: every parameter has 8 bytes")
    if isinstance(value, int):
        return types.int64
    if isinstance(value, float):
        return types.float64
    return types.Array(numba.from_dtype(_dtype(value)), value.ndim, "C")


def _dtype(array: Any) -> np.dtype[Any]:
    """NumPy's dtype of an array or a torch tensor (whose dtypes are named alike)."""
    return array.dtype if isinstance(array, np.ndarray) else np.dtype(str(array.dtype).removeprefix("torch."))


def _append(value: Any, values: list[int]) -> None:
    if isinstance(value, tuple):
        for member in value:
            _append(member, values)
    elif isinstance(value, int):
        values.append(value)
    elif isinstance(value, float):
        values.append(int(np.float64(value).view(np.int64)))
    else:
        _append_array(value, values)


def _append_array(array: Any, values: list[int]) -> None:
    """Numba's members of an array: two pointers it does not need, items, bytes per item, data, shape, strides."""
    shape = [int(extent) for extent in array.shape]
    item = _dtype(array).itemsize
    strides = [item] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    address = array.ctypes.data if isinstance(array, np.ndarray) else array.data_ptr()
    values.extend([0, 0, int(np.prod(shape, dtype=np.int64)), item, address, *shape, *strides])


class Driver:
    """The few calls into NVIDIA's driver that load a kernel and start it."""

    def __init__(self) -> None:
        """Raise `NavforgeError` where there is no driver."""
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise NavforgeError(f"no NVIDIA driver on this machine: {error}") from error

    def enter(self, index: int) -> None:
        """Make torch's context of a GPU current in this thread if none is."""
        context = ctypes.c_void_p()
        self._call("cuCtxGetCurrent", ctypes.byref(context))
        if not context:
            device = ctypes.c_int()
            self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
            self._call("cuCtxSetCurrent", context)

    def load(self, ptx: Ptx) -> ctypes.c_void_p:
        """The kernel, compiled by the driver for the current context's GPU."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(ptx.text.encode()))
        self._call("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(ptx.entry.encode()))
        return function

    def launch(self, function: ctypes.c_void_p, threads: int, values: NDArray[np.int64], stream: int) -> None:
        """Start at least `threads` threads on a stream; returns at once."""
        if not threads:
            return
        size = ctypes.c_size_t(values.nbytes)
        # CU_LAUNCH_PARAM_BUFFER_POINTER = 1, CU_LAUNCH_PARAM_BUFFER_SIZE = 2, CU_LAUNCH_PARAM_END = 0
        extra = (ctypes.c_void_p * 5)(1, values.ctypes.data, 2, ctypes.addressof(size), None)
        blocks = -(-threads // THREADS_PER_BLOCK)
        sizes = [ctypes.c_uint(n) for n in (blocks, 1, 1, THREADS_PER_BLOCK, 1, 1, 0)]
        self._call("cuLaunchKernel", function, *sizes, ctypes.c_void_p(stream), None, extra)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            reason = text.value.decode() if text.value else "unknown error"
            hint = "; its CUDA compiler is newer than the NVIDIA driver" if status == UNSUPPORTED_PTX else ""
            raise NavforgeError(f"{name} failed with CUDA error {status} ({reason}){hint}")


UNSUPPORTED_PTX = 222


class CudaKernel:
    """A kernel that compiles itself for the arguments and the GPU it is first launched with."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self._loaded: dict[tuple[Any, ...], ctypes.c_void_p] = {}

    def launch(self, threads: int, arguments: Packed, device: Any) -> None:
        """Start `threads` threads on torch's current stream of a CUDA device; returns at once.

        Raises:
            NavforgeError: no compiler or driver, or the driver refuses.
        """
        import torch  # noqa: PLC0415 (scoring must not import torch by itself)

        with torch.cuda.device(device):
            key = (device, arguments.kinds)
            driver = _driver()
            driver.enter(device.index)
            if key not in self._loaded:
                ptx = cached_ptx(self.function, arguments.kinds, torch.cuda.get_device_capability(device))
                check_parameters(ptx, arguments)
                self._loaded[key] = driver.load(ptx)
            driver.launch(self._loaded[key], threads, arguments.values, torch.cuda.current_stream(device).cuda_stream)


def check_parameters(ptx: Ptx, arguments: Packed) -> None:
    """Raise `NavforgeError` unless the kernel takes as many parameters as were packed for it."""
    if ptx.parameters != len(arguments.values) or arguments.values.nbytes > MAX_PARAMETER_BYTES:
        raise NavforgeError(
            f"a CUDA kernel takes {ptx.parameters} parameters, {len(arguments.values)} were made for it (at most "
            f"{MAX_PARAMETER_BYTES} bytes): numba {numba.__version__} lays out arguments otherwise; please report this"
        )


@cache
def _driver() -> Driver:
    return Driver()

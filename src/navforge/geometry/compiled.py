"""`kernel`: numba's `njit` with an on-disk cache that notices changes in the modules it is compiled from.

Numba reuses a compiled function as long as its own file is unchanged, even when a function or constant it was compiled
with changed in another file. Scores would then come from old code, silently, after an update. Here every cached kernel
carries the hash of its module and of all that imports (`core.code`).

Numba also counts references to every array that a function takes out of a tuple, with atomic instructions: in small
functions over named tuples of arrays that costs many times what they do (collisions of a proposal: 34 us instead of
1.5). Kernels borrow their caller's arrays, so the counting is left out, except in those that say they allocate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from numba import njit

from navforge.core.code import sources_hash

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@overload
def kernel(function: FunctionT) -> FunctionT: ...
@overload
def kernel(*, allocates: bool = ..., **options: Any) -> Callable[[FunctionT], FunctionT]: ...
def kernel(function: Any = None, *, allocates: bool = False, **options: Any) -> Any:
    """Compile a function with `numba.njit` and cache it on disk until its module, or one that it imports, changes.

    Use bare, or with options of `njit` (never `fastmath`: scores are exact).

    Args:
        function: what to compile.
        allocates: the function makes arrays (`numpy.empty` and the like) or returns any; numba refuses to compile one
            that does without saying so. Such a function takes the arrays out of a named tuple once, outside its loops.
        **options: passed to `njit`.
    """
    options["_nrt"] = allocates
    if function is None:
        return lambda wrapped: kernel_with(wrapped, options)
    return kernel_with(function, options)


def kernel_with(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """The compiled form of `function`."""
    compiled = njit(cache=True, **options)(function)
    disk_cache = getattr(compiled, "_cache", None)  # none under NUMBA_DISABLE_JIT
    if disk_cache is not None:
        # Part of the version, which numba reads first: an index of other sources may name types that are gone, so that
        # it cannot even be read to its own stamp.
        disk_cache._cache_file._version += " " + sources_hash(function.__code__.co_filename)
    return compiled

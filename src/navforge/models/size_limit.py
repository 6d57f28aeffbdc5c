"""A limit on networks that are built from the config of a stranger's checkpoint, before they fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_parameter_registration_hook

from navforge.core.errors import DataError

_SLACK = 1 << 25
"""Parameters that a network may have while it is built and has no longer when it is used, such as a classifier."""
_OVERHEAD = 1_000
"""Memory of a small parameter beside its numbers, in numbers."""


@contextmanager
def parameters_at_most(stored: int) -> Iterator[None]:
    """Refuse a network with far more parameters than a file holds, as soon as they are counted, while it is built.

    Args:
        stored: numbers in the file.

    Raises:
        DataError: the network is larger.
    """
    total, most = 0, 2 * stored + _SLACK

    def count(_module: Any, _name: str, parameter: Any) -> None:
        nonlocal total
        total += _OVERHEAD + (0 if parameter is None else parameter.numel())
        if total > most:
            raise DataError(f"a network of more than {most} parameters, the file holds {stored}")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()

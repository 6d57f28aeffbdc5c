"""Parts of a cached scene that are put together only when they are first read, because most callers never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Part = TypeVar("Part", bound="Deferrable")


class Deferrable:
    """Base of frozen dataclasses, without slots, that `defer` can make."""

    def __getattr__(self, name: str) -> Any:
        make = self.__dict__.get("_make")
        if make is not None and name in getattr(type(self), "__dataclass_fields__", ()):
            self.__dict__.update(make(None).__getstate__())
            self.__dict__.pop("_make", None)
        if name not in self.__dict__:  # another thread may have made it meanwhile
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self.__dict__[name]

    def __getstate__(self) -> dict[str, Any]:
        return {part: getattr(self, part) for part in getattr(type(self), "__dataclass_fields__", ())}


def defer(kind: type[Part], make: Callable[[Any], Part]) -> Part:
    """An instance that is made when the first of its fields is read; an error is raised there.

    Args:
        kind: of what is made.
        make: makes it, given None.
    """
    part = kind.__new__(kind)
    part.__dict__["_make"] = make
    return part

"""How the parts of a store were made: their configuration and their code, and whether a planner can take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from navforge.core.config import differences
from navforge.core.errors import DataError
from navforge.core.sharded_store import ShardedStore
from navforge.inputs.input_spec import InputSpec
from navforge.models.planner_config import PlannerConfig


@dataclass(frozen=True, kw_only=True)
class Part:
    """How one part of a store was made."""

    config: dict[str, Any]
    code: str

    @staticmethod
    def of(spec: InputSpec) -> dict[str, Part]:
        """The parts of what a planner reads and learns."""
        return {name: Part(config=spec.configs[name], code=spec.codes[name]) for name in spec.parts}


def plain_parts(parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Plain values."""
    return {name: asdict(part) for name, part in parts.items()}


def settings_of(parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Configuration of each part."""
    return {name: part.config for name, part in parts.items()}


def require_parts(
    store: ShardedStore[Any, Any], held: Mapping[str, Part], spec: InputSpec, planner: PlannerConfig, remedy: str
) -> None:
    """Check that a store holds the parts of a spec as they would be made today.

    Args:
        store: to name in errors.
        held: its parts.
        spec: what is asked for.
        planner: for which it is asked.
        remedy: what to do where the store is of another planner.

    Raises:
        DataError: a part is missing or was made with another configuration or other code.
    """
    for name, part in Part.of(spec).items():
        if name not in held:
            raise DataError(
                f"the {store.noun} {store.path} holds no {name}, which {planner.name} reads or learns; {remedy}"
            )
        if differing := differences(held[name].config, part.config, name):
            raise DataError(
                f"the {store.noun} {store.path} was made for another planner than {planner.name} (in the store -> "
                f"asked for): {', '.join(differing)}; {remedy}"
            )
        if held[name].code != part.code:
            raise DataError(
                f"the {store.noun} {store.path} is stale: the code or a library that makes {name} has changed since; "
                f"run the same navforge {store.verb} again"
            )

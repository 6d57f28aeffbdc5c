"""The input store: what planners read of a split's scenes (`core.sharded_store`), in shards of `inputs.shards`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from navforge.core.errors import DataError
from navforge.core.products import INPUTS
from navforge.core.sharded_store import ShardedStore
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.parts import Part, plain_parts, require_parts, settings_of
from navforge.inputs.shards import Shard
from navforge.models.planner_config import PlannerConfig


@dataclass(frozen=True)
class Origin:
    """What the rows of a store are made from."""

    parts: dict[str, Part]
    """By name, in stored order."""

    @property
    def plain(self) -> dict[str, Any]:
        """Plain values."""
        return {"parts": plain_parts(self.parts)}

    @property
    def settings(self) -> dict[str, Any]:
        """Configuration of the parts."""
        return settings_of(self.parts)


class InputStore(ShardedStore[Origin, Shard]):
    """An opened store."""

    origin_type = Origin
    shard_type = Shard
    product = INPUTS
    noun = "input store"
    verb = "pack"
    suffix = "arrow"
    format = 2
    most_open = 16

    def require(self, *, planner: PlannerConfig, tokens: Sequence[str]) -> None:
        """Check that a planner can learn these scenes from the store.

        Raises:
            DataError: a part is missing or was made with another configuration or other code, or scenes are missing.
        """
        remedy = f"run navforge pack agent={planner.name} with another out (the old store can then be deleted)"
        require_parts(self, self.origin.parts, InputSpec.of(planner), planner, remedy)
        self.rows(tokens)

    def read(self, row: int, parts: Sequence[str]) -> tuple[str, dict[str, memoryview]]:
        """Token and stored parts of a scene, not copied.

        Raises:
            CorruptSample: the shard is missing, truncated, of another run, or a byte has changed.
        """
        token, number, place = self._scene(row)
        try:
            held, stored = self._shard(number).read(place, parts)
            if held != token:
                raise DataError(f"the shard holds scene {held} in its place; pack it again")
        except DataError as error:
            raise CorruptSample(token, self._path(number), str(error)) from error
        return token, stored

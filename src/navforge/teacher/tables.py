"""The field's teacher tables: pickled dicts token -> column -> array (N,), here by the names of their columns.

`gtrs` is the table published with GTRS (navtrain_8192.pkl, navtrain_16384.pkl), which DriveSuprim and SimScale write
too; `hydra_mdp` is that of Hydra-MDP's first public code, for PDMS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from navforge.core.errors import DataError
from navforge.teacher.packing import FLAG, HALF, LEVEL, Encoding
from navforge.teacher.rows import HALVES, SCORE

EP_RULES = {
    "unknown": "as in the imported table: unknown",
    "gated": "as in the imported table: gated, against PDM-Closed alone",
    "batch": "as in the imported table: against the best of the vocabulary",
}
"""What is known of how a table's ego progress is normalised; `navforge teach` makes the second."""


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """What the columns of a table are called."""

    name: str
    protocol: str
    """The rules its sub-scores follow."""
    keys: dict[str, str]
    """Our column -> key of the table, in the order in which tables are written."""
    optional: frozenset[str] = frozenset()
    """Columns that a table may lack."""

    @property
    def columns(self) -> dict[str, str]:
        """Key of the table -> our column."""
        return {key: column for column, key in self.keys.items()}

    def check(self, found: Iterable[object], where: str) -> tuple[str, ...]:
        """Our columns in a scene of a table, in `keys`' order.

        Raises:
            DataError: a key is missing or unknown; names all.
        """
        there = set(found)
        unknown = sorted(map(str, there - set(self.columns)))
        missing = sorted(k for c, k in self.keys.items() if k not in there and c not in self.optional)
        if unknown or missing:
            parts = [f"unexpected {', '.join(unknown)}"] if unknown else []
            parts += [f"missing {', '.join(missing)}"] if missing else []
            raise DataError(
                f"{where}: keys are not those of a {self.name} table: {'; '.join(parts)}{self._hint(there)}"
            )
        return tuple(column for column, key in self.keys.items() if key in there)

    def _hint(self, there: set[object]) -> str:
        others = [known.name for known in LAYOUTS if known is not self and len(there & set(known.columns)) > 2]
        return f" (are these layout={others[0]}?)" if others else ""


GTRS = TableLayout(
    name="gtrs",
    protocol="epdms_v2",
    keys={
        "no_at_fault_collisions": "no_at_fault_collisions",
        "drivable_area_compliance": "drivable_area_compliance",
        "driving_direction_compliance": "driving_direction_compliance",
        "traffic_light_compliance": "traffic_light_compliance",
        "ego_progress": "ego_progress",
        "time_to_collision_within_bound": "time_to_collision_within_bound",
        "lane_keeping": "lane_keeping",
        "history_comfort": "history_comfort",
        SCORE: "pdm_score",
    },
    optional=frozenset({SCORE}),
)
HYDRA_MDP = TableLayout(
    name="hydra_mdp",
    protocol="pdms_v1",
    keys={
        "no_at_fault_collisions": "noc",
        "drivable_area_compliance": "da",
        "driving_direction_compliance": "ddc",
        "time_to_collision_within_bound": "ttc",
        "comfort": "comfort",
        "ego_progress": "progress",
        SCORE: "total",
    },
    optional=frozenset({"driving_direction_compliance", SCORE}),
)
LAYOUTS = (GTRS, HYDRA_MDP)


def layout(name: str) -> TableLayout:
    """The layout of this name, one of `LAYOUTS`."""
    return next(known for known in LAYOUTS if known.name == name)


def encoding_of(column: str) -> Encoding:
    """How an imported store keeps a column: as the table has it, float16, or as fewer bits where it has few values."""
    if column in ("ego_progress", SCORE):
        return HALF
    return LEVEL if column in HALVES else FLAG

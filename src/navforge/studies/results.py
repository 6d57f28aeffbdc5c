"""What is there of a study, as reports read it: cells with their runs and evaluations, comparisons, floors.

A cell is a combination of levels, trained once per seed. Where a seed's evaluation is missing the split is not among
the cell's evaluations: the cell is listed with what is missing of it, and never averaged over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from navforge.evaluation import tables
from navforge.evaluation.groups import Planner


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of levels."""

    name: str
    """Its levels in the order of the factors."""
    levels: Mapping[str, str]
    """Level of each factor."""
    seeds: tuple[int, ...]
    runs: tuple[Path, ...]
    """Run folder of each seed, finished or not."""
    evaluations: Mapping[str, tuple[Path, ...]]
    """By split: the evaluation folder of each seed; only splits of which no seed is missing."""
    missing: tuple[str, ...]
    """What is not there, and why."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two cells that differ in one factor."""

    name: str
    first: str
    """Name of a cell; positive differences say that it is better."""
    second: str
    factor: str


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """What is there of a study."""

    name: str
    question: str
    factors: Mapping[str, tuple[str, ...]]
    """Levels by factor, in the order of the study file."""
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]
    """All that were planned: one family per split and protocol."""
    floors: Mapping[str, Mapping[str, Path]]
    """By name: evaluation folder by split, where it is there."""
    splits: tuple[str, ...]
    """Names of the evaluations, in the order of the study file."""

    def cells_of(self, split: str) -> tuple[Cell, ...]:
        """Cells that are whole on a split."""
        return tuple(cell for cell in self.cells if split in cell.evaluations)

    def planners(self, split: str) -> list[Planner]:
        """Score tables of the whole cells.

        Raises:
            DataError: a table is damaged.
        """
        return [_planner(cell.name, cell.evaluations[split]) for cell in self.cells_of(split)]

    def floor_planners(self, split: str) -> list[Planner]:
        """Score tables of the floors that are there.

        Raises:
            DataError: a table is damaged.
        """
        return [_planner(name, (found[split],)) for name, found in self.floors.items() if split in found]

    def pairs(self, split: str) -> list[tuple[str, str]]:
        """First and second of the planned comparisons whose cells are whole on a split."""
        whole = {cell.name for cell in self.cells_of(split)}
        return [(one.first, one.second) for one in self.comparisons if {one.first, one.second} <= whole]


def _planner(name: str, folders: tuple[Path, ...]) -> Planner:
    return Planner(name=name, tables=tuple(map(tables.read_evaluation, folders)))

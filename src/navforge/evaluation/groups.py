"""Score tables of the same scenes side by side: what may be compared, and the scores of planners with several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from navforge.agents import REFERENCE_AGENTS
from navforge.core.errors import DataError
from navforge.evaluation.tables import METRIC_KEYS, ORDER, ScoreTable, one_traffic
from navforge.evaluation.trajectories import listing
from navforge.scoring.protocols import protocol
from navforge.statistics.contrasts import Runs


@dataclass(frozen=True, kw_only=True)
class Planner:
    """One planner under a name of the user, with a score table per seed."""

    name: str
    tables: tuple[ScoreTable, ...]

    @property
    def labels(self) -> str:
        """The label subset that its runs learned from, in words."""
        return str(self.tables[0].meta.labels or "all")

    @property
    def length(self) -> str | None:
        """How long its runs learned, in words; None where that is not known, or differs."""
        known = {table.meta.length for table in self.tables}
        return str(known.pop()) if len(known) == 1 and None not in known else None

    @property
    def trained(self) -> bool:
        """Whether another seed would give other weights; constant velocity and the human have none."""
        untrained = {kind.name for kind in REFERENCE_AGENTS}
        return any(table.meta.checkpoint is not None or table.meta.agent not in untrained for table in self.tables)


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Planners' rows of one protocol on the same scenes in the same order."""

    planners: tuple[Planner, ...]
    frames: tuple[tuple[pl.DataFrame, ...], ...]
    """Per planner and seed: the protocol's columns, then those that were measured beside every score."""

    @property
    def any_frame(self) -> pl.DataFrame:
        """Rows of some table, for what all share."""
        return self.frames[0][0]

    def only(self, places: Iterable[int]) -> Aligned:
        """Some of the planners."""
        chosen = list(places)
        return Aligned(
            planners=tuple(self.planners[place] for place in chosen),
            frames=tuple(self.frames[place] for place in chosen),
        )

    def runs(self, column: str) -> tuple[list[Runs], NDArray[np.str_]]:
        """Every planner's values of a column where all define it, and the log of each such scene; none if nowhere."""
        cells = [np.stack([frame[column].to_numpy() for frame in frames]) for frames in self.frames]
        defined = ~np.isnan(np.concatenate(cells)).any(axis=0)
        logs = self.any_frame["log_name"].to_numpy()[defined].astype(np.str_)
        return [
            Runs(values=values[:, defined], trained=planner.trained)
            for planner, values in zip(self.planners, cells, strict=True)
        ], logs


def same_scenes(tables: Sequence[ScoreTable], name: str) -> list[pl.DataFrame]:
    """The rows of one protocol of every table, in one order.

    Raises:
        DataError: the tables do not score the same trajectories of the same scenes, or not by the same rules.
    """
    one_traffic(tables)
    frames = [table.of(name).sort(ORDER) for table in tables]
    first, facts = frames[0], tables[0].meta
    for frame, table in zip(frames[1:], tables[1:], strict=True):
        if not first.select("token", "index").equals(frame.select("token", "index")):
            here, there = set(first["token"]), set(frame["token"])
            alone = sorted(here ^ there)
            raise DataError(
                f"the tables score different scenes ({len(here)} of split {facts.split} and {len(there)} of "
                f"{table.meta.split}, {len(here & there)} shared"
                f"{f'; only one has {listing(alone)}' if alone else ''}); a paired comparison needs the same ones"
            )
        if not first["log_name"].equals(frame["log_name"]):
            raise DataError("the tables name different logs for the same scenes; score both from the same logs")
        if not first["human_filter"].equals(frame["human_filter"]):
            raise DataError("one table was scored with the human filter, the other without; score both alike")
        if protocol(name).two_frame is not None and facts.extended_comfort != table.meta.extended_comfort:
            raise DataError("one table was scored with extended comfort, the other without; score both alike")
    return frames


def align(planners: Sequence[Planner], name: str) -> Aligned:
    """Planners side by side under one protocol.

    Raises:
        DataError: tables that cannot be compared (`same_scenes`), several trajectories per scene, a run that is given
            twice, or several runs of an agent without seeds.
    """
    for planner in planners:
        _check_runs(planner)
    seen: dict[tuple[str | None, str], str] = {}
    for planner in planners:
        for table in planner.tables:
            run = table.meta.checkpoint, table.meta.trajectories
            if run in seen:
                raise DataError(
                    f"{seen[run]} and {planner.name} have a run in common (trajectories {run[1]}); give each run once"
                )
        seen |= {(table.meta.checkpoint, table.meta.trajectories): planner.name for table in planner.tables}
    try:
        rows = iter(same_scenes([table for planner in planners for table in planner.tables], name))
    except DataError as error:
        raise DataError(f"{', '.join(planner.name for planner in planners)}: {error}") from error
    frames = tuple(tuple(_with_metrics(next(rows), table) for table in planner.tables) for planner in planners)
    return Aligned(planners=tuple(planners), frames=frames)


def shared_protocols(planners: Sequence[Planner]) -> tuple[str, ...]:
    """The protocols that all tables hold, in the order of the first.

    Raises:
        DataError: none.
    """
    every = [table.meta.protocols for planner in planners for table in planner.tables]
    shared = tuple(name for name in every[0] if all(name in held for held in every))
    if not shared:
        held = sorted({", ".join(names) for names in every})
        raise DataError(
            f"protocol: the tables share none (they hold {'; '.join(held)}); numbers of different protocols cannot be "
            "compared, so score the plans again: navforge score trajectories=FOLDER/plans.npz protocol=..."
        )
    return shared


def measured_columns(planners: Sequence[Planner]) -> list[str]:
    """Columns that were measured beside the score of every table, in the order of the first; none if one has none."""
    each = [[] if table.metrics is None else table.metrics.columns for one in planners for table in one.tables]
    return [column for column in each[0] if column not in METRIC_KEYS and all(column in others for others in each)]


def _with_metrics(rows: pl.DataFrame, table: ScoreTable) -> pl.DataFrame:
    if table.metrics is None:
        return rows
    return rows.join(table.metrics.drop("log_name"), on=["token", "index"], how="left", maintain_order="left")


def _check_runs(planner: Planner) -> None:
    for table in planner.tables:
        if table.frame["index"].n_unique() > 1:
            raise DataError(f"{planner.name}: a table has several trajectories per scene; one plan per scene is needed")
    if len(planner.tables) > 1 and not planner.trained:
        raise DataError(
            f"{planner.name}: {len(planner.tables)} runs of {planner.tables[0].meta.agent}, which has no seeds"
        )
    labels = sorted({str(table.meta.labels or "all") for table in planner.tables})
    if len(labels) > 1:
        raise DataError(
            f"{planner.name}: its runs learned from different labels ({'; '.join(labels)}); give each a name of its own"
        )
    # Without a checkpoint the plans are all there is to tell runs apart by.
    runs = [table.meta.checkpoint or table.meta.trajectories for table in planner.tables]
    repeated = sorted({run for run in runs if runs.count(run) > 1})
    if repeated:
        raise DataError(
            f"{planner.name}: {len(runs)} runs, but {listing(repeated)} is among them more than once; seeds are runs "
            "trained anew"
        )

"""Score plans of one scene, and proposals of PDM-Closed; batches of scenes: `scoring.library`.

A new sub-score computed per scene is described in `metrics.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores, against, compare, comparison_terms, gated_progress
from navforge.scoring.batch.arrays import SceneArrays, join_scenes
from navforge.scoring.batch.cpu import score_plans_on_cpu
from navforge.scoring.drivers import drive_human, drive_references
from navforge.scoring.kernels.block import score_states
from navforge.scoring.metrics import Column
from navforge.scoring.prepare.reaction import react_to
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import TTC_LAST_STEP, Protocol, protocol
from navforge.scoring.surroundings import surroundings
from navforge.scoring.traffic import LOG_REPLAY, REACTIVE, check_traffic
from navforge.simulation.plans import Plans, prepare_plans
from navforge.simulation.reactive import ReactiveScene, prepare_reactive
from navforge.simulation.rollout import drive
from navforge.simulation.tracker import STEPS

Float = NDArray[np.float64]
Raw = tuple[Float, NDArray[np.int16]]
"""(`Column`, N) raw results, (2, N) first step of an at-fault collision and of a violation of time to collision."""

PLAN, REFERENCE, HUMAN = "proposal {}", "the PDM-Closed reference", "the human driver"
"""Who drives, as errors say it."""
IN_BLOCKS_FROM_PLANS = 16
"""From so many plans on a raster over the map is worth the time it takes to make, and plans are simulated block by
block as they are scored. Fewer are simulated first, so that only what lies around them need be prepared: with one plan
per scene, preparation is most of the work. Scores are the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalScores:
    """Sub-scores of N proposals scored together."""

    protocol: str
    values: dict[str, Float]
    """(N,) by column name; ego progress normalised over the batch."""
    progress_m: Float
    """(N,) raw progress along the centreline, m."""
    score: Float
    """(N,) without extended comfort."""
    collision_step: NDArray[np.int16]
    """(N,) first step of an at-fault collision, -1 if none."""
    ttc_step: NDArray[np.int16]
    """(N,) first step that violates time to collision, -1 if none."""


def score_proposals(arrays: SceneArrays, states: Float, rules: Protocol | str) -> ProposalScores:
    """Score simulated proposals together.

    Args:
        arrays: `scoring.prepare.scene.prepare` of the scene for the protocol's release.
        states: (N, 41, 11) simulated states, global frame (`simulation.rollout.simulate`).
        rules: the protocol, or its name.

    Raises:
        DataError: wrong shape, or a state that is not finite.
    """
    rules = protocol(rules)
    states = np.asarray(states, dtype=np.float64)
    if states.ndim != 3 or states.shape[1:] != (STEPS, STATE_SIZE):
        raise DataError(f"states must have shape (N, {STEPS}, {STATE_SIZE}), got {states.shape}")
    odd = np.flatnonzero(~np.isfinite(states).all(axis=(1, 2)))
    if len(odd):
        raise DataError(f"a simulated state of proposal {odd[0]} is not finite (NaN or infinite)")
    results, events = score_drives(arrays, rules.devkit, {PLAN: states})[PLAN]
    values = against(results, gated_progress(results, rules).max(initial=0.0), rules)
    return ProposalScores(
        protocol=rules.name,
        values=values,
        progress_m=results[Column.PROGRESS],
        score=aggregate.score(values, rules),
        collision_step=events[0],
        ttc_step=events[1],
    )


def score_plans(
    scene: CachedScene,
    poses: Float | Plans,
    interval_s: float,
    protocols: Sequence[Protocol | str],
    human_filter: bool | None = None,
    traffic: str = LOG_REPLAY,
    *,
    states: Float | None = None,
) -> dict[str, Scores[NDArray]]:
    """Simulate and score plans of one scene, each against the PDM-Closed reference alone.

    Args:
        scene: the cached scene.
        poses: (N, T, 3) plans in the ego frame, the current pose left out; or what `simulation.plans.prepare_plans`
            made of them, which saves that work where the same plans are scored in many scenes.
        interval_s: time between poses.
        protocols: rules, or their names; plans are scored once for all protocols of a release.
        human_filter: forgive what the human driver also fails; None: where the protocol's benchmark does. A synthetic
            scene has no human driver and is never filtered.
        traffic: log_replay, or reactive, which answers a single plan (`scoring.traffic`).
        states: `simulation.rollout.drive` of the plans, if the caller has it.

    Returns:
        By protocol name; arrays (N,).

    Raises:
        ConfigError: a protocol whose benchmark has no such traffic.
        DataError: malformed plans, a scene that lacks what a protocol needs or is not finite, or several plans in
            reactive traffic.
    """
    rules = [protocol(chosen) for chosen in protocols]
    check_traffic(traffic, rules)
    plans = poses if isinstance(poses, Plans) else prepare_plans(poses, interval_s)
    if plans.interval_s != interval_s:
        raise DataError(f"these plans were prepared for poses {plans.interval_s} s apart, not {interval_s} s")
    devkits = list(dict.fromkeys(one.devkit for one in rules))
    filtered = [one for one in rules if (one.human_filter if human_filter is None else human_filter)]
    first = plans if len(plans) < IN_BLOCKS_FROM_PLANS or traffic == REACTIVE else None
    driven = drive_scene(scene, devkits, human=bool(filtered), plans=first, states=states, traffic=traffic)
    scores = {}
    for devkit, (arrays, raw) in zip(devkits, driven, strict=True):
        own = raw[PLAN] if PLAN in raw else _score_in_blocks(scene, arrays, devkit, plans)
        for one in rules:
            if one.devkit is devkit:
                human = raw[HUMAN][0][:, 0] if HUMAN in raw and one in filtered else None
                scores[one.name] = compare(*own, comparison_terms(raw[REFERENCE][0][:, 0], human, one), one)
    return {one.name: scores[one.name] for one in rules}


def _score_in_blocks(scene: CachedScene, arrays: SceneArrays, devkit: Devkit, plans: Plans) -> Raw:
    """Raw results of plans that are simulated block by block as they are scored: a batch of one scene."""
    results, events = score_plans_on_cpu(join_scenes([arrays])[0], devkit, plans, threads=1)
    check_simulated(results[:, 0], PLAN, f"scene {scene.token}: ")
    return results[:, 0], events[:, 0]


def drive_scene(
    scene: CachedScene,
    devkits: Sequence[Devkit],
    *,
    human: bool,
    plans: Plans | None = None,
    states: Float | None = None,
    traffic: str = LOG_REPLAY,
    raster: bool = True,
) -> Iterator[tuple[SceneArrays, dict[str, Raw]]]:
    """Prepare a scene for each release, and score who drives in it.

    Args:
        scene: the cached scene.
        devkits: releases.
        human: whether the human driver is scored, if the scene has one.
        plans: scored with the others; only what lies around them all is prepared then, without a raster. None: the
            complete scene is prepared.
        states: `simulation.rollout.drive` of the plans, if the caller has it.
        traffic: what the plan meets (`scoring.traffic`).
        raster: see `prepare`.

    Yields:
        By release: what the kernels read of the scene, and raw results by driver.

    Raises:
        DataError: a scene that lacks what a release needs, numbers that are not finite, or several plans in reactive
            traffic.
    """
    references, drives = drive_references(scene, devkits), {}
    if human and (driven := drive_human(scene)) is not None:
        drives[HUMAN] = driven
    if plans is not None:
        drives[PLAN] = drive(scene.ego_state, scene.time_us, plans) if states is None else states
    around = None if plans is None else surroundings(np.concatenate([references, *drives.values()]))
    reactive = prepare_reactive(scene) if traffic == REACTIVE else None
    arrays = None
    for devkit, reference in zip(devkits, references, strict=True):
        arrays = prepare(scene, devkit, raster=raster and plans is None, around=around, like=arrays)
        drives[REFERENCE] = reference[None]
        yield arrays, _score_drives_of(scene, arrays, devkit, drives, reactive)


def _score_drives_of(
    scene: CachedScene, arrays: SceneArrays, devkit: Devkit, drives: dict[str, Float], reactive: ReactiveScene | None
) -> dict[str, Raw]:
    """`score_drives`; reactive traffic reacts to the plan, among which the reference is scored, and to the human."""
    where = f"scene {scene.token}: "
    if reactive is None:
        return score_drives(arrays, devkit, drives, where)
    raw = {}
    for who, driver in ((PLAN, (PLAN, REFERENCE)), (HUMAN, (HUMAN,))):
        if who in drives:
            answered = react_to(arrays, reactive, drives[who])
            raw |= score_drives(answered, devkit, {name: drives[name] for name in driver}, where)
    return raw


def score_drives(arrays: SceneArrays, devkit: Devkit, drives: Mapping[str, Float], where: str = "") -> dict[str, Raw]:
    """Raw results of simulated states (N, 41, 11), global frame, by who drives; all are scored in one call.

    Raises:
        DataError: a state is not finite.
    """
    states = np.concatenate(list(drives.values())).transpose(2, 1, 0)
    results = np.empty((states.shape[2], len(Column)))
    events = np.empty((states.shape[2], 2), dtype=np.int16)
    score_states(np.ascontiguousarray(states), arrays, devkit is Devkit.V2, TTC_LAST_STEP[devkit], results, events)
    raw, first = {}, 0
    for who, driven in drives.items():
        rows = slice(first, first := first + len(driven))
        raw[who] = np.ascontiguousarray(results[rows].T), np.ascontiguousarray(events[rows].T)
        check_simulated(raw[who][0], who, where)
    return raw


def check_simulated(results: Float, who: str, where: str = "") -> None:
    """Check raw results (`Column`, N): progress is NaN where a simulation overflowed.

    Raises:
        DataError: names the driver, `who` with a place for its number, and the scene, `where`.
    """
    overflowed = np.flatnonzero(np.isnan(results[Column.PROGRESS]))
    if len(overflowed):
        raise DataError(f"{where}a simulated state of {who.format(overflowed[0])} is not finite (NaN or infinite)")

"""Score proposals: the one engine behind evaluation, teacher stores, rewards and PDM-Closed.

A new sub-score computed per scene is described in `metrics.py` and read from the kernel's result in `_sub_scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE
from navforge.metric_cache.scene import CachedScene, Devkit
from navforge.scoring import aggregate, kernels_plans, metrics
from navforge.scoring import protocols as protocols_module
from navforge.scoring.kernels import COLUMNS, Column, score_states
from navforge.scoring.prepare import PreparedScene, prepare
from navforge.scoring.protocols import Protocol
from navforge.scoring.surroundings import lies_within, surroundings
from navforge.scoring.traffic import LOG_REPLAY, REACTIVE, check_traffic, react_to
from navforge.simulation.plans import Plans, prepare_plans, sampling
from navforge.simulation.reactive import ReactiveScene, prepare_reactive
from navforge.simulation.rollout import drive, simulate
from navforge.simulation.tracker import STEPS, speed_factors

Float = NDArray[np.float64]

TTC_LAST_STEP = {Devkit.V1: 40, Devkit.V2: 31}
"""v1.1 knows objects for 5 s and looks ahead from every step; v2 stops where 0.9 s ahead leaves its 4 s."""
RASTER_FROM_PROPOSALS = 16


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
    ego_areas: NDArray[np.bool_] | None
    """(N, 41, 3) `scoring.arrays.EgoArea`, if asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanScores:
    """Sub-scores of N plans of one scene, each compared with the PDM-Closed reference alone, as the benchmark does."""

    protocol: str
    values: dict[str, Float]
    """(N,) by column name, as reported: after the human filter where it applies."""
    scored: dict[str, Float]
    """The sub-scores that enter the score; others than `values` only before the human-filter fix."""
    progress_m: Float
    """(N,) raw progress along the centreline, m."""
    score: Float
    """(N,) without extended comfort (its weight dropped)."""
    unfiltered: dict[str, Float]
    """The sub-scores before the human filter."""
    forgiven: tuple[str, ...]
    """Columns that the human filter set to 1."""
    gates: Float
    """(N,) product of the multiplicative sub-scores before the human filter."""
    reference_progress_m: float
    """Raw progress of the PDM-Closed reference, m."""
    reference_gated_m: float
    """Raw progress of the PDM-Closed reference times its gates, m: what progress is compared with."""
    collision_step: NDArray[np.int16]
    """(N,) first step of an at-fault collision, -1 if none."""
    ttc_step: NDArray[np.int16]
    """(N,) first step that violates time to collision, -1 if none."""
    states: Float | None
    """(N, 41, 11) simulated states, global frame, if asked for; `scoring.extended_comfort` compares those of
    consecutive scenes."""


def score_proposals(
    prepared: PreparedScene, states: Float, protocol: Protocol | str, *, with_areas: bool = False
) -> ProposalScores:
    """Score simulated proposals together.

    Args:
        prepared: `scoring.prepare.prepare` of the scene.
        states: (N, 41, 11) simulated states, global frame (`simulation.rollout.simulate`).
        protocol: the rules, or their name.
        with_areas: also return the areas the ego covers at each step.

    Raises:
        DataError: wrong shape, or the scene has too few frames for the protocol.
    """
    rules = _protocol(protocol)
    result, events, ego_areas = _score_states(prepared, states, rules.devkit, with_areas)
    values = _scored_together(result, rules)
    return ProposalScores(
        protocol=rules.name,
        values=values,
        progress_m=result[:, Column.PROGRESS].copy(),
        score=aggregate.score(values, rules),
        collision_step=events[:, 0].copy(),
        ttc_step=events[:, 1].copy(),
        ego_areas=ego_areas if with_areas else None,
    )


def score_plans(
    scene: CachedScene,
    poses: Float | Plans,
    interval_s: float,
    protocols: Sequence[Protocol | str],
    human_filter: bool | None = None,
    prepared: PreparedScene | None = None,
    traffic: str = LOG_REPLAY,
    *,
    with_states: bool = False,
) -> dict[str, PlanScores]:
    """Simulate and score plans of one scene, each against the PDM-Closed reference alone.

    Args:
        scene: the cached scene.
        poses: (N, T, 3) plans in the ego frame, the current pose left out; or what `simulation.plans.prepare_plans`
            made of them, which spares that work where the same plans are scored in many scenes.
        interval_s: time between poses.
        protocols: rules, or their names; plans are scored once for all protocols of a release.
        human_filter: forgive what the human driver also fails; None: where the protocol's benchmark does. A synthetic
            scene has no human driver and is never filtered.
        prepared: `prepare(scene)`, if the caller has it already.
        traffic: log_replay, or reactive, which answers a single plan (`scoring.traffic`).
        with_states: also return the simulated states.

    Returns:
        By protocol name.

    Raises:
        ConfigError: a protocol whose benchmark has no such traffic.
        DataError: malformed plans, a scene that lacks what a protocol needs, or several plans in reactive traffic.
    """
    rules = [_protocol(chosen) for chosen in protocols]
    check_traffic(traffic, rules)
    plans = poses if isinstance(poses, Plans) else prepare_plans(poses, interval_s)
    if plans.interval_s != interval_s:
        raise DataError(f"these plans were prepared for poses {plans.interval_s} s apart, not {interval_s} s")
    devkits = list(dict.fromkeys(one.devkit for one in rules))
    if prepared is None:
        few = len(plans) < RASTER_FROM_PROPOSALS
        around = _around(scene, plans) if few else None
        prepared = prepare(scene, devkits=devkits, raster=not few, around=around)
    elif prepared.around is not None:
        raise DataError(f"scene {scene.token}: plans need a scene prepared whole, without around=")
    reactive = None
    if traffic == REACTIVE:
        reactive = prepare_reactive(scene)
        prepared = react_to(prepared, reactive, drive(scene.ego_state, scene.time_us, plans))
    states = np.empty((STATE_SIZE, STEPS, len(plans) if with_states else 0))
    runs = {devkit: _run(scene, prepared, plans, devkit, states) for devkit in devkits}
    shown = states.transpose(2, 1, 0) if with_states else None
    return {one.name: _compare(scene, prepared, runs[one.devkit], shown, one, human_filter, reactive) for one in rules}


def human_scores(
    scene: CachedScene, prepared: PreparedScene, protocol: Protocol, reactive: ReactiveScene | None = None
) -> dict[str, float] | None:
    """Sub-scores of the human driver alone, as the human filter sees them; None for a synthetic scene.

    With `reactive`, the traffic reacts to the human.

    The filter's run gives the scorer no history, so history comfort is 1; alone in its batch, the human also has
    ego progress 1.
    """
    if scene.human_poses is None or scene.synthetic:
        return None
    plans = prepare_plans(scene.human_poses[None], HUMAN_INTERVAL_S)
    if reactive is not None:
        prepared = react_to(prepared, reactive, drive(scene.ego_state, scene.time_us, plans))
    result, _ = _score_plans(scene, prepared, plans, protocol.devkit, np.empty((STATE_SIZE, STEPS, 0)))
    human = {name: float(value[0]) for name, value in _scored_together(result, protocol).items()}
    human[metrics.HISTORY_COMFORT.name] = 1.0
    return human


HUMAN_INTERVAL_S = 0.5


def _around(scene: CachedScene, plans: Plans) -> Float | None:
    """Bounds of what the scores of plans, reference and human driver can depend on; None where they have none."""
    driven = [drive(scene.ego_state, scene.time_us, plans), simulate(scene.ego_state, scene.pdm_reference_input)]
    if scene.human_poses is not None:
        human = prepare_plans(scene.human_poses[None], HUMAN_INTERVAL_S)
        driven.append(drive(scene.ego_state, scene.time_us, human))
    states = np.concatenate(driven)
    return surroundings(states) if np.isfinite(states).all() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """Kernel results of the plans and of the reference of one scene, under the rules of one release."""

    result: Float
    events: NDArray[np.int16]
    reference: Float


def _run(scene: CachedScene, prepared: PreparedScene, plans: Plans, devkit: Devkit, states: Float) -> _Run:
    result, events = _score_plans(scene, prepared, plans, devkit, states)
    reference = simulate(scene.ego_state, scene.pdm_reference_input[devkit][None])
    return _Run(result=result, events=events, reference=_score_states(prepared, reference, devkit, False)[0])


def _compare(
    scene: CachedScene,
    prepared: PreparedScene,
    run: _Run,
    states: Float | None,
    rules: Protocol,
    human_filter: bool | None,
    reactive: ReactiveScene | None,
) -> PlanScores:
    result, events, reference = run.result, run.events, run.reference
    reference_progress = reference[:, Column.PROGRESS]
    reference_best = float((reference_progress * aggregate.gate(_sub_scores(reference, rules), rules))[0])
    values = _sub_scores(result, rules)
    progress = result[:, Column.PROGRESS].copy()
    gates = aggregate.gate(values, rules)
    best = np.maximum(progress * gates, reference_best)
    values[metrics.EGO_PROGRESS.name] = aggregate.normalised_progress(progress, gates, best, rules)
    forgiven: tuple[str, ...] = ()
    if rules.human_filter if human_filter is None else human_filter:
        forgiven = _forgiven(human_scores(scene, prepared, rules, reactive), rules)
    shown = {name: np.ones_like(value) if name in forgiven else value for name, value in values.items()}
    scored = shown if rules.filter_enters_score or not rules.human_filter else values
    return PlanScores(
        protocol=rules.name,
        values=shown,
        scored=scored,
        progress_m=progress,
        score=aggregate.score(scored, rules),
        unfiltered=values,
        forgiven=forgiven,
        gates=gates,
        reference_progress_m=float(reference_progress[0]),
        reference_gated_m=reference_best,
        collision_step=events[:, 0].copy(),
        ttc_step=events[:, 1].copy(),
        states=states,
    )


def _forgiven(human: dict[str, float] | None, rules: Protocol) -> tuple[str, ...]:
    """Columns in which the human driver scores exactly 0 (0.5 is not forgiven)."""
    return () if human is None else tuple(name for name in rules.columns if human[name] == 0.0)


def _score_plans(
    scene: CachedScene, prepared: PreparedScene, plans: Plans, devkit: Devkit, states: Float
) -> tuple[Float, NDArray[np.int16]]:
    """Kernel results of plans; `states` (11, 41, N) receives the simulated states, (11, 41, 0) does not.

    Raises:
        DataError: a plan that leads to states that are not finite.
    """
    result = np.empty((len(plans), COLUMNS))
    events = np.empty((len(plans), 2), dtype=np.int16)
    stopped = kernels_plans.score_plans(
        prepared.ego_state,
        plans.knots,
        sampling(plans, scene.time_us),
        speed_factors(),
        _scene_arrays(prepared, devkit),
        devkit is Devkit.V2,
        TTC_LAST_STEP[devkit],
        result,
        events,
        states,
    )
    if stopped != kernels_plans.ALL_FINITE:
        raise DataError(f"a simulated state of proposal {plans.order[stopped]} is not finite (NaN or infinite)")
    if states.shape[2] > 0:
        states[...] = plans.as_given(states.T).T
    return plans.as_given(result), plans.as_given(events)


def _score_states(
    prepared: PreparedScene, states: Float, devkit: Devkit, with_areas: bool
) -> tuple[Float, NDArray[np.int16], NDArray[np.bool_]]:
    """Kernel results of simulated states (N, 41, 11).

    Raises:
        DataError: states of a wrong shape or not finite.
    """
    states = np.asarray(states, dtype=np.float64)
    if states.ndim != 3 or states.shape[1:] != (STEPS, STATE_SIZE):
        raise DataError(f"states must have shape (N, {STEPS}, {STATE_SIZE}), got {states.shape}")
    count = len(states)
    if not np.isfinite(states).all():
        bad = next(n for n in range(count) if not np.isfinite(states[n]).all())
        raise DataError(f"a simulated state of proposal {bad} is not finite (NaN or infinite)")
    if prepared.around is not None and not lies_within(surroundings(states), prepared.around):
        raise DataError(f"scene {prepared.token} was prepared for other states, around which these do not stay")
    result = np.empty((count, COLUMNS))
    events = np.empty((count, 2), dtype=np.int16)
    ego_areas = np.zeros((count if with_areas else 0, STEPS, 3), dtype=np.bool_)
    score_states(
        np.ascontiguousarray(states.transpose(2, 1, 0)),
        _scene_arrays(prepared, devkit),
        devkit is Devkit.V2,
        TTC_LAST_STEP[devkit],
        result,
        events,
        ego_areas,
    )
    return result, events, ego_areas


def _scene_arrays(prepared: PreparedScene, devkit: Devkit) -> tuple[Any, ...]:
    """What the kernels take as a scene."""
    x, y, heading = prepared.ego_state[:3]
    frame = np.array([x, y, np.cos(heading), np.sin(heading)])
    traffic, comfort = prepared.traffic_of(devkit), prepared.comfort[devkit]
    return frame, prepared.areas, prepared.path, traffic, prepared.lights, comfort


def _scored_together(result: Float, rules: Protocol) -> dict[str, Float]:
    """(N,) sub-scores by column name, ego progress normalised over the batch."""
    values = _sub_scores(result, rules)
    progress = result[:, Column.PROGRESS]
    gates = aggregate.gate(values, rules)
    best = float((progress * gates).max()) if len(progress) else 0.0
    values[metrics.EGO_PROGRESS.name] = aggregate.normalised_progress(progress, gates, best, rules)
    return values


def _sub_scores(result: Float, rules: Protocol) -> dict[str, Float]:
    """(N,) sub-scores by column name; ego progress is filled in by the caller, who knows what it is compared with."""
    columns = {
        metrics.NO_AT_FAULT_COLLISIONS.name: Column.COLLISION,
        metrics.DRIVABLE_AREA_COMPLIANCE.name: Column.DRIVABLE,
        metrics.DRIVING_DIRECTION_COMPLIANCE.name: Column.DIRECTION,
        metrics.TRAFFIC_LIGHT_COMPLIANCE.name: Column.LIGHTS,
        metrics.EGO_PROGRESS.name: Column.PROGRESS,
        metrics.TIME_TO_COLLISION.name: Column.TTC,
        metrics.LANE_KEEPING.name: Column.LANE,
        metrics.HISTORY_COMFORT.name: Column.COMFORT,
        metrics.COMFORT.name: Column.COMFORT,
    }
    return {metric.name: result[:, columns[metric.name]].copy() for metric in rules.metrics}


def _protocol(protocol: Protocol | str) -> Protocol:
    return protocols_module.protocol(protocol) if isinstance(protocol, str) else protocol

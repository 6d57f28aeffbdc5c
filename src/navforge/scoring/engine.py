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
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring import aggregate, metrics
from navforge.scoring import protocols as protocols_module
from navforge.scoring.against_reference import sub_scores
from navforge.scoring.kernels import plans as kernels_plans
from navforge.scoring.kernels.block import COLUMNS, Column, score_states
from navforge.scoring.prepare.scene import PreparedScene, prepare
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
        prepared: `scoring.prepare.scene.prepare` of the scene.
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
        DataError: malformed plans, a scene that lacks what a protocol needs or is not finite, `prepared` of another
            scene or only around some states, or several plans in reactive traffic.
    """
    rules = [_protocol(chosen) for chosen in protocols]
    check_traffic(traffic, rules)
    plans = poses if isinstance(poses, Plans) else prepare_plans(poses, interval_s)
    if plans.interval_s != interval_s:
        raise DataError(f"these plans were prepared for poses {plans.interval_s} s apart, not {interval_s} s")
    devkits = list(dict.fromkeys(one.devkit for one in rules))
    few = len(plans) < RASTER_FROM_PROPOSALS or traffic == REACTIVE
    filtered = [one for one in rules if (one.human_filter if human_filter is None else human_filter)]
    driven = _Driven(
        plans=_finite(drive(scene.ego_state, scene.time_us, plans), "proposal {}") if few else None,
        reference=_finite(simulate(scene.ego_state, scene.pdm_reference_input[devkits]), "PDM-Closed reference {}"),
        human=_drive_human(scene) if filtered else None,
    )
    if prepared is None:
        prepared = prepare(scene, devkits=devkits, raster=not few, around=driven.around() if few else None)
    else:
        prepared.check_serves(scene)
    reactive = prepare_reactive(scene) if traffic == REACTIVE else None
    states = np.empty((STATE_SIZE, STEPS, len(plans) if with_states and not few else 0))
    runs = {
        devkit: _run(scene, prepared, plans, driven, driven.reference[k : k + 1], devkit, reactive, states)
        for k, devkit in enumerate(devkits)
    }
    shown = (driven.plans if few else states.transpose(2, 1, 0)) if with_states else None
    return {one.name: _compare(runs[one.devkit], shown, one, one in filtered) for one in rules}


def human_scores(
    scene: CachedScene, prepared: PreparedScene, protocol: Protocol, reactive: ReactiveScene | None = None
) -> dict[str, float] | None:
    """Sub-scores of the human driver alone, as the human filter sees them; None for a synthetic scene.

    With `reactive`, the traffic reacts to the human.

    The filter's run gives the scorer no history, so history comfort is 1; alone in its batch, the human also has
    ego progress 1.
    """
    states = _drive_human(scene)
    if states is None:
        return None
    if reactive is not None:
        prepared = react_to(prepared, reactive, states)
    result, _, _ = _score_states(prepared, states, protocol.devkit, False)
    human = {name: float(value[0]) for name, value in _scored_together(result, protocol).items()}
    human[metrics.HISTORY_COMFORT.name] = 1.0
    return human


HUMAN_INTERVAL_S = 0.5


def _drive_human(scene: CachedScene) -> Float | None:
    """(1, 41, 11) simulated states of the human driver; None for a synthetic scene, which has none."""
    if scene.human_poses is None or scene.synthetic:
        return None
    plans = prepare_plans(scene.human_poses[None], HUMAN_INTERVAL_S)
    return _finite(drive(scene.ego_state, scene.time_us, plans), "human driver {}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Driven:
    """Simulated states, global frame."""

    plans: Float | None
    """(N, 41, 11) of the plans; None where there are many, which are simulated block by block as they are scored."""
    reference: Float
    """(D, 41, 11) of the PDM-Closed reference of each release asked for."""
    human: Float | None
    """(1, 41, 11) of the human driver where the human filter needs them."""

    def around(self) -> Float:
        """Bounds of what the scores of these states can depend on."""
        parts = (self.plans, self.reference, self.human)
        return surroundings(np.concatenate([part for part in parts if part is not None]))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """Kernel results under the rules of one release."""

    count: int
    """N plans."""
    result: Float
    """(N + 1 or N + 2, `Column`) of the plans, of the reference and, where the human filter needs it, of the human."""
    events: NDArray[np.int16]
    """(N, 2) of the plans."""


def _run(
    scene: CachedScene,
    prepared: PreparedScene,
    plans: Plans,
    driven: _Driven,
    reference: Float,
    devkit: Devkit,
    reactive: ReactiveScene | None,
    states: Float,
) -> _Run:
    """Kernel results of plans, `reference` and human; `states` as in `_score_plans`."""
    results, events, together = [], [], [reference]
    if driven.plans is None:
        result, event = _score_plans(scene, prepared, plans, devkit, states)
        results.append(result)
        events.append(event)
    else:
        together.insert(0, driven.plans)
    if driven.human is not None and reactive is None:
        together.append(driven.human)
    answered = prepared if reactive is None or driven.plans is None else react_to(prepared, reactive, driven.plans)
    result, event, _ = _call_kernels(answered, np.concatenate(together), devkit, False)
    results.append(result)
    events.append(event)
    if driven.human is not None and reactive is not None:
        answered = react_to(prepared, reactive, driven.human)
        results.append(_call_kernels(answered, driven.human, devkit, False)[0])
    return _Run(
        count=len(plans),
        result=np.concatenate(results) if len(results) > 1 else result,
        events=(np.concatenate(events) if len(events) > 1 else event)[: len(plans)],
    )


def _compare(run: _Run, states: Float | None, rules: Protocol, filtered: bool) -> PlanScores:
    """Scores of plans from kernel results; gates and progress of all rows are computed at once."""
    rows, count = np.ascontiguousarray(run.result.T), run.count
    every = sub_scores(rows, rules)
    progress = rows[Column.PROGRESS]
    gates = aggregate.gate(every, rules)
    gated = progress * gates
    best = np.maximum(gated, gated[count])
    best[count + 1 :] = gated[count + 1 :]
    every[metrics.EGO_PROGRESS.name] = aggregate.normalised_progress(progress, gates, best, rules)
    forgiven = _forgiven(every, rules) if filtered and len(gated) > count + 1 else ()
    values = {name: value[:count] for name, value in every.items()}
    shown = {name: np.ones_like(value) if name in forgiven else value for name, value in values.items()}
    scored = shown if rules.filter_enters_score or not rules.human_filter else values
    return PlanScores(
        protocol=rules.name,
        values=shown,
        scored=scored,
        progress_m=progress[:count],
        score=aggregate.score(scored, rules),
        unfiltered=values,
        forgiven=forgiven,
        gates=gates[:count],
        reference_progress_m=float(progress[count]),
        reference_gated_m=float(gated[count]),
        collision_step=run.events[:, 0].copy(),
        ttc_step=run.events[:, 1].copy(),
        states=states,
    )


def _forgiven(values: dict[str, Float], rules: Protocol) -> tuple[str, ...]:
    """Columns in which the human driver, the last row, scores exactly 0 (0.5 is not forgiven); see `human_scores`."""
    columns = (name for name in rules.columns if name != metrics.HISTORY_COMFORT.name)
    return tuple(name for name in columns if values[name][-1] == 0.0)


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
    _finite(states, "proposal {}")
    if prepared.around is not None and not lies_within(surroundings(states), prepared.around):
        raise DataError(f"scene {prepared.token} was prepared for other states, around which these do not stay")
    return _call_kernels(prepared, states, devkit, with_areas)


def _finite(states: Float, name: str) -> Float:
    """The same states (N, 41, 11).

    Raises:
        DataError: one is not finite; `name` has a place for its number.
    """
    finite = np.isfinite(states)
    if not finite.all():
        bad = int(np.flatnonzero(~finite.all(axis=(1, 2)))[0])
        raise DataError(f"a simulated state of {name.format(bad)} is not finite (NaN or infinite)")
    return states


def _call_kernels(
    prepared: PreparedScene, states: Float, devkit: Devkit, with_areas: bool
) -> tuple[Float, NDArray[np.int16], NDArray[np.bool_]]:
    """`_score_states` of states known to be finite and within the surroundings."""
    count = len(states)
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
    return {name: value.copy() for name, value in sub_scores(result.T, rules).items()}


def _protocol(protocol: Protocol | str) -> Protocol:
    return protocols_module.protocol(protocol) if isinstance(protocol, str) else protocol

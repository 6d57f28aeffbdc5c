"""Score proposals: the one engine behind evaluation, teacher stores, rewards and PDM-Closed.

A new sub-score computed per scene is described in `metrics.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring import aggregate, metrics
from navforge.scoring import protocols as protocols_module
from navforge.scoring.against_reference import compare, forgiven_columns, reference_gated, sub_scores
from navforge.scoring.batch.arrays import join_scenes
from navforge.scoring.batch.cpu import score_batch_on_cpu
from navforge.scoring.kernels.block import score_states
from navforge.scoring.metrics import Column
from navforge.scoring.prepare.scene import PreparedScene, prepare
from navforge.scoring.protocols import TTC_LAST_STEP, Protocol
from navforge.scoring.surroundings import lies_within, surroundings
from navforge.scoring.traffic import LOG_REPLAY, REACTIVE, check_traffic, react_to
from navforge.simulation.plans import Plans, prepare_plans
from navforge.simulation.reactive import ReactiveScene, prepare_reactive
from navforge.simulation.rollout import drive, simulate
from navforge.simulation.tracker import STEPS

Float = NDArray[np.float64]

RASTER_FROM_PROPOSALS = 16
"""From so many plans on a raster over the map is worth the time it takes to make; scores are the same without."""


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


def score_proposals(prepared: PreparedScene, states: Float, protocol: Protocol | str) -> ProposalScores:
    """Score simulated proposals together.

    Args:
        prepared: `scoring.prepare.scene.prepare` of the scene.
        states: (N, 41, 11) simulated states, global frame (`simulation.rollout.simulate`).
        protocol: the rules, or their name.

    Raises:
        DataError: wrong shape, or the scene has too few frames for the protocol.
    """
    rules = _protocol(protocol)
    result, events = _score_states(prepared, states, rules.devkit)
    values = _scored_together(result, rules)
    return ProposalScores(
        protocol=rules.name,
        values=values,
        progress_m=result[:, Column.PROGRESS].copy(),
        score=aggregate.score(values, rules),
        collision_step=events[:, 0].copy(),
        ttc_step=events[:, 1].copy(),
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
    runs = {
        devkit: _run(prepared, plans, driven, driven.reference[k : k + 1], devkit, reactive)
        for k, devkit in enumerate(devkits)
    }
    states = drive(scene.ego_state, scene.time_us, plans) if with_states and not few else driven.plans
    return {
        one.name: _compare(runs[one.devkit], states if with_states else None, one, one in filtered) for one in rules
    }


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
    result, _ = _score_states(prepared, states, protocol.devkit)
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
    prepared: PreparedScene,
    plans: Plans,
    driven: _Driven,
    reference: Float,
    devkit: Devkit,
    reactive: ReactiveScene | None,
) -> _Run:
    """Kernel results of plans, `reference` and human."""
    results, events, together = [], [], [reference]
    if driven.plans is None:
        result, event = _score_plans(prepared, plans, devkit)
        results.append(result)
        events.append(event)
    else:
        together.insert(0, driven.plans)
    if driven.human is not None and reactive is None:
        together.append(driven.human)
    answered = prepared if reactive is None or driven.plans is None else react_to(prepared, reactive, driven.plans)
    result, event = _call_kernels(answered, np.concatenate(together), devkit)
    results.append(result)
    events.append(event)
    if driven.human is not None and reactive is not None:
        answered = react_to(prepared, reactive, driven.human)
        results.append(_call_kernels(answered, driven.human, devkit)[0])
    return _Run(
        count=len(plans),
        result=np.concatenate(results) if len(results) > 1 else result,
        events=(np.concatenate(events) if len(events) > 1 else event)[: len(plans)],
    )


def _compare(run: _Run, states: Float | None, rules: Protocol, filtered: bool) -> PlanScores:
    """Scores of plans from kernel results."""
    rows, count = np.ascontiguousarray(run.result.T), run.count
    reference, human = rows[:, count], rows[:, count + 1 :]
    reference_gated_m = float(reference_gated(reference, rules))
    failed = {name: bool(fails[0]) for name, fails in forgiven_columns(human, rules).items()} if human.size else {}
    forgiven = tuple(name for name in rules.columns if filtered and failed.get(name, False))
    compared = compare(rows[:, :count], reference_gated_m, dict.fromkeys(forgiven, True), rules)
    return PlanScores(
        protocol=rules.name,
        values=compared.values,
        scored=compared.scored,
        progress_m=rows[Column.PROGRESS, :count],
        score=compared.score,
        unfiltered=compared.unfiltered,
        forgiven=forgiven,
        gates=compared.gates,
        reference_progress_m=float(reference[Column.PROGRESS]),
        reference_gated_m=reference_gated_m,
        collision_step=run.events[:, 0].copy(),
        ttc_step=run.events[:, 1].copy(),
        states=states,
    )


def _score_plans(prepared: PreparedScene, plans: Plans, devkit: Devkit) -> tuple[Float, NDArray[np.int16]]:
    """Kernel results of plans: a batch of one scene.

    Raises:
        DataError: a plan that leads to states that are not finite.
    """
    batch, _, _ = join_scenes([prepared.arrays(devkit)])
    results, events = score_batch_on_cpu(batch, devkit, plans.poses, plans.interval_s, shared=True, threads=1)
    overflowed = np.flatnonzero(np.isnan(results[0, :, Column.PROGRESS]))
    if len(overflowed):
        number = plans.order[overflowed].min()
        raise DataError(f"a simulated state of proposal {number} is not finite (NaN or infinite)")
    return plans.as_given(results[0]), plans.as_given(events[0])


def _score_states(prepared: PreparedScene, states: Float, devkit: Devkit) -> tuple[Float, NDArray[np.int16]]:
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
    return _call_kernels(prepared, states, devkit)


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


def _call_kernels(prepared: PreparedScene, states: Float, devkit: Devkit) -> tuple[Float, NDArray[np.int16]]:
    """`_score_states` of states known to be finite and within the surroundings."""
    result = np.empty((len(states), len(Column)))
    events = np.empty((len(states), 2), dtype=np.int16)
    score_states(
        np.ascontiguousarray(states.transpose(2, 1, 0)),
        prepared.arrays(devkit),
        devkit is Devkit.V2,
        TTC_LAST_STEP[devkit],
        result,
        events,
    )
    return result, events


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

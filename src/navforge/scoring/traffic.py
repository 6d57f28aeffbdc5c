"""What other road users do while a plan is scored: replay the log, or react to the ego."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import ConfigError, DataError
from navforge.geometry.columns import State
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.prepare.traffic import prepare_traffic
from navforge.scoring.protocols import Protocol
from navforge.simulation.reactive import ReactiveScene, simulate_traffic

LOG_REPLAY = "log_replay"
"""Everybody does what was logged, whatever the plan; the devkit's `traffic_agents=non_reactive`."""
REACTIVE = "reactive"
"""Vehicles react to the plan (`simulation.reactive`); the devkit's `traffic_agents=reactive`."""
TRAFFIC = (LOG_REPLAY, REACTIVE)


def check_traffic(traffic: str, protocols: Iterable[Protocol]) -> None:
    """Refuse an unknown traffic mode, or one that a protocol's benchmark does not have.

    Raises:
        ConfigError: names the value or the protocol.
    """
    if traffic not in TRAFFIC:
        raise ConfigError(f"traffic: expected one of {', '.join(TRAFFIC)}, got {traffic!r}")
    without = [rules.name for rules in protocols if not rules.reactive_traffic]
    if traffic == REACTIVE and without:
        raise ConfigError(
            f"traffic=reactive: the benchmark of protocol {', '.join(without)} has no reactive traffic; use "
            "traffic=log_replay, or a protocol of NAVSIM v2"
        )


def react_to(arrays: SceneArrays, reactive: ReactiveScene, states: NDArray[np.float64]) -> SceneArrays:
    """The scene with the traffic as it reacts to one plan.

    Objects that overlap the ego at the current step are kept, as in the devkit (its log replay drops them).

    Args:
        arrays: the scene, whatever its traffic.
        reactive: `prepare_reactive` of the scene.
        states: (1, 41, 11) simulated states of the plan, global frame.

    Raises:
        DataError: several plans, each of which has a traffic of its own.
    """
    if len(states) != 1:
        raise DataError(
            f"scene {reactive.token}: {len(states)} plans were given, but reactive traffic answers one plan; score "
            "plans one by one, or with traffic=log_replay"
        )
    tracks = simulate_traffic(reactive, states[0])
    origin = arrays.ego_state[: State.HEADING + 1]
    return arrays._replace(traffic=prepare_traffic(tracks, origin, drop_overlapping=False))

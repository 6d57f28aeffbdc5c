"""Reactive traffic: a scene whose vehicles react to one plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import State
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.prepare.traffic import prepare_traffic
from navforge.simulation.reactive import ReactiveScene, simulate_traffic


def react_to(arrays: SceneArrays, reactive: ReactiveScene, states: NDArray[np.float64]) -> SceneArrays:
    """The scene with the traffic as it reacts to one plan.

    Objects that overlap the ego at the current step are kept, as in the devkit (its log replay drops them).

    Args:
        arrays: the scene, whatever its traffic.
        reactive: `prepare_reactive` of the scene.
        states: (1, 41, 11) simulated states of the plan, global frame.

    Raises:
        DataError: several plans, each of which meets different traffic.
    """
    if len(states) != 1:
        raise DataError(
            f"scene {reactive.token}: {len(states)} plans were given, but reactive traffic answers one plan; score "
            "plans one by one, or with traffic=log_replay"
        )
    tracks = simulate_traffic(reactive, states[0])
    origin = arrays.ego_state[: State.HEADING + 1]
    return arrays._replace(traffic=prepare_traffic(tracks, origin, drop_overlapping=False))

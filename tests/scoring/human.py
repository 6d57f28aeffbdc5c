"""Sub-scores of the human driver, as the human filter takes them."""

from __future__ import annotations

from navforge.metric_cache.scene import CachedScene
from navforge.scoring.against_reference import against
from navforge.scoring.drivers import drive_human
from navforge.scoring.engine import HUMAN, score_drives
from navforge.scoring.metrics import HISTORY_COMFORT
from navforge.scoring.prepare.reaction import react_to
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.reactive import prepare_reactive


def human_scores(scene: CachedScene, name: str = "epdms_v2", *, reactive: bool = False) -> dict[str, float] | None:
    """None for a synthetic scene; with `reactive`, the traffic reacts to the human."""
    rules, states = protocol(name), drive_human(scene)
    if states is None:
        return None
    arrays = prepare(scene, rules.devkit)
    if reactive:
        arrays = react_to(arrays, prepare_reactive(scene), states)
    results, _ = score_drives(arrays, rules.devkit, {HUMAN: states})[HUMAN]
    values = {name: float(value[0]) for name, value in against(results, 0.0, rules).items()}
    return {**values, HISTORY_COMFORT.name: 1.0}  # the filter's run gives the scorer no history

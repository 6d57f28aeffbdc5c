"""Which scenes to show: the ones a reader learns from, the same ones every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from navforge.geometry.columns import Pose, State
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene

NEAR_M = 12.0
"""Another agent this close to the human's path makes a scene a conflict."""
PER_LOG = 2
"""After this many scenes of a log, other logs go first."""


@dataclass(frozen=True, kw_only=True)
class SceneFacts:
    """What the choice looks at."""

    token: str
    log_name: str
    turn: float
    """rad the human turns in 4 s, left positive; 0 without a human trajectory."""
    speed: float
    """m/s now."""
    travel: float
    """m the human drives in 4 s."""
    nearest: float
    """m between the human's path and the nearest moving agent, at equal times, centre to centre."""
    score: float
    """Score of the planner shown."""
    baseline: float
    """Score of the planner it is compared with."""


@dataclass(frozen=True)
class Choice:
    """A scene and why it is shown."""

    token: str
    reason: str


def facts_of(scene: CachedScene, score: float, baseline: float) -> SceneFacts:
    """Facts of a cached scene and the scores of two planners in it."""
    human = scene.human_poses
    speed = float(np.hypot(scene.ego_state[State.VELOCITY_X], scene.ego_state[State.VELOCITY_Y]))
    common = {"token": scene.token, "log_name": scene.log_name, "speed": speed, "score": score, "baseline": baseline}
    if human is None:
        return SceneFacts(turn=0.0, travel=0.0, nearest=np.inf, **common)
    steps = np.concatenate([np.zeros((1, 2)), human[:, :2]])
    return SceneFacts(
        turn=float(np.unwrap([0.0, *human[:, Pose.HEADING].tolist()])[-1]),
        travel=float(np.hypot(*np.diff(steps, axis=0).T).sum()),
        nearest=_nearest(scene, human),
        **common,
    )


def _nearest(scene: CachedScene, human: np.ndarray) -> float:
    objects = scene.objects(Devkit.V2)
    at = np.arange(5, 41, 5)
    cos, sin = np.cos(scene.ego_state[State.HEADING]), np.sin(scene.ego_state[State.HEADING])
    path = human[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + scene.ego_state[[State.X, State.Y]]
    path = path[: len(at)]
    moving = np.hypot(objects.velocity[:, at[: len(path)], 0], objects.velocity[:, at[: len(path)], 1]) > 0.5
    there = objects.valid[:, at[: len(path)]] & moving
    if not there.any():
        return np.inf
    gaps = np.hypot(*np.moveaxis(objects.pose[:, at[: len(path)], :2] - path[None], 2, 0))
    return float(gaps[there].min())


def choose_scenes(scenes: Sequence[SceneFacts], count: int = 12) -> list[Choice]:
    """Up to `count` different scenes: one per reason in turn, not many of one log, ties by token.

    The reasons go round: left turn, right turn, stopping, conflict, worst score, largest gain and loss against the
    baseline, best score while driving, an ordinary scene; then the next of each.
    """
    chosen: list[Choice] = []
    taken: set[str] = set()
    logs: dict[str, int] = {}
    middle = float(np.median([scene.score for scene in scenes])) if scenes else 0.0
    reasons = _reasons(middle)
    exhausted: set[str] = set()
    while len(chosen) < count and len(exhausted) < len(reasons):
        for reason, fits, merit in reasons:
            candidates = [scene for scene in scenes if scene.token not in taken and fits(scene)]
            if not candidates or len(chosen) >= count:
                exhausted.add(reason)
                continue
            best = min(candidates, key=lambda s: (logs.get(s.log_name, 0) // PER_LOG, -merit(s), s.token))
            chosen.append(Choice(best.token, reason))
            taken.add(best.token)
            logs[best.log_name] = logs.get(best.log_name, 0) + 1
    return chosen


_Reason = tuple[str, Callable[[SceneFacts], bool], Callable[[SceneFacts], float]]


def _reasons(middle: float) -> list[_Reason]:
    """Name, condition and merit (larger is better) of each reason."""
    return [
        ("left turn", lambda s: s.turn > 0.5, lambda s: s.turn),
        ("right turn", lambda s: s.turn < -0.5, lambda s: -s.turn),
        ("worst score", lambda s: s.score < middle, lambda s: -s.score),
        ("stopping", lambda s: s.speed > 4.0 and s.travel < 2.4 * s.speed, lambda s: s.speed - s.travel / 4.0),
        ("conflict", lambda s: s.nearest < NEAR_M and s.travel > 4.0, lambda s: -s.nearest),
        ("gain over the baseline", lambda s: s.score > s.baseline + 0.05, lambda s: s.score - s.baseline),
        ("loss against the baseline", lambda s: s.score < s.baseline - 0.05, lambda s: s.baseline - s.score),
        ("pulling away", lambda s: s.speed < 1.0 and s.travel > 6.0, lambda s: s.travel),
        ("best score", lambda s: s.travel > 15.0, lambda s: s.score),
        ("ordinary scene", lambda s: True, lambda s: -abs(s.score - middle)),
    ]

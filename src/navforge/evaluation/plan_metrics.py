"""What every evaluation says of a plan beside its score and never as part of it: errors, smoothness, clearance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import Pose
from navforge.geometry.se2 import wrap_angle
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.clearance import clearance
from navforge.scoring.smoothness import comfort_share, motion
from navforge.scoring.traffic import LOG_REPLAY

Float = NDArray[np.float64]

HUMAN_TIMES_S = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
"""Times of the human's poses."""


@dataclass(frozen=True)
class PlanMetric:
    """One column of `metrics.parquet`."""

    name: str
    unit: str
    """Empty for ratios."""
    meaning: str


_FELT = (
    ("acceleration", "mps2", "m/s2", "acceleration, along and across"),
    ("jerk", "mps3", "m/s3", "jerk, along and across"),
    ("yaw_rate", "radps", "rad/s", "yaw rate"),
    ("yaw_acceleration", "radps2", "rad/s2", "yaw acceleration"),
    ("curvature_rate", "pms", "1/(m s)", "change of the driven path's curvature over time"),
)
"""Series of `smoothness.motion`: their names, units as in column names and as written, and what they are."""

PLAN_METRICS = (
    PlanMetric("ade_m", "m", "mean distance of the plan's 8 poses at 2 Hz from the human's; null in synthetic scenes"),
    PlanMetric("fde_m", "m", "distance at 4 s; null in synthetic scenes"),
    PlanMetric("heading_error_rad", "rad", "mean absolute difference of the 8 headings; null in synthetic scenes"),
    *(
        PlanMetric(f"{name}_{which}_{suffix}", unit, f"{words} {meaning} as driven")
        for name, suffix, unit, meaning in _FELT
        for which, words in (("max", "largest"), ("rms", "root mean square"))
    ),
    PlanMetric(
        "comfort_share", "", "largest ratio to a bound of history comfort, history included; comfortable below 1"
    ),
    PlanMetric("clearance_m", "m", "smallest gap between the ego's box and any other; null in reactive traffic"),
)
"""Columns that `measure_plans` gives, in order."""

ORACLE_GAP = PlanMetric(
    "oracle_gap",
    "",
    "best teacher score of any entry minus that of the chosen one, without extended comfort; with `teacher=` only",
)
"""The column of `evaluation.oracle_gap`."""


def measure_plans(
    scene: CachedScene, poses: Float, interval_s: float, states: Float, traffic: str = LOG_REPLAY
) -> dict[str, Float]:
    """Every metric of `PLAN_METRICS`, for N plans of one scene; NaN where one does not apply.

    Args:
        scene: human trajectory, history and traffic.
        poses: (N, T, 3) plans in the ego frame, the current pose left out.
        interval_s: time between poses; they reach 4 s.
        states: (N, 41, 11) simulated states of the plans, global frame.
        traffic: what others did while the plans were scored; the cache holds the boxes of log replay only.
    """
    ade, fde, heading_error = human_errors(scene, poses, interval_s)
    values = {"ade_m": ade, "fde_m": fde, "heading_error_rad": heading_error}
    felt = motion(states)
    for name, suffix, *_ in _FELT:
        values[f"{name}_max_{suffix}"] = felt[name].max(axis=1)
        values[f"{name}_rms_{suffix}"] = np.sqrt((felt[name] ** 2).mean(axis=1))
    values["comfort_share"] = comfort_share(states, scene.history_states)
    replayed = traffic == LOG_REPLAY
    values["clearance_m"] = clearance(states, scene.objects_v2) if replayed else np.full(len(states), np.nan)
    return values


def human_errors(scene: CachedScene, poses: Float, interval_s: float) -> tuple[Float, Float, Float]:
    """Average displacement error (m), final displacement error (m), mean absolute heading error (rad), each (N,).

    Over the human's 8 poses, 0.5 to 4 s; plans with other times are interpolated linearly, from the current pose on.
    NaN where the scene has no human.
    """
    if scene.human_poses is None:
        none = np.full(len(poses), np.nan)
        return none, none, none
    at_human_times = _poses_at(poses, interval_s, HUMAN_TIMES_S)
    difference = at_human_times - scene.human_poses
    distance = np.hypot(difference[..., Pose.X], difference[..., Pose.Y])
    turned = np.abs(wrap_angle(difference[..., Pose.HEADING]))
    return distance.mean(axis=1), distance[:, -1], turned.mean(axis=1)


def _poses_at(poses: Float, interval_s: float, times_s: Float) -> Float:
    """Poses (N, len(times_s), 3) of plans at other times."""
    whole = np.concatenate([np.zeros_like(poses[:, :1]), poses], axis=1)
    whole[..., Pose.HEADING] = np.unwrap(whole[..., Pose.HEADING], axis=1)
    place = np.minimum(times_s / interval_s, whole.shape[1] - 1)
    low = np.minimum(place.astype(int), whole.shape[1] - 2)
    share = (place - low)[:, None]
    return (1 - share) * whole[:, low] + share * whole[:, low + 1]

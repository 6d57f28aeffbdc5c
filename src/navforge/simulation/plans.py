"""From the poses a planner returns to the 41 poses the simulator tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import Pose
from navforge.geometry.se2 import wrap_angle
from navforge.metric_cache.scene import CachedScene
from navforge.simulation.tracker import STEP_S, STEPS

Float = NDArray[np.float64]
US_PER_S = 1e6


def check_plans(poses: Float, interval_s: float) -> Float:
    """Plans as float64 (N, T, 3).

    Raises:
        DataError: a wrong shape, no poses, a pose that is not finite, or an interval that is not positive.
    """
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[2] != 3 or poses.shape[1] == 0:
        raise DataError(f"plans must have shape (N, T, 3) with T > 0 poses x, y, heading; got {poses.shape}")
    if not (np.isfinite(interval_s) and interval_s >= 1e-3):
        raise DataError(f"the interval between poses must be at least 0.001 s, got {interval_s}")
    finite = np.isfinite(poses).all(axis=-1)
    if not finite.all():
        plan, pose = (int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            f"plan {plan} has a pose that is not finite: pose {pose} is {poses[plan, pose].tolist()}; "
            f"{int((~finite.all(axis=-1)).sum())} of {len(poses)} plans have such poses"
        )
    return poses


def pose_times_us(count: int, interval_s: float, time_us: int) -> NDArray[np.int64]:
    """(count + 1,) times of the current pose and of a plan's poses, truncated to microseconds as the devkit does."""
    seconds = np.arange(0.0, count * interval_s, interval_s)[:count] + interval_s
    return np.concatenate([[time_us], _truncate_us(seconds, time_us)])


def sample_times_us(time_us: int) -> NDArray[np.int64]:
    """(41,) times at which the devkit samples a trajectory, before it clips them to the trajectory's own times."""
    return _truncate_us(np.arange(0.0, (STEPS - 1) * STEP_S + STEP_S, STEP_S)[:STEPS], time_us)


def reference_poses(poses: Float, interval_s: float, time_us: int, ego_pose: Float) -> Float:
    """Plans at 0.1 s over 4 s in the frame of `ego_pose`, interpolated linearly as the devkit does.

    A plan shorter than 4 s holds its last pose. Sources: NAVSIM's `transform_trajectory` and
    `get_trajectory_as_array`, whose microsecond truncation shifts some samples by 1 us.

    The plan is moved to the frame of `ego_pose` before it is interpolated, in the devkit's order of operations: global
    coordinates are so large that a position is rounded to 1e-9 m, and the curvature fitted to a plan that hardly
    moves depends on that rounding (up to 3e-5 m after 4 s).

    Args:
        poses: (N, T, 3) ego frame, the current pose left out.
        interval_s: time between poses.
        time_us: time of the current frame (truncation depends on it).
        ego_pose: (3,) current pose.

    Returns:
        (N, 41, 3), the first pose being the ego's; headings in [-pi, pi).

    Raises:
        DataError: see `check_plans`.
    """
    poses = check_plans(poses, interval_s)
    knots = np.empty((len(poses), poses.shape[1] + 1, 3))
    knots[:, 0] = ego_pose
    knots[:, 1:] = _compose(ego_pose, poses)
    knots[..., Pose.HEADING] = np.unwrap(knots[..., Pose.HEADING], axis=1)
    times = pose_times_us(poses.shape[1], interval_s, time_us).astype(np.float64)
    at = np.clip(sample_times_us(time_us), int(times[0]), int(times[-1])).astype(np.float64)
    upper = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    lower = upper - 1
    slope = (knots[:, upper] - knots[:, lower]) / (times[upper] - times[lower])[None, :, None]
    sampled = slope * (at - times[lower])[None, :, None] + knots[:, lower]
    sampled[..., Pose.HEADING] = wrap_angle(sampled[..., Pose.HEADING])
    return sampled


def to_reference_poses(scene: CachedScene, poses: Float, interval_s: float) -> Float:
    """`reference_poses` in the global frame of a scene: (N, T, 3) ego frame to (N, 41, 3) global."""
    return reference_poses(poses, interval_s, scene.time_us, scene.ego_state[:3])


def _compose(origin: Float, poses: Float) -> Float:
    """Poses (N, T, 3) relative to `origin`, by the arithmetic of 3x3 transformation matrices."""
    c, s = np.cos(origin[Pose.HEADING]), np.sin(origin[Pose.HEADING])
    relative_c, relative_s = np.cos(poses[..., Pose.HEADING]), np.sin(poses[..., Pose.HEADING])
    x, y = poses[..., Pose.X], poses[..., Pose.Y]
    heading = np.arctan2(s * relative_c + c * relative_s, c * relative_c - s * relative_s)
    return np.stack([(c * x - s * y) + origin[Pose.X], (s * x + c * y) + origin[Pose.Y], heading], axis=-1)


def _truncate_us(seconds: Float, time_us: int) -> NDArray[np.int64]:
    return np.array([int(t * US_PER_S) for t in seconds + time_us * 1e-6], dtype=np.int64)

"""From the poses a planner returns to the 41 poses the simulator tracks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import Pose
from navforge.geometry.lanes import WIDTH, aligned
from navforge.geometry.writable import writable
from navforge.metric_cache.scene import CachedScene
from navforge.simulation.interpolation import Sampling, fill_knots, fill_sampling
from navforge.simulation.kernels.rollout import interpolate_plans
from navforge.simulation.tracker import STEP_S, STEPS

Float = NDArray[np.float64]
US_PER_S = 1e6
STRIP_M = 2.0
MIN_INTERVAL_S, MAX_INTERVAL_S = 1e-3, 3600.0
HORIZON_S = 4.0
Array = TypeVar("Array", bound=NDArray[np.generic])


def check_interval(interval_s: float) -> float:
    """The interval between poses, s.

    Raises:
        DataError: not between 0.001 s and an hour; times are kept in whole microseconds.
    """
    if not MIN_INTERVAL_S <= interval_s <= MAX_INTERVAL_S:
        raise DataError(
            f"the interval between poses must be at least {MIN_INTERVAL_S} s and at most {MAX_INTERVAL_S:.0f} s, "
            f"got {interval_s}"
        )
    return float(interval_s)


def horizon_interval(interval_s: float, times: int) -> float:
    """The interval, s, between the poses of plans that are scored as a benchmark's are: over 4 s, evenly.

    What is within 1e-6 of an even division of the 4 s is taken for it, as a float32 0.1 is.

    Raises:
        DataError: the interval does not divide 4 s, or `times` poses do not reach 4 s (a plan that ends early would
            be scored as if the car stopped there).
    """
    interval_s = check_interval(interval_s)
    steps = HORIZON_S / interval_s
    if round(steps) == 0 or abs(steps - round(steps)) > 1e-6:
        raise DataError(
            f"interval_s={interval_s:g} s does not divide the {HORIZON_S:g} s that are scored; use 0.1, 0.2, 0.5, ..."
        )
    if times < round(steps):
        raise DataError(
            f"{times} poses of {interval_s:g} s reach {times * interval_s:g} s; at least {HORIZON_S:g} s "
            f"({round(steps)} poses) are needed, the current pose not counted"
        )
    return HORIZON_S / round(steps)


def check_plans(poses: Float, interval_s: float) -> Float:
    """Plans as float64 (N, T, 3).

    Raises:
        DataError: a wrong shape, no poses, a pose that is not finite, or an interval that is not positive.
    """
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[2] != 3 or poses.shape[1] == 0:
        raise DataError(f"plans must have shape (N, T, 3) with T > 0 poses x, y, heading; got {poses.shape}")
    check_interval(interval_s)
    finite = np.isfinite(poses).all(axis=-1)
    if not finite.all():
        plan, pose = (int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            f"plan {plan} has a pose that is not finite: pose {pose} is {poses[plan, pose].tolist()}; "
            f"{int((~finite.all(axis=-1)).sum())} of {len(poses)} plans have such poses"
        )
    return poses


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """Plans as the kernels read them: prepared once, used in any number of scenes."""

    knots: Float
    """(block, 3, T, 8) x, y, unwrapped heading in the ego frame, plans that end near each other in the same block; the
    last plan is repeated to fill its block."""
    poses: Float
    """(N, T, 3) the plans themselves, in the order of `knots`."""
    order: NDArray[np.int64]
    """(N,) number, as given, of each plan of `knots`."""
    count: int
    """N."""
    interval_s: float

    def __len__(self) -> int:
        """Number of plans."""
        return self.count

    def as_given(self, results: Array, axis: int = 0) -> Array:
        """Results of the plans of `knots`, one after the other along an axis, in the order the plans were given in."""
        if self.count <= WIDTH:
            return results
        ordered = np.empty_like(results)
        ordered[(slice(None),) * axis + (self.order,)] = results
        return ordered


def prepare_plans(poses: Float, interval_s: float) -> Plans:
    """Plans (N, T, 3) of poses in the ego frame, the current pose left out, `interval_s` apart.

    Raises:
        DataError: see `check_plans`.
    """
    poses = writable(check_plans(poses, interval_s))
    count, steps, _ = poses.shape
    shape = -(-count // WIDTH), 3, steps, WIDTH
    knots = aligned(math.prod(shape)).reshape(shape)
    order = _by_end(poses)
    poses = poses[order]
    fill_knots(poses, knots)
    return Plans(knots=knots, poses=poses, order=order, count=count, interval_s=float(interval_s))


def _by_end(poses: Float) -> NDArray[np.int64]:
    """(N,) numbers of plans ordered by where they end: strip by strip along x, by y within.

    Kernels take eight plans at a time and look only at what may matter to any of them, so eight that stay together
    take a fraction of the time. One block of plans stays as it is.
    """
    if len(poses) <= WIDTH:
        return np.arange(len(poses))
    end = poses[:, -1]
    return np.lexsort((end[:, Pose.Y], np.floor(end[:, Pose.X] / STRIP_M)))


def sampling(plans: Plans, time_us: int) -> Sampling:
    """Where the sample times of a scene, whose current frame is at `time_us`, lie among the poses of `plans`."""
    samples = Sampling(np.empty(STEPS, np.int64), np.empty(STEPS), np.empty(STEPS))
    fill_sampling(plans.knots.shape[2], plans.interval_s, time_us, *samples)
    return samples


def pose_times_us(count: int, interval_s: float, time_us: int) -> NDArray[np.int64]:
    """(count + 1,) times of the current pose and of a plan's poses, truncated to microseconds as the devkit does."""
    seconds = np.arange(count) * interval_s + interval_s
    return np.concatenate([[time_us], _truncate_us(seconds, time_us)])


def sample_times_us(time_us: int) -> NDArray[np.int64]:
    """(41,) times at which the devkit samples a trajectory, before it clips them to the trajectory's own times."""
    return _truncate_us(np.arange(STEPS) * STEP_S, time_us)


def reference_poses(poses: Float, interval_s: float, time_us: int, ego_pose: Float) -> Float:
    """Plans at 0.1 s over 4 s in the frame of `ego_pose`, interpolated linearly as the devkit does.

    A plan shorter than 4 s holds its last pose. Sources: NAVSIM's `transform_trajectory` and
    `get_trajectory_as_array`, whose microsecond truncation shifts some samples by 1 us.

    The plan is moved to the frame of `ego_pose` before it is interpolated, in the devkit's order of operations: global
    coordinates are so large that a position is rounded to 1e-9 m, and the curvature fitted to a plan that hardly
    moves depends on that rounding (up to 3e-5 m after 4 s). Headings are exact to 1e-15 either way.

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
    plans = prepare_plans(poses, interval_s)
    references = np.empty((len(plans), STEPS, 3))
    interpolate_plans(np.array(ego_pose, dtype=np.float64), plans.knots, sampling(plans, time_us), references)
    return plans.as_given(references)


def to_reference_poses(scene: CachedScene, poses: Float, interval_s: float) -> Float:
    """`reference_poses` in the global frame of a scene: (N, T, 3) ego frame to (N, 41, 3) global."""
    return reference_poses(poses, interval_s, scene.time_us, scene.ego_state[:3])


def _truncate_us(seconds: NDArray[np.floating], time_us: int) -> NDArray[np.int64]:
    return ((seconds + time_us * 1e-6) * US_PER_S).astype(np.int64)

"""Scores as a library: trajectories of many scenes in, sub-scores and scores out, in arrays of the same kind.

`score` takes NumPy arrays and torch tensors on CPU or GPU. On a GPU nothing leaves it: tensors are read where they lie,
scenes stay on it after the first call, and results are tensors on torch's current stream. torch is imported only for
tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import ConfigError, DataError
from navforge.geometry.writable import writable
from navforge.metric_cache.scene import CachedScene
from navforge.scoring import aggregate
from navforge.scoring import protocols as protocols_module
from navforge.scoring.against_reference import Scores, Terms, compare
from navforge.scoring.batch.cpu import score_batch_on_cpu, score_plans_on_cpu
from navforge.scoring.batch.scenes import SceneBatch, prepare_batch
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import Protocol
from navforge.simulation.plans import HORIZON_S, Plans, horizon_interval

if TYPE_CHECKING:
    import torch

Array = Any
"""A NumPy array or a torch tensor."""

USUAL_STEPS = (8, 40)


@overload
def score(
    scenes: SceneBatch | Sequence[CachedScene],
    trajectories: NDArray[Any] | Plans,
    protocol: Protocol | str = ...,
    *,
    interval_s: float | None = ...,
    human_filter: bool | None = ...,
    threads: int | None = ...,
) -> Scores[NDArray[Any]]: ...


@overload
def score(
    scenes: SceneBatch | Sequence[CachedScene],
    trajectories: torch.Tensor,
    protocol: Protocol | str = ...,
    *,
    interval_s: float | None = ...,
    human_filter: bool | None = ...,
    threads: int | None = ...,
) -> Scores[torch.Tensor]: ...


def score(
    scenes: SceneBatch | Sequence[CachedScene],
    trajectories: NDArray[Any] | torch.Tensor | Plans,
    protocol: Protocol | str = "epdms_v2",
    *,
    interval_s: float | None = None,
    human_filter: bool | None = None,
    threads: int | None = None,
) -> Scores[Any]:
    """Simulate and score trajectories, each compared with its scene's PDM-Closed reference alone.

    A trajectory's score does not depend on the others it is scored with, and equals that of `engine.score_plans` and
    of `navforge evaluate` (but for extended comfort) bit for bit, on CPU and GPU.

    Args:
        scenes: S scenes; prepared once by `prepare_batch` if they are scored more than once.
        trajectories: (S, N, T, 3) x, y, heading in the ego frame of each scene, m and rad, the current pose left out.
            NumPy array or torch tensor on CPU or a CUDA device (other CUDA arrays become tensors); taken as float64.
            Or N plans that `simulation.plans.prepare_plans` has prepared, the same in every scene, scored on the CPU.
        protocol: the rules, or their name.
        interval_s: time between poses; None: 4 s / T, for which T must be 8 or 40. Poses beyond 4 s are left aside.
            Prepared plans have their own.
        human_filter: forgive what the human driver also fails; None: where the protocol's benchmark does.
        threads: CPU threads; None: all this process may use. Scores do not depend on it. No meaning on a GPU.

    Raises:
        ConfigError: no protocol has that name, or another option is not one of those above.
        DataError: wrong shapes, poses that are not finite, scenes that lack what the protocol needs.
    """
    if human_filter not in (None, True, False):
        raise ConfigError(f"human_filter must be True, False or None (as the benchmark does), got {human_filter!r}")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    rules = protocols_module.protocol(protocol)
    batch = scenes if isinstance(scenes, SceneBatch) else prepare_batch(scenes, rules)
    if batch.devkit is not rules.devkit:
        raise DataError(
            f"these scenes were prepared for the rules of release {batch.devkit.name.lower()}, protocol {rules.name} "
            f"follows {rules.devkit.name.lower()}; prepare them with prepare_batch(scenes, {rules.name!r})"
        )
    if isinstance(trajectories, Plans):
        raw = score_plans_on_cpu(batch.arrays, batch.devkit, trajectories, threads=threads)
        return _compared(*raw, batch, batch.terms(rules, human_filter), rules)
    poses, as_given = _poses(trajectories)
    _check(poses, batch)
    interval_s = _interval(poses.shape[2], interval_s)
    if not isinstance(poses, np.ndarray):
        from navforge.scoring.batch.cuda import score_batch_on_gpu  # noqa: PLC0415 (a machine without a GPU needs none)

        results, events, terms = score_batch_on_gpu(batch, rules, human_filter, poses, interval_s)
        return _compared(results, events, batch, terms, rules)
    each = poses.reshape(-1, *poses.shape[2:])
    raw = score_batch_on_cpu(batch.arrays, batch.devkit, each, interval_s, threads=threads)
    return _compared(*raw, batch, batch.terms(rules, human_filter), rules).map(as_given)


def _compared(results: Array, events: Array, batch: SceneBatch, terms: Terms, rules: Protocol) -> Scores[Any]:
    _check_driven(results[int(Column.PROGRESS)], batch)
    return compare(results, events, terms, rules)


def _poses(trajectories: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Trajectories as float64 in C order, NumPy's unless they are on a GPU, and how to give back such arrays."""
    # A tensor that requires a gradient raises when it is asked for its array interface, so it is detached first.
    trajectories = trajectories.detach() if hasattr(trajectories, "detach") else trajectories
    is_tensor = hasattr(trajectories, "detach")
    if getattr(trajectories, "is_cuda", False) or (not is_tensor and hasattr(trajectories, "__cuda_array_interface__")):
        import torch  # noqa: PLC0415 (only for tensors)

        return torch.as_tensor(trajectories).to(torch.float64).contiguous(), lambda array: array
    if is_tensor:
        import torch  # noqa: PLC0415

        return writable(trajectories.cpu().to(torch.float64).numpy()), torch.from_numpy
    if isinstance(trajectories, np.ma.MaskedArray) or np.asarray(trajectories).dtype.kind not in "fiu":
        raise DataError(
            f"trajectories must be an array of real numbers, none masked; got {type(trajectories).__name__}"
        )
    return writable(trajectories), lambda array: array


def _interval(steps: int, interval_s: float | None) -> float:
    if interval_s is None:
        if steps not in USUAL_STEPS:
            raise DataError(
                f"the interval between the {steps} poses of a trajectory is not known; give interval_s (it is assumed "
                f"to be {HORIZON_S:g} s / T only for T in {USUAL_STEPS})"
            )
        return HORIZON_S / steps
    return horizon_interval(interval_s, steps)


def _check(poses: Array, batch: SceneBatch) -> None:
    """Raise `DataError` on trajectories of a wrong shape, or with poses that are not finite."""
    if poses.ndim != 4 or poses.shape[3] != 3 or poses.shape[2] == 0:
        raise DataError(
            f"trajectories must have shape (S, N, T, 3), poses x, y, heading, with T > 0; got {tuple(poses.shape)}"
        )
    if poses.shape[0] != len(batch):
        raise DataError(f"there are {len(batch)} scenes, but trajectories for {poses.shape[0]}")
    bad = _first_not_finite(poses)
    if bad is not None:
        scene, trajectory, pose, _ = bad
        raise DataError(
            f"trajectory {trajectory} of scene {scene} ({batch.tokens[scene]}) has a pose that is not finite: pose "
            f"{pose} is {[float(value) for value in poses[scene, trajectory, pose]]}"
        )


def _check_driven(progress_m: Array, batch: SceneBatch) -> None:
    """Raise `DataError` on a trajectory whose simulation overflowed."""
    bad = _first_not_finite(progress_m)
    if bad is not None:
        scene, trajectory = bad
        raise DataError(
            f"trajectory {trajectory} of scene {scene} ({batch.tokens[scene]}) lies so far off that its simulation "
            "overflows: its poses must be in metres and radians, in the ego frame"
        )


def _first_not_finite(array: Array) -> tuple[int, ...] | None:
    """Index of the first number that is not finite."""
    finite = aggregate.library_of(array).isfinite(array)
    if bool(finite.all()):
        return None
    finite = finite if isinstance(finite, np.ndarray) else finite.cpu().numpy()
    return tuple(int(i) for i in np.argwhere(~finite)[0])

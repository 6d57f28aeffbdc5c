"""Scenes prepared to be scored together, any number of times, on CPU and GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import SCORED_STEPS, CachedScene
from navforge.scoring import protocols as protocols_module
from navforge.scoring.against_reference import forgiven_columns, reference_gated
from navforge.scoring.batch.arrays import BatchArrays, Layout, arrays_in_memory, join_scenes
from navforge.scoring.batch.cpu import score_batch_on_cpu, score_references_on_cpu
from navforge.scoring.engine import HUMAN_INTERVAL_S
from navforge.scoring.metrics import Column
from navforge.scoring.prepare.scene import PreparedScene, prepare
from navforge.scoring.protocols import Protocol

Float = NDArray[np.float64]
HUMAN_POSES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneBatch:
    """S scenes prepared under the rules of one release, side by side in one piece of memory."""

    tokens: tuple[str, ...]
    devkit: Devkit
    arrays: BatchArrays
    layout: Layout
    memory: NDArray[np.uint8]
    reference_results: Float
    """(`Column`, S) raw results of the PDM-Closed references."""
    human_results: Float
    """(`Column`, S) raw results of the human drivers; meaningless where there is none."""
    has_human: NDArray[np.bool_]
    """(S,) whether the scene has a human driver; synthetic scenes have none."""
    resident: dict[Any, Any] = field(default_factory=dict)
    """What a GPU holds of this batch, by device."""

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.tokens)

    def __reduce__(self) -> Any:
        """For other processes: the memory once, without the arrays that lie in it and what GPUs hold."""
        own = (self.tokens, self.devkit, self.layout, self.memory)
        return _restored, (*own, self.reference_results, self.human_results, self.has_human)

    def yardsticks(self, rules: Protocol) -> tuple[Float, dict[str, NDArray[np.bool_]]]:
        """What plans are compared with: the reference's gated progress (S, 1), m, and what humans fail, by column."""
        reference_m = reference_gated(self.reference_results, rules)
        failed = forgiven_columns(self.human_results, rules)
        return reference_m[:, None], {name: (self.has_human & fails)[:, None] for name, fails in failed.items()}


def _restored(
    tokens: tuple[str, ...],
    devkit: Devkit,
    layout: Layout,
    memory: NDArray[np.uint8],
    reference_results: Float,
    human_results: Float,
    has_human: NDArray[np.bool_],
) -> SceneBatch:
    return SceneBatch(
        tokens=tokens,
        devkit=devkit,
        arrays=arrays_in_memory(layout, memory),
        layout=layout,
        memory=memory,
        reference_results=reference_results,
        human_results=human_results,
        has_human=has_human,
    )


def prepare_batch(
    scenes: Sequence[CachedScene],
    protocol: Protocol | str = "epdms_v2",
    *,
    prepared: Sequence[PreparedScene] | None = None,
    raster: bool = True,
    threads: int | None = None,
) -> SceneBatch:
    """Prepare scenes to be scored together, and score their references and human drivers once.

    Args:
        scenes: at least one.
        protocol: the batch serves this protocol and others of its release.
        prepared: `prepare(scene)` of each, if the caller has them already.
        raster: see `prepare`.
        threads: CPU threads; None: all this process may use.

    Raises:
        ConfigError: no protocol has that name.
        DataError: no scenes, a scene that lacks what the protocol needs or holds what is not finite, or `prepared` of
            other scenes or only around some states.
    """
    rules = protocols_module.protocol(protocol) if isinstance(protocol, str) else protocol
    devkit = rules.devkit
    for scene in scenes:
        _check_driven(scene, devkit)
    if prepared is None:
        prepared = [prepare(scene, devkits=[devkit], raster=raster) for scene in scenes]
    else:
        for one, scene in zip(prepared, scenes, strict=True):
            one.check_serves(scene)
    arrays, layout, memory = join_scenes([one.arrays(devkit) for one in prepared])
    references = np.stack([scene.pdm_reference_input[devkit] for scene in scenes])
    humans = [None if scene.synthetic else scene.human_poses for scene in scenes]
    human_poses = np.stack([np.zeros((HUMAN_POSES, 3)) if poses is None else poses for poses in humans])
    human_results, _ = score_batch_on_cpu(
        arrays, devkit, human_poses.astype(np.float64, copy=False), HUMAN_INTERVAL_S, threads=threads
    )
    reference_results = score_references_on_cpu(arrays, devkit, references, threads=threads)
    _check_simulated(scenes, "PDM-Closed reference", reference_results)
    _check_simulated(scenes, "human driver", human_results[:, 0])
    return SceneBatch(
        tokens=tuple(scene.token for scene in scenes),
        devkit=devkit,
        arrays=arrays,
        layout=layout,
        memory=memory,
        reference_results=reference_results.T.copy(),
        human_results=human_results[:, 0].T.copy(),
        has_human=np.array([poses is not None for poses in humans]),
    )


def _check_driven(scene: CachedScene, devkit: Devkit) -> None:
    """Check what is simulated before plans are: where they start, the reference and the human driver."""
    needed = [
        ("the ego state", scene.ego_state, (STATE_SIZE,)),
        ("the PDM-Closed reference", scene.pdm_reference_input[devkit], (SCORED_STEPS, 3)),
    ]
    if scene.human_poses is not None and not scene.synthetic:
        needed.append(("the human driver's poses", scene.human_poses, (HUMAN_POSES, 3)))
    for what, array, shape in needed:
        if array.shape != shape:
            raise DataError(f"scene {scene.token}: {what} must have shape {shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise DataError(f"scene {scene.token}: NaN or infinite numbers in {what}; cache the scene anew")


def _check_simulated(scenes: Sequence[CachedScene], who: str, results: Float) -> None:
    """Check raw results (S, `Column`): progress is NaN where a simulation overflowed."""
    overflowed = np.flatnonzero(np.isnan(results[:, Column.PROGRESS]))
    if len(overflowed):
        token = scenes[overflowed[0]].token
        raise DataError(f"scene {token}: a simulated state of the {who} is not finite (NaN or infinite)")

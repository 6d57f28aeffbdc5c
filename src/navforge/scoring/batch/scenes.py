"""Scenes prepared to be scored together, any number of times, on CPU and GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring import protocols as protocols_module
from navforge.scoring.against_reference import Terms, comparison_terms
from navforge.scoring.batch.arrays import BatchArrays, Layout, arrays_in_memory, join_scenes
from navforge.scoring.engine import HUMAN, REFERENCE, drive_scene
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import Protocol

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneBatch:
    """S scenes prepared under the rules of one release, side by side in one piece of memory."""

    tokens: tuple[str, ...]
    devkit: Devkit
    layout: Layout
    memory: NDArray[np.uint8]
    arrays: BatchArrays
    """They lie in `memory`."""
    reference_results: Float
    """(`Column`, S) raw results of the PDM-Closed references."""
    human_results: Float
    """(`Column`, S) raw results of the human drivers; NaN where there is none, as in synthetic scenes."""
    resident: dict[Any, Any] = field(default_factory=dict)
    """What a GPU holds of this batch, by device."""

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.tokens)

    def __reduce__(self) -> Any:
        """For other processes: the memory once, without the arrays that lie in it and what GPUs hold."""
        own = (self.tokens, self.devkit, self.layout, self.memory, self.reference_results, self.human_results)
        return _in_memory, own

    def terms(self, rules: Protocol, human_filter: bool | None = None) -> Terms:
        """What plans are compared with, arrays (S, 1); human_filter None: where the protocol's benchmark forgives."""
        filtered = rules.human_filter if human_filter is None else human_filter
        human = self.human_results[..., None] if filtered else None
        return comparison_terms(self.reference_results[..., None], human, rules)


def _in_memory(
    tokens: tuple[str, ...],
    devkit: Devkit,
    layout: Layout,
    memory: NDArray[np.uint8],
    reference_results: Float,
    human_results: Float,
) -> SceneBatch:
    return SceneBatch(
        tokens=tokens,
        devkit=devkit,
        layout=layout,
        memory=memory,
        arrays=arrays_in_memory(layout, memory),
        reference_results=reference_results,
        human_results=human_results,
    )


def prepare_batch(
    scenes: Sequence[CachedScene], protocol: Protocol | str = "epdms_v2", *, raster: bool = True
) -> SceneBatch:
    """Prepare scenes to be scored together, and score their references and human drivers once.

    Args:
        scenes: at least one.
        protocol: the batch serves this protocol and others of its release.
        raster: see `prepare.scene.prepare`.

    Raises:
        ConfigError: no protocol has that name.
        DataError: no scenes, or a scene that lacks what the protocol needs or holds what is not finite.
    """
    devkit = protocols_module.protocol(protocol).devkit
    driven = [one for scene in scenes for one in drive_scene(scene, [devkit], human=True, raster=raster)]
    _, layout, memory = join_scenes([arrays for arrays, _ in driven])
    reference, human = (np.full((len(Column), len(scenes)), np.nan) for _ in range(2))
    for s, (_, raw) in enumerate(driven):
        reference[:, s] = raw[REFERENCE][0][:, 0]
        if HUMAN in raw:
            human[:, s] = raw[HUMAN][0][:, 0]
    return _in_memory(tuple(scene.token for scene in scenes), devkit, layout, memory, reference, human)

"""What a planner thinks of the entries that some weights may choose, and their true scores: one file per log.

A file holds, per scene, only entries that no other beats over the whole box of weights searched
(`tuning.search`), and the one the planner's own weights choose: a few of 8192, and the result is still exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from navforge.core.errors import DataError, NavforgeError
from navforge.core.files import atomic_path
from navforge.core.outside.arrays import read_npz
from navforge.core.parallel import progress
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split
from navforge.models.heads.hydra_mdp import HydraMdpHead
from navforge.models.planner import Planner
from navforge.teacher.store import SCORE, TeacherStore
from navforge.training.inference import batches
from navforge.tuning.search import Candidates, unbeaten

ARRAYS = ("key", "tokens", "offsets", "entries", "confidences", "scores", "planned")


@dataclass(frozen=True)
class Confidences:
    """The candidates of a split."""

    tokens: tuple[str, ...]
    logs: NDArray[np.str_]
    """(S,) log of each scene."""
    candidates: Candidates
    planned: NDArray[np.int64]
    """(S,) place among the candidates of what the planner's own weights choose."""


def collect(
    planner: Planner,
    split: Split,
    data: DataConfig,
    teacher: TeacherStore,
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
    folder: Path,
    *,
    key: str,
    batch_size: int,
) -> Confidences:
    """Run the planner on every scene and keep its candidates; logs already in `folder` under the same key are kept.

    Args:
        planner: with a `hydra_mdp` head, in `eval()` mode, on the device to use.
        split: the scenes.
        data: where logs and sensor files are.
        teacher: true scores of every entry on these scenes.
        box: smallest and largest weights (K,) that will be tried.
        folder: one file per log.
        key: fingerprint of all that decides the contents.
        batch_size: scenes per forward pass.

    Raises:
        DataError: a sensor file is missing or damaged.
        NavforgeError: the planner's output is not finite; the scene is named.
    """
    parts = []
    with progress("planning", len(split)) as bar:
        for log_name, tokens in split.logs.items():
            path = folder / f"{log_name}.npz"
            part = _read(path, tokens, key)
            if part is None:
                part = {"key": np.array(key), "tokens": np.array(tokens)}
                part |= _collect_log(planner, split, log_name, data, teacher, box, batch_size)
                with atomic_path(path) as temporary, open(temporary, "wb") as file:
                    np.savez(file, **part)  # type: ignore[arg-type] (names are ours)
            parts.append(part)
            bar.advance(bar.task_ids[0], len(tokens))
    return _joined(split, parts)


def _collect_log(
    planner: Planner,
    split: Split,
    log_name: str,
    data: DataConfig,
    teacher: TeacherStore,
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
    batch_size: int,
) -> dict[str, NDArray[Any]]:
    head = planner.head
    assert isinstance(head, HydraMdpHead)
    device = head.vocabulary.device
    entries, confidences, scores, planned = [], [], [], []
    for batch, inputs in batches(planner, read_scenes(split, data, log_name), data, batch_size):
        with torch.inference_mode():
            output = planner({name: value.to(device) for name, value in inputs.items()})
            logs = head.log_confidences(output).float().cpu().numpy()
            own = head.plan(output).chosen
        assert own is not None
        for scene, found, entry in zip(batch, logs, own.tolist(), strict=True):
            if not np.isfinite(found).all():
                raise NavforgeError(f"{planner.config.name}: the confidences of scene {scene.token} are not finite")
            kept = np.union1d(unbeaten(found, *box), [entry])
            entries.append(kept.astype(np.int32))
            confidences.append(found[kept])
            scores.append(teacher.row(scene.token, (SCORE,))[SCORE][kept])
            planned.append(int(np.searchsorted(kept, entry)))
    return {
        "offsets": np.concatenate([[0], np.cumsum([len(kept) for kept in entries])]).astype(np.int64),
        "entries": np.concatenate(entries),
        "confidences": np.concatenate(confidences),
        "scores": np.concatenate(scores),
        "planned": np.array(planned, np.int64),
    }


def _read(path: Path, tokens: Sequence[str], key: str) -> dict[str, NDArray[Any]] | None:
    """A finished part, or None if it is absent, damaged or of something else."""
    try:
        part = read_npz(path, "confidences", ARRAYS)
    except DataError:
        return None
    fits = str(part["key"]) == key and tuple(part["tokens"]) == tuple(tokens)
    return part if fits else None


def _joined(split: Split, parts: list[dict[str, NDArray[Any]]]) -> Confidences:
    sizes = np.concatenate([np.diff(part["offsets"]) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS[3:]}
    candidates = Candidates(offsets, joined["entries"], joined["confidences"], joined["scores"])
    logs = np.repeat(list(split.logs), [len(tokens) for tokens in split.logs.values()])
    return Confidences(split.tokens, logs, candidates, offsets[:-1] + joined["planned"])

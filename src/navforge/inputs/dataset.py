"""Scenes as training examples: inputs, the human's plan and the teacher's row."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from torch.utils.data import Dataset

from navforge.core.errors import ConfigError
from navforge.core.parallel import available_cpus, progress
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.inputs.read import read_panorama, read_status
from navforge.models.panorama import PanoramaConfig
from navforge.models.planner import PlannerConfig
from navforge.vocabulary.teacher import SCORE, TeacherStore

Example = dict[str, Any]
"""`token`, `inputs` (name -> array), `human_poses` (8, 3) and `teacher` (column -> (N,)); batches collate it."""

MEMORY_SHARE = 0.5
"""Share of the free memory that decoded inputs may take."""


class SceneDataset(Dataset[Example]):
    """Examples of a split, in the split's order.

    Status and human plans are read once; panoramas are decoded once and kept (`keep_inputs`) or decoded every time.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        planner: PlannerConfig,
        data: DataConfig,
        *,
        teacher: TeacherStore | None = None,
        keep_inputs: bool = True,
    ) -> None:
        """Read what is kept.

        Raises:
            DataError: a sensor file is missing or damaged, or a scene has no 4 s of future.
            ConfigError: the kept panoramas would take more than half of the free memory.
        """
        self.tokens = tuple(scene.token for scene in scenes)
        self.status = np.stack([read_status(scene) for scene in scenes])
        self.human_poses = np.stack([scene.human_poses(8) for scene in scenes]).astype(np.float32)
        self.teacher = teacher
        self.columns = (*planner.head.teacher_columns, SCORE) if teacher is not None else ()
        self.panorama = planner.panorama
        self.data = data
        self.kept: NDArray[np.uint8] | None = None
        self.scenes: Sequence[Scene] = ()
        if planner.panorama is not None and keep_inputs:
            self.kept = _decode_all(scenes, planner.panorama, data)
        elif planner.panorama is not None:
            self.scenes = scenes

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Example:
        """One example."""
        inputs: dict[str, NDArray[Any]] = {"status": self.status[index]}
        if self.kept is not None:
            inputs["panorama"] = self.kept[index]
        elif self.panorama is not None:
            inputs["panorama"] = read_panorama(self.scenes[index], self.panorama, self.data)
        token = self.tokens[index]
        row = self.teacher.row(token, self.columns) if self.teacher is not None else {}
        return {"token": token, "inputs": inputs, "human_poses": self.human_poses[index], "teacher": row}


def scenes_of(split: Split, data: DataConfig) -> list[Scene]:
    """All scenes of a split, log by log."""
    return [scene for log_name in split.logs for scene in read_scenes(split, data, log_name)]


def _decode_all(scenes: Sequence[Scene], panorama: PanoramaConfig, data: DataConfig) -> NDArray[np.uint8]:
    shape = (len(scenes), 3, panorama.height, panorama.width)
    needed, free = int(np.prod(shape)), psutil.virtual_memory().available
    if needed > MEMORY_SHARE * free:
        raise ConfigError(
            f"train.keep_inputs: {len(scenes)} panoramas take {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB of "
            "memory are free; set train.keep_inputs=false and train.loader_workers to the number of CPUs"
        )
    kept = np.empty(shape, np.uint8)
    read = partial(read_panorama, panorama=panorama, data=data)
    # Threads do: decoding and scaling release the interpreter lock.
    with ThreadPoolExecutor(available_cpus()) as pool, progress("decoding cameras", len(scenes)) as bar:
        for index, image in enumerate(pool.map(read, scenes)):
            kept[index] = image
            bar.advance(bar.task_ids[0])
    return kept

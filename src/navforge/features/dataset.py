"""Batches of training examples from a feature store: no image is read, and no scene is handled one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from navforge.data.splits import Split
from navforge.features.store import FeatureStore, input_names
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.dataset import Batch, Example
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.stored import AGENT_LABELS
from navforge.models.contract import AGENTS
from navforge.models.planner_config import PlannerConfig
from navforge.teacher.store import SCORE, TeacherStore

_HELD_BYTES = 1 << 10
"""Rows up to which a tensor is held in memory: 100 MiB for 100,000 scenes at most."""


class FeatureDataset(Dataset[Example]):
    """Examples of a split, in the split's order, given as whole batches (`inputs.dataset.collate` lets them pass)."""

    in_memory = True
    """Loader workers would only copy what is in the page cache already."""

    def __init__(
        self, split: Split, planner: PlannerConfig, store: FeatureStore, *, teacher: TeacherStore | None = None
    ) -> None:
        """Find the rows; raises DataError where the store does not fit the planner or the split."""
        store.require(planner, split.tokens)
        self.tokens = split.tokens
        self.teacher = teacher
        self.columns = (*planner.head.teacher_columns, SCORE) if teacher is not None else ()
        self.store = store
        self.rows = store.rows(split.tokens)
        self.inputs = input_names(planner)
        targets = InputSpec.of(planner).targets
        self.targets = (*targets, *(AGENT_LABELS,) * (AGENTS in targets))
        self._held: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch of tensors with the keys that `collate` gives; corrupt samples are replaced as it does."""
        places, corrupt = self._whole(np.asarray(indices))
        if not len(places):
            return Batch({"corrupt": corrupt})
        places = np.resize(places, len(indices))
        rows = self.rows[places]
        tokens = [self.tokens[place] for place in places.tolist()]
        return Batch(
            {
                "token": tokens,
                "inputs": {name: self._gather(name, places, rows) for name in self.inputs},
                "teacher": self._teacher(tokens),
                **{name: self._gather(name, places, rows) for name in self.targets},
                "corrupt": corrupt,
            }
        )

    def _whole(self, places: NDArray[np.intp]) -> tuple[NDArray[np.intp], list[CorruptSample]]:
        """The places whose rows are as they were written, and the errors of the others."""
        names = (*self.inputs, *self.targets)
        try:
            self.store.require_whole(self.rows[places], names)
        except CorruptSample as error:
            if len(places) == 1:
                return places[:0], [error]
            parts = [self._whole(places[index : index + 1]) for index in range(len(places))]
            return np.concatenate([part for part, _ in parts]), [one for _, errors in parts for one in errors]
        return places, []

    def _gather(self, name: str, places: NDArray[np.intp], rows: NDArray[np.intp]) -> Tensor:
        """(B, ...) rows of a tensor; what is small is read once, on first use, and checked as ever."""
        if name not in self._held:
            if self.store.row_bytes(name) > _HELD_BYTES:
                return self.store.gather(name, rows)
            self._held[name] = self.store.gather(name, self.rows)
        return self._held[name][torch.from_numpy(places)]

    def _teacher(self, tokens: Sequence[str]) -> dict[str, Tensor]:
        if self.teacher is None:
            return {}
        rows = [self.teacher.row(token, self.columns) for token in tokens]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

"""A trained planner as an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from navforge.agents.contract import Agent
from navforge.core.device import pick_device
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint
from navforge.core.outside.records import record
from navforge.data.label_subsets import LabelFacts
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.features.store import FeatureStore
from navforge.models.checkpoints import Checkpoint, read_checkpoint
from navforge.models.contract import Inputs
from navforge.models.loading import load_planner
from navforge.models.planner import VOCABULARY_KEY, Planner
from navforge.training.inference import batches, plan_scenes
from navforge.training.loop.epochs import TrainingLength
from navforge.vocabulary.vocabulary import Vocabulary

CAMERA_INPUT = "panorama"


FactT = TypeVar("FactT")


class PlannerAgent(Agent):
    """Plans with the weights of a checkpoint, through the input path training uses."""

    def __init__(
        self,
        name: str,
        checkpoint: Path,
        data: DataConfig,
        *,
        device: str = "auto",
        batch_size: int = 32,
        blank_camera: bool = False,
        features: Path | None = None,
        weights: str | None = None,
    ) -> None:
        """Load and check the checkpoint.

        Args:
            name: the planner the checkpoint must hold.
            checkpoint: file `navforge train` wrote.
            data: where sensor files are.
            device: auto (a GPU if there is one), cpu or cuda.
            batch_size: scenes per forward pass.
            blank_camera: show the planner black images.
            features: feature store to take the encoder's tokens from, in place of images.
            weights: where the encoder's frozen weights lie, if not where the checkpoint says.

        Raises:
            DataError: the checkpoint or the store cannot be read, or the store is of another encoder.
            ConfigError: it holds another planner, the device is not there, or there is no camera to blank.
        """
        self.fingerprint = None
        self.device = pick_device(device)
        read = read_checkpoint(checkpoint)
        self.planner = load_planner(read, self.device, weights=weights)
        self.labels = _fact(read, "labels", LabelFacts)
        self.length = _fact(read, "length", TrainingLength)
        entries = self.planner.state_dict().get(VOCABULARY_KEY)
        self.vocabulary = None if entries is None else Vocabulary(entries.cpu().numpy())
        held = self.planner.config
        require_name(held.name, name, checkpoint)
        if blank_camera:
            if held.panorama is None:
                raise ConfigError(f"blank_camera: {name} reads no camera")
            self.planner.register_forward_pre_hook(_blank)
        self.name = f"{name} (camera blanked)" if blank_camera else name
        self.fingerprint = file_fingerprint(checkpoint)
        self._features = None
        if features is not None:
            self._features = FeatureStore.open(features)
            self._features.require(held, ())
            self._features.require_trunk(self.planner)
        self._data = data
        self._batch_size = batch_size

    @property
    def classes(self) -> tuple[type, ...]:
        """Those of encoder and head."""
        return self.planner.config.classes

    def plan(self, scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], float]:
        """See `Agent.plan`."""
        return plan_scenes(self.planner, scenes, self._data, batch_size=self._batch_size, features=self._features)

    def forward_of(self, scene: Scene) -> Callable[[], object]:
        """See `Agent.forward_of`."""
        _, read = next(batches(self.planner, [scene], self._data, 1, self._features))
        inputs = {name: value.to(self.device) for name, value in read.items()}

        def forward() -> None:
            self.planner.plan(inputs)
            if self.device == "cuda":
                torch.cuda.synchronize()

        return forward


def _fact(checkpoint: Checkpoint, name: str, kind: type[FactT]) -> FactT | None:
    values = checkpoint.facts.get(name)
    try:
        return None if values is None else record(kind, values)
    except ValueError as error:
        raise DataError(f"checkpoint {checkpoint.path} is damaged: {name}: {error}") from error


def require_name(held: str, name: str, checkpoint: Path) -> None:
    """Raise ConfigError unless the planner in a checkpoint has the name that was given."""
    if held != name:
        raise ConfigError(f"{checkpoint} holds planner {held}, not {name}; give agent={held}")


def _blank(planner: Planner, args: tuple[Inputs]) -> tuple[Inputs]:
    inputs = args[0]
    return ({**inputs, CAMERA_INPUT: torch.zeros_like(inputs[CAMERA_INPUT])},)

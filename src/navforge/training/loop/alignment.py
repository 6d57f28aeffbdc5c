"""Alignment: a loss in training alone that draws a planner's image features towards those of a frozen encoder.

The frozen encoder's tokens come from a feature store, so it is never run beside the planner. A projector, which learns
too, takes the planner's tokens to their width; the loss is one minus the cosine of the two, as in REPA (arXiv
2410.06940) and ViRA. Where the store holds one token per scene, it is compared with the mean of the planner's. What
plans is untouched: neither projector nor store belongs to the planner.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.core.errors import ConfigError
from navforge.features.store import FeatureStore
from navforge.inputs.dataset import Example, Examples, SceneDataset
from navforge.models.contract import FEATURES, Features
from navforge.models.planner import Planner
from navforge.training.config import AlignConfig, AugmentConfig, LoopConfig
from navforge.training.loop.learner import Batch
from navforge.training.loop.module import PlannerModule
from navforge.training.plan_scores import PlanScorer

TARGET = "aligned_to"
"""In a batch: (B, L, D) tokens of the frozen encoder."""


class AlignedScenes:
    """Examples of scenes, each with its tokens of a feature store."""

    def __init__(self, scenes: SceneDataset, store: FeatureStore) -> None:
        """Find the rows; raises DataError where the store lacks scenes."""
        self.scenes = scenes
        self.store = store
        self.rows = store.rows(scenes.tokens)

    @property
    def in_memory(self) -> bool:
        """Whether images are held, so that there is nothing for loader workers to do."""
        return self.scenes.in_memory

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Example:
        """One example; raises CorruptSample where its images or its row of the store are damaged."""
        row = self.rows[index : index + 1]
        self.store.require_whole(row, (FEATURES,))
        return {**self.scenes[index], TARGET: self.store.gather(FEATURES, row)[0].float().numpy()}

    def __getitems__(self, indices: Sequence[int]) -> Examples:
        """Examples of a batch, each read when `collate` comes to it."""
        return Examples(self, indices)


class AlignedModule(PlannerModule):
    """A planner with its loss and, in training, the alignment of its encoder's tokens."""

    def __init__(
        self,
        planner: Planner,
        config: AugmentConfig,
        scorer: PlanScorer | None = None,
        *,
        align: AlignConfig,
        width: int,
    ) -> None:
        """With a fresh projector to tokens of `width`; raises ConfigError where nothing of the encoder learns."""
        super().__init__(planner, config, scorer)
        if not any(parameter.requires_grad for parameter in planner.encoder.parameters()):
            raise ConfigError(
                f"align.features: nothing of the encoder of {planner.config.name} learns, so nothing can be drawn "
                "towards the store; leave align.features= out, or let it learn (planner.encoder.tune=full)"
            )
        self.align = align
        channels = planner.encoder.channels
        self.projector = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, width))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """As `PlannerModule`; in training with `alignment`, the weighted loss, in the total."""
        if not self.training:
            return super().forward(batch)
        made: list[Features] = []
        with self.planner.encoder.register_forward_hook(lambda *call: made.append(call[-1])):
            values = super().forward(batch)
        loss = self.align.weight * self._distance(made[0].tokens, batch[TARGET])
        return {**values, "alignment": loss, "total": values["total"] + loss}

    def optimiser(self, config: LoopConfig) -> torch.optim.AdamW:
        """The planner's, and the projector at the head's rate."""
        optimiser = super().optimiser(config)
        for is_plain in (False, True):
            parameters = [parameter for parameter in self.projector.parameters() if (parameter.ndim <= 1) is is_plain]
            optimiser.add_param_group(
                {
                    "params": parameters,
                    "weight_decay": 0.0 if is_plain else config.weight_decay,
                    "lr": config.learning_rate,
                }
            )
        return optimiser

    def _distance(self, tokens: Tensor, target: Tensor) -> Tensor:
        """Scalar in [0, 2] of (B, L, D) tokens of the planner and (B, M, E) of the store, M being L or 1."""
        if self.align.target == "random":
            target = target.roll(1, dims=0)
        if target.shape[1] == 1:
            tokens = tokens.mean(dim=1, keepdim=True)
        if tokens.shape[1] != target.shape[1]:
            raise ConfigError(
                f"align.features: the encoder of {self.planner.config.name} gives {tokens.shape[1]} tokens per scene, "
                f"the store holds {target.shape[1]}; encode one with as many, or with planner.encoder.tokens=mean"
            )
        return 1 - functional.cosine_similarity(self.projector(tokens).float(), target, dim=-1).mean()

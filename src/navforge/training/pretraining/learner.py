"""Pre-training as the trainer sees it: frames to crops, masks and the I-JEPA loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from navforge.inputs.frames import FRAME
from navforge.training.config import LoopConfig
from navforge.training.loop.learner import Batch, Learner
from navforge.training.pretraining.collapse import describe_collapse, deviations, effective_rank, feature_std, spread
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.pretraining.crops import random_crops
from navforge.training.pretraining.ijepa import IJepa, Predictor
from navforge.training.pretraining.masking import draw_masks
from navforge.training.pretraining.schedules import DecaySchedule, momentum_at

if TYPE_CHECKING:
    from transformers import IJepaModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, by which images are normalised."""
MLP_FACTOR = 4
VALIDATION_SEED = 0


def fresh_encoder(config: PretrainConfig) -> IJepaModel:
    """The encoder as `transformers` builds it, weights random."""
    from transformers import IJepaConfig, IJepaModel  # noqa: PLC0415 (seconds, which other training need not wait)

    shape = config.encoder
    return IJepaModel(
        IJepaConfig(
            image_size=shape.image_size,
            patch_size=shape.patch_size,
            hidden_size=shape.width,
            num_hidden_layers=shape.depth,
            num_attention_heads=shape.attention_heads,
            intermediate_size=MLP_FACTOR * shape.width,
            layer_norm_eps=1e-6,
        )
    )


class IJepaLearner(Learner):
    """I-JEPA on batches of frames."""

    shown = ("train/loss", "val/loss", "train/feature_std", "train/effective_rank")

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        shape, predictor = config.encoder, config.predictor
        self.config = config
        self.model = IJepa(
            fresh_encoder(config),
            Predictor(
                shape.width,
                shape.grid,
                width=predictor.width,
                depth=predictor.depth,
                attention_heads=predictor.attention_heads,
            ),
        )
        self.total = 1
        if config.train.compile:
            self.model.compile()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Loss, and deviation and effective rank of the target encoder's features.

        Crops and masks follow from torch's seed, which the trainer sets for each step; in evaluation frames are whole
        and every batch has the same masks.
        """
        frames, side = batch[FRAME], self.config.encoder.image_size
        if self.training:
            rng = np.random.default_rng(torch.initial_seed())
            images = random_crops(rng, frames, side, self.config.crops.scale, self.config.crops.aspect)
        else:
            rng = np.random.default_rng(VALIDATION_SEED)
            images = functional.resize(frames, [side, side], antialias=True)
        masks = draw_masks(rng, len(frames), self.config.encoder.grid, self.config.masks)
        context, targets = (torch.from_numpy(numbers).to(frames.device) for numbers in (masks.context, masks.targets))
        loss, features = self.model(normalise(images), context, targets)
        with torch.no_grad():
            deviation = deviations(features)
            return {
                "total": loss,
                "feature_std": feature_std(deviation),
                "effective_rank": effective_rank(spread(deviation)),
            }

    def optimiser(self, config: LoopConfig) -> torch.optim.AdamW:
        """AdamW; norms, biases and the mask token without decay."""
        learning = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        plain = [p for name, p in learning if p.ndim <= 1 or name.endswith("mask_token")]
        rest = {id(p) for p in plain}
        groups: list[dict[str, Any]] = [
            {"params": plain, "weight_decay": 0.0, "decayed": False},
            {"params": [p for _, p in learning if id(p) not in rest], "decayed": True},
        ]
        return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)

    def schedule(self, optimiser: torch.optim.Optimizer, config: LoopConfig, total_steps: int) -> DecaySchedule:
        """Learning rate and weight decay."""
        self.total = total_steps
        return DecaySchedule(optimiser, config, total_steps, end=self.config.final_weight_decay)

    def after_step(self, done: int) -> None:
        """Move the target encoder."""
        self.model.follow(momentum_at(done, self.total, start=self.config.momentum))

    def remarks(self, values: dict[str, float]) -> list[str]:
        """A warning where features have collapsed."""
        told = describe_collapse(values["train/feature_std"], values["train/effective_rank"])
        return [] if told is None else [told]


def normalise(images: Tensor) -> Tensor:
    """(B, 3, S, S) uint8 to float32 of mean 0 and deviation 1, by ImageNet's pixels."""
    return functional.normalize(images.float() / 255, list(MEAN), list(STD))

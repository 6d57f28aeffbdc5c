"""The Lightning module: losses, validation against the teacher, optimiser and schedule, what a checkpoint carries."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from navforge.core.errors import NavforgeError
from navforge.models import checkpoints
from navforge.models.contract import Targets
from navforge.models.planner import Planner, planner_to_dict
from navforge.training.augment import augment
from navforge.training.config import TrainConfig
from navforge.vocabulary.teacher import SCORE

Batch = dict[str, Any]


class PlannerModule(lightning.LightningModule):
    """Trains a planner; everything logged is per epoch under `train/` and `val/`."""

    def __init__(self, planner: Planner, config: TrainConfig, *, total_steps: int, facts: dict[str, Any]) -> None:
        super().__init__()
        self.planner = planner
        self.config = config
        self.total_steps = total_steps
        self.facts = facts

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed what is random in a step by its number, so that a resumed run draws what it would have."""
        torch.manual_seed((self.config.seed * 1_000_003 + self.global_step) * 1_003 + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of an augmented batch.

        Raises:
            NavforgeError: the loss is not finite; names the scenes.
        """
        inputs = augment(batch["inputs"], self.config.augment)
        losses = self.planner.loss(self.planner(inputs), _targets(batch))
        if not torch.isfinite(losses["total"]):
            terms = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
            raise NavforgeError(
                f"the loss of epoch {self.current_epoch}, step {batch_idx} is not finite ({terms}); scenes: "
                f"{', '.join(batch['token'])}"
            )
        self._log("train", losses, len(batch["token"]))
        return losses["total"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses, and where a teacher is, its score of the chosen entries beside the best any entry reaches."""
        output = self.planner(batch["inputs"])
        logged = self.planner.loss(output, _targets(batch))
        plan = self.planner.head.plan(output)
        if SCORE in batch["teacher"] and plan.chosen is not None:
            scores = batch["teacher"][SCORE]
            logged["score"] = scores.gather(1, plan.chosen[:, None]).mean()
            logged["oracle"] = scores.max(dim=1).values.mean()
        self._log("val", logged, len(batch["token"]))

    def configure_optimizers(self) -> Any:
        """AdamW (Adam where `weight_decay` is 0) with the configured schedule, one value per step."""
        optimiser = torch.optim.AdamW(_groups(self.planner, self.config), lr=self.config.learning_rate)
        schedule = LambdaLR(optimiser, lambda step: rate_factor(self.config, step, self.total_steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a planner needs to be rebuilt, and what it was trained on."""
        checkpoint[checkpoints.KEY] = checkpoints.contents(planner_to_dict(self.planner.config), self.facts)

    def _log(self, stage: str, losses: dict[str, Tensor], size: int) -> None:
        named = {f"{stage}/{'loss' if name == 'total' else name}": value.detach() for name, value in losses.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size)


def rate_factor(config: TrainConfig, step: int, total_steps: int) -> float:
    """Learning rate over its peak.

    `one_cycle`: cosine from 1/25 up over the warm-up, then cosine down to 1e-4 of the start (Smith and Topin).
    `cosine`: linear up over the warm-up, then cosine down to 1 %.
    """
    if config.schedule == "constant":
        return 1.0
    rise = max(1.0, config.warmup * total_steps)
    up = min(1.0, step / rise)
    down = min(1.0, max(0.0, (step - rise) / max(1.0, total_steps - rise)))
    falling = 0.5 * (1 + math.cos(math.pi * down))
    if config.schedule == "one_cycle":
        start, end = 1 / 25, 1 / 25e4
        return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * up)) if up < 1 else end + (1 - end) * falling
    return max(up, 1 / rise) if up < 1 else 0.01 + 0.99 * falling


def _groups(planner: Planner, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups: encoder and head, each with and without weight decay."""
    groups = []
    for part, factor in ((planner.encoder, config.encoder_factor), (planner.head, 1.0)):
        decayed, plain = _by_decay(part)
        rate = config.learning_rate * factor
        groups += [
            {"params": decayed, "lr": rate, "weight_decay": config.weight_decay},
            {"params": plain, "lr": rate, "weight_decay": 0.0},
        ]
    return [group for group in groups if group["params"]]


def _by_decay(part: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    trainable = [parameter for parameter in part.parameters() if parameter.requires_grad]
    return [p for p in trainable if p.ndim > 1], [p for p in trainable if p.ndim <= 1]


def _targets(batch: Batch) -> Targets:
    return Targets(batch["human_poses"], batch["teacher"])

"""What is trained: a planner with its loss, its optimiser and its schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from navforge.models.checkpoints import PREFIX
from navforge.models.contract import HeadOutput, Targets
from navforge.models.planner import Planner
from navforge.teacher.store import SCORE
from navforge.training.config import AugmentConfig, LoopConfig, TrainConfig
from navforge.training.loop.augment import augment
from navforge.training.loop.learner import Batch, Learner
from navforge.training.plan_scores import PlanScorer


class PlannerModule(Learner):
    """A planner with its loss under one forward pass, so that strategies can wrap the whole."""

    def __init__(self, planner: Planner, config: AugmentConfig, scorer: PlanScorer | None = None) -> None:
        """`scorer` says in validation what plans are worth."""
        super().__init__()
        self.planner = planner
        self.config = config
        self.scorer = scorer

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of a batch.

        Loss terms of the batch, in training of the augmented batch, `total` being what is minimised. Where a teacher
        is: its `score` of the chosen entries beside the best any entry reaches (`oracle`). In validation with a scorer:
        the `score` of the plans.
        """
        inputs = augment(batch["inputs"], self.config) if self.training else batch["inputs"]
        output = self.planner(inputs)
        values = self.planner.loss(output, targets_of(batch))
        if SCORE in batch["teacher"]:
            values |= self._scores(output, batch["teacher"][SCORE])
        if self.scorer is not None and not self.training:
            values["score"] = self.scorer.mean(batch["token"], self.planner.head.plan(output))
        return values

    @torch.no_grad()
    def _scores(self, output: HeadOutput, scores: Tensor) -> dict[str, Tensor]:
        """Means of the teacher's scores (B, N): of chosen entries, of the best ones; none where none is chosen."""
        chosen = self.planner.head.plan(output).chosen
        if chosen is None:
            return {}
        return {"score": scores.gather(1, chosen[:, None]).mean(), "oracle": scores.max(dim=1).values.mean()}

    def optimiser(self, config: LoopConfig) -> torch.optim.AdamW:
        """See `optimiser_of`."""
        assert isinstance(config, TrainConfig), "a planner is trained by a planner's keys"
        return optimiser_of(self.planner, config)

    @property
    def outside(self) -> set[str]:
        """Weights of a frozen encoder, which lie in its file."""
        return {f"{PREFIX}{name}" for name in self.planner.outside_names()}

    def schedule(self, optimiser: torch.optim.Optimizer, config: LoopConfig, total_steps: int) -> LambdaLR:
        """See `schedule_of`."""
        return schedule_of(optimiser, config, total_steps)


def optimiser_of(planner: Planner, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Adam where `weight_decay` is 0); the encoder at its own rates, norms, biases, embeddings without decay."""
    return torch.optim.AdamW(_groups(planner, config), lr=config.learning_rate)


def schedule_of(optimiser: torch.optim.Optimizer, config: LoopConfig, total_steps: int) -> LambdaLR:
    """The configured schedule, one value per step."""
    return LambdaLR(optimiser, lambda step: rate_factor(config, step, total_steps))


def rate_factor(config: LoopConfig, step: int, total_steps: int) -> float:
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
    """Parameter groups: the encoder by depth and decay, then the head by decay."""
    encoder = planner.encoder
    depths, undecayed = encoder.depths(), encoder.undecayed_names()
    top = max(depths.values(), default=0)
    by_kind: dict[tuple[bool, int, bool], list[nn.Parameter]] = {}
    for name, parameter in encoder.named_parameters():
        is_plain = name in undecayed or parameter.ndim <= 1
        by_kind.setdefault((False, top - depths.get(name, top), is_plain), []).append(parameter)
    for parameter in planner.head.parameters():
        by_kind.setdefault((True, 0, parameter.ndim <= 1), []).append(parameter)
    groups = []
    for (is_head, below, is_plain), parameters in sorted(by_kind.items(), key=lambda item: item[0]):
        rate = config.learning_rate * (1.0 if is_head else config.encoder_factor * config.layer_decay**below)
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        groups.append({"params": trainable, "lr": rate, "weight_decay": 0.0 if is_plain else config.weight_decay})
    return [group for group in groups if group["params"]]


def targets_of(batch: Batch) -> Targets:
    """What the head learns from, of a collated batch."""
    extra = {name: batch[name] for name in ("agents", "agent_labels", "bev_semantics") if name in batch}
    return Targets(batch["human_poses"], batch["teacher"], **extra)

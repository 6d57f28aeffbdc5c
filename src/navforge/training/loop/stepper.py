"""One optimiser step: seeded rounds of forward and backward, the gradient's norm, and a stop where it is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from navforge.training.config import LoopConfig
from navforge.training.ranks.failures import TrainingError
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.strategy import unsynchronised

SKIPS = 20
"""Steps in a row that fp16's loss scaling may skip because a gradient overflowed.

Its scale starts at 2^16 and halves at every skip: after 20 it is below one, so the gradient itself is infinite.
"""


@dataclass(frozen=True)
class Step:
    """What a step came to."""

    loss: float
    """Mean over the rounds of this rank."""
    norm: float
    """Of the gradient over all ranks, before clipping."""


class Stepper:
    """Steps a wrapped `Learner`."""

    def __init__(
        self,
        fabric: Fabric,
        wrapped: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        config: LoopConfig,
        ranks: Ranks,
    ) -> None:
        self.fabric = fabric
        self.wrapped = wrapped
        self.optimiser = optimiser
        self.schedule = schedule
        self.config = config
        self.ranks = ranks
        self.skipped = 0
        self._losses: list[Tensor] = []
        self._tokens: list[str] = []
        self._checked = False

    @property
    def scaler(self) -> Any:
        """fp16's loss scaler, or None."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def round(self, batch: dict[str, Any], *, number: int, step: int) -> dict[str, Tensor]:
        """Forward and backward of one batch; its loss terms, detached.

        Args:
            batch: on the host; keys as its forward pass wants them, and `token`.
            number: of the round within its step.
            step: optimiser steps done before this one: it seeds what is random, so that a resumed run draws what it
                would have drawn.
        """
        rounds = self.config.accumulate
        seed = (self.config.seed * 1_000_003 + step * rounds + number) * 1_003 + self.ranks.rank
        torch.manual_seed(seed)
        if number == 0:
            self.optimiser.zero_grad()
            self._losses, self._tokens = [], []
        with unsynchronised(self.wrapped, number + 1 < rounds):
            with self.fabric.autocast():
                losses = self.wrapped(self.fabric.to_device(batch))
            loss = losses["total"]
            # A loss that is not finite may have finite gradients. Made NaN, they tell every rank through the sum.
            sound = torch.where(loss.detach().isfinite(), 1.0, math.nan)
            self.fabric.backward(loss * sound if rounds == 1 else loss * sound / rounds)
        self._losses.append(loss.detach())
        self._tokens += batch["token"]
        return {name: value.detach() for name, value in losses.items()}

    def finish(self, *, epoch: int, step: int) -> Step:
        """Clip and step, once all rounds are done.

        Raises:
            TrainingError: the loss or the gradient is not finite; on all ranks, with the weights from before the step.
        """
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        if not self._checked:
            self._require_gradients()
        self.fabric.strategy.precision.unscale_gradients(self.optimiser)
        gradients = [p.grad for p in parameters if p.grad is not None]
        total = torch.nn.utils.get_total_norm(gradients)
        whole: Tensor = total.full_tensor() if hasattr(total, "full_tensor") else total  # type: ignore[attr-defined]
        norm = float(whole)
        loss = float(torch.stack(self._losses).mean()) if len(self._losses) > 1 else float(self._losses[0])
        if math.isfinite(norm):
            self.skipped = 0
        else:
            self._stop_or_skip(loss, norm, epoch, step)
        if self.config.clip_gradient:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.clip_gradient, total)
        self.fabric.strategy.optimizer_step(self.optimiser)
        self.schedule.step()
        return Step(loss, norm)

    def _stop_or_skip(self, loss: float, norm: float, epoch: int, step: int) -> None:
        """All ranks come here together: the norm is the same on all of them."""
        self.skipped += 1
        everyone = self.ranks.gather((loss, tuple(self._tokens), self._overflown()))
        bad = [rank for rank, (value, *_) in enumerate(everyone) if not math.isfinite(value)]
        # Where no single gradient has overflown, but their norm, the scaler would take the step.
        scaled = self.scaler is not None and any(overflown for *_, overflown in everyone)
        if not bad and scaled and self.skipped <= SKIPS:
            return
        guilty = bad or range(len(everyone))
        tokens = tuple(token for rank in guilty for token in everyone[rank][1])
        ranks = f" on rank {', '.join(map(str, bad))}" if bad and len(everyone) > 1 else ""
        if bad:
            what = f"the loss of epoch {epoch}, step {step}{ranks} is not finite ({everyone[bad[0]][0]:g})"
        else:
            what = f"the gradient of epoch {epoch}, step {step} is not finite ({norm:g}, {self.skipped} times in a row)"
        record = {
            "epoch": epoch,
            "step": step,
            "losses": {str(rank): str(value) for rank, (value, *_) in enumerate(everyone)},
            "gradient_norm": str(norm),
            "tokens": {str(rank): list(everyone[rank][1]) for rank in guilty},
        }
        raise TrainingError(f"{what}; scenes: {', '.join(tokens)}", cause="non_finite", tokens=tokens, record=record)

    def _overflown(self) -> bool:
        """Whether a gradient of this rank holds infinity or NaN."""
        gradients = [p.grad for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
        return not all(bool(getattr(g, "to_local", lambda g=g: g)().isfinite().all()) for g in gradients)

    def _require_gradients(self) -> None:
        """Raise TrainingError for parameters the loss does not depend on: ranks could not agree on them."""
        self._checked = True
        idle = [n for n, p in self.wrapped.named_parameters() if p.requires_grad and p.grad is None]
        if idle and self.ranks.world_size > 1:
            raise TrainingError(
                f"no gradient reaches {', '.join(idle[:3])}{' and others' if len(idle) > 3 else ''}: every trainable "
                "parameter must take part in the loss when several ranks train; set requires_grad=False or remove it",
                cause="user_error",
            )

"""Steps that are not finite: fp16's own overflows are skipped, but not for ever; everything else stops."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from navforge.training.config import LoopConfig, TrainConfig
from navforge.training.loop.learner import Learner
from navforge.training.loop.stepper import SKIPS, Stepper
from navforge.training.ranks.failures import TrainingError
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import from_environment
from navforge.training.ranks.strategy import fabric_of, wrap

CONFIG = TrainConfig(accelerator="cpu", batch_size=2)


class Model(Learner):
    """loss = mean of weight times x, or what `spoil` makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        total = (self.weight * batch["x"]).mean() + batch["extra"]
        return {"total": total}

    def optimiser(self, config: LoopConfig) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def schedule(
        self, optimiser: torch.optim.Optimizer, config: LoopConfig, total_steps: int
    ) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)


def batch(x: float = 1.0, extra: float = 0.0) -> dict[str, Any]:
    return {"x": torch.full((2, 3), x), "extra": torch.tensor(extra), "token": ["a1", "b2"]}


def stepper(config: TrainConfig = CONFIG, scaler: Any = None, model: Model | None = None) -> tuple[Stepper, Model]:
    fabric = fabric_of(config, from_environment({}, hostname="here"))
    if scaler is not None:
        fabric.strategy.precision.scaler = scaler  # type: ignore[attr-defined]
    model = model or Model()
    wrapped = wrap(fabric, model)
    optimiser = model.optimiser(config)
    schedule = model.schedule(optimiser, config, 1)
    return Stepper(fabric, wrapped, optimiser, schedule, config, Ranks()), model


def step(made: Stepper, one: dict[str, Any]) -> Any:
    made.round(one, number=0, step=0)
    return made.finish(epoch=0, step=0)


def test_norm_and_clipping() -> None:
    made, model = stepper(replace(CONFIG, clip_gradient=0.5))
    done = step(made, batch(3.0))
    assert done.loss == pytest.approx(3.0) and done.norm == pytest.approx(3**0.5)
    assert (1 - model.weight.detach()).norm().item() == pytest.approx(0.1 * 0.5, rel=1e-4)


def test_rounds_of_a_step_add_up_to_their_mean() -> None:
    made, model = stepper(replace(CONFIG, accumulate=2))
    made.round(batch(1.0), number=0, step=0)
    made.round(batch(5.0), number=1, step=0)
    assert made.finish(epoch=0, step=0).loss == pytest.approx(3.0)
    assert torch.allclose(model.weight.detach(), torch.full((3,), 1 - 0.1 * 3 / 3))


class Drawing(Model):
    """Records a number drawn in each forward pass, as dropout and augmentation would draw it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        self.drawn.append(torch.rand(()).item())
        return super().forward(batch)


def test_what_is_random_differs_by_seed_step_round_and_rank_and_by_nothing_else() -> None:
    def draw(*, seed: int = 0, step: int = 0, number: int = 0, rank: int = 0) -> float:
        model = Drawing()
        single, _ = stepper(replace(CONFIG, seed=seed, accumulate=2), model=model)
        single.ranks = Ranks(rank, 8)
        single.round(batch(), number=0, step=step)
        if number:
            single.round(batch(), number=number, step=step)
        return model.drawn[number]

    one_off = [{"seed": 1}, {"step": 1}, {"number": 1}, {"rank": 1}, {"rank": 7}, {"step": 1, "number": 1}]
    draws = [draw(), *(draw(**changed) for changed in one_off)]
    assert len(set(draws)) == len(draws)
    assert draw(rank=7, step=3) == draw(rank=7, step=3)


def test_a_loss_that_is_not_finite_stops_although_its_gradient_is() -> None:
    made, model = stepper()
    with pytest.raises(
        TrainingError, match=r"the loss of epoch 0, step 0 is not finite \(inf\); scenes: a1, b2"
    ) as raised:
        step(made, batch(1.0, extra=torch.inf))
    assert raised.value.cause == "non_finite" and raised.value.tokens == ("a1", "b2")
    assert torch.equal(model.weight.detach(), torch.ones(3))


def test_a_gradient_that_is_not_finite_stops_although_the_loss_is() -> None:
    made, model = stepper()
    made.round(batch(), number=0, step=0)
    assert model.weight.grad is not None
    model.weight.grad[1] = torch.nan
    with pytest.raises(TrainingError, match=r"the gradient of epoch 0, step 0 is not finite \(nan, 1 times"):
        made.finish(epoch=0, step=0)
    assert torch.equal(model.weight.detach(), torch.ones(3))


def test_overflows_under_a_loss_scaler_are_skipped_until_there_are_too_many() -> None:
    made, model = stepper(scaler=torch.amp.GradScaler("cpu"))
    made.fabric.strategy.precision.__class__ = type("Scaled", (type(made.fabric.strategy.precision),), methods(made))
    step(made, batch())
    before = model.weight.detach().clone()
    overflow = model.weight.register_hook(lambda gradient: gradient * torch.inf)
    for _ in range(SKIPS):
        assert not math.isfinite(step(made, batch()).norm)
    assert torch.equal(model.weight.detach(), before)
    with pytest.raises(TrainingError, match=rf"gradient .* {SKIPS + 1} times in a row"):
        step(made, batch())
    overflow.remove()
    made.scaler.update()
    assert math.isfinite(step(made, batch()).norm) and made.skipped == 0
    assert not torch.equal(model.weight.detach(), before)
    before = model.weight.detach().clone()
    model.weight.register_hook(lambda gradient: gradient * 1e30)  # finite, but not its norm: the scaler would step
    with pytest.raises(TrainingError, match=r"gradient .* \(inf, 1 times in a row\)"):
        step(made, batch())
    assert torch.equal(model.weight.detach(), before)


def methods(made: Stepper) -> dict[str, Any]:
    """Lightning gives the CPU no scaler: these are its GPU methods around ours."""
    scaler = made.scaler

    def optimizer_step(self: Any, optimizer: Any, **_: Any) -> None:
        scaler.step(optimizer)
        scaler.update()

    return {
        "unscale_gradients": lambda self, optimizer: scaler.unscale_(optimizer),
        "optimizer_step": optimizer_step,
        "backward": lambda self, tensor, model, *_, **__: scaler.scale(tensor).backward(),
    }

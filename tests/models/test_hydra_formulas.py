"""Imitation target, distillation loss and weighted confidence against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from navforge.models.heads.hydra_formulas import distillation_loss, imitation_target, weighted_confidence


def test_imitation_target_by_hand() -> None:
    entries = torch.zeros(3, 8, 3)
    entries[1, :, 0] = 0.25  # d = 8 x 0.25^2 = 0.5
    entries[2, 7, 2] = 1.0  # d = 1.0
    human = torch.zeros(1, 8, 3)
    target = imitation_target(entries, human, sigma=0.5)[0]
    weights = [1.0, math.exp(-1.0), math.exp(-2.0)]
    assert target.tolist() == pytest.approx([w / sum(weights) for w in weights], rel=1e-5)


def test_imitation_target_turns_the_short_way() -> None:
    entries = torch.zeros(2, 8, 3)
    entries[0, :, 2] = math.pi - 0.05
    human = torch.zeros(1, 8, 3)
    human[..., 2] = -math.pi + 0.05
    assert imitation_target(entries, human, sigma=0.5)[0, 0] > 0.99


def test_sigma_sharpens() -> None:
    entries = torch.randn(5, 8, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    human = torch.zeros(1, 8, 3)
    assert imitation_target(entries, human, 0.1).max() > imitation_target(entries, human, 1.0).max()


def test_distillation_loss_takes_half_for_zero_only_when_told() -> None:
    # Not logit 0, at which the cross-entropy is log 2 whatever the target.
    logits = torch.tensor([[4.0, 2.0]])
    teacher = torch.tensor([[0.5, 1.0]])
    first = math.log(1 + math.exp(4.0))
    second = math.log(1 + math.exp(-2.0))
    assert distillation_loss(logits, teacher, half_is_fail=True).item() == pytest.approx((first + second) / 2)
    third = 0.5 * math.log(1 + math.exp(-4.0)) + 0.5 * math.log(1 + math.exp(4.0))
    four = distillation_loss(torch.tensor([[4.0]]), torch.tensor([[0.5]]), half_is_fail=False).item()
    assert four == pytest.approx(third)


def test_weighted_confidence_by_hand() -> None:
    imitation = torch.tensor([[0.0, math.log(3.0)]])  # softmax: 1/4, 3/4
    nc = torch.tensor([[0.0, math.log(4.0)]])  # sigmoid: 0.5, 0.8
    ttc = torch.tensor([[math.log(9.0), 0.0]])  # 0.9, 0.5
    ep = torch.tensor([[0.0, math.log(1.5)]])  # 0.5, 0.6
    value = weighted_confidence(
        imitation, [(0.1, nc)], [(7.0, ttc), (3.0, ep), (0.0, ep)], imitation_factor=0.03, weighted_factor=6.0
    )[0]
    first = 0.03 * math.log(0.25) + 0.1 * math.log(0.5) + 6 * math.log(7 * 0.9 + 3 * 0.5)
    second = 0.03 * math.log(0.75) + 0.1 * math.log(0.8) + 6 * math.log(7 * 0.5 + 3 * 0.6)
    assert value.tolist() == pytest.approx([first, second], rel=1e-5)


def test_hopeless_entries_keep_a_finite_value() -> None:
    low = torch.full((1, 2), -200.0)
    value = weighted_confidence(low, [(0.5, low)], [(5.0, low)], imitation_factor=0.02, weighted_factor=6.0)
    assert value.isfinite().all()

"""Perception auxiliaries: assignment by hand and by brute force, losses, branch."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from navforge.core.errors import ConfigError
from navforge.models.contract import Targets
from navforge.models.perception import PerceptionConfig
from navforge.models.perception_layers import Perceived, Perception, PerceptionBranch, bounded
from navforge.models.perception_loss import agent_loss, in_view, match, perception_loss

CONFIG = PerceptionConfig()


def boxes(*centres: tuple[float, float]) -> Tensor:
    """(1, A, 5) boxes 4 m x 2 m."""
    return torch.tensor([[[x, y, 0.0, 4.0, 2.0] for x, y in centres]])


def drawn(batch: int, agents: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    predicted, true = (10 * torch.randn(batch, agents, 5, generator=generator) for _ in range(2))
    logits = torch.randn(batch, agents, generator=generator)
    return predicted, logits, true, torch.rand(batch, agents, generator=generator) < 0.5


def test_two_boxes_and_nothing_are_assigned_by_hand() -> None:
    """Of two predictions equally near the second vehicle the surer one gets it; a vacant row takes what is left."""
    predicted = boxes((10, 0), (-8, 0), (11, 0))
    true = boxes((-9, 0), (10.5, 0.4), (0, 0))
    present = torch.tensor([[True, True, False]])
    sure = torch.tensor([[-2.0, 0.0, 2.0]])
    assert match(predicted, sure, true, present, CONFIG).tolist() == [[2, 0, 1]]
    classes, box = agent_loss(predicted, sure, true, present, CONFIG)
    # Matched: prediction 1 with the vehicle 1 m away, 2 with the one 0.5 + 0.4 m away; two vehicles.
    assert box.item() == pytest.approx((1.0 + 0.9) / 2, rel=1e-5)
    expected = (math.log1p(math.exp(-2)) + math.log(2) + math.log1p(math.exp(-2))) / 3
    assert classes.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_assignment_is_the_cheapest_of_all(seed: int) -> None:
    predicted, logits, true, present = drawn(1, 5, seed)
    chosen = match(predicted, logits, true, present, CONFIG)[0].tolist()

    def cost(order: tuple[int, ...] | list[int]) -> float:
        total = 0.0
        for prediction, row in enumerate(order):
            there = bool(present[0, row])
            says = torch.sigmoid(logits[0, prediction]).item()
            total += -10 * math.log(says if there else 1 - says)
            total += there * (predicted[0, prediction, :2] - true[0, row, :2]).abs().sum().item()
        return total

    assert sorted(chosen) == list(range(5))
    assert cost(chosen) == pytest.approx(min(cost(order) for order in itertools.permutations(range(5))), rel=1e-5)


def test_order_of_predictions_and_of_vehicles_does_not_matter() -> None:
    _, logits, true, present = drawn(3, 30)
    true[:, :, :2] += 100 * torch.arange(30.0)[:, None]  # far apart: no two assignments cost the same
    predicted = true + torch.rand(3, 30, 5)
    losses = agent_loss(predicted, logits, true, present, CONFIG)
    one, other = torch.randperm(30), torch.randperm(30)
    shuffled = agent_loss(predicted[:, one], logits[:, one], true[:, other], present[:, other], CONFIG)
    assert torch.allclose(torch.stack(losses), torch.stack(shuffled), rtol=1e-5)


def test_vacant_rows_cost_no_box_error() -> None:
    predicted, logits, true, _ = drawn(2, 6)
    nobody = torch.zeros(2, 6, dtype=torch.bool)
    classes, box = agent_loss(predicted, logits, true, nobody, CONFIG)
    assert box.item() == 0
    assert classes.item() == pytest.approx(torch.nn.functional.softplus(logits).mean().item(), rel=1e-5)
    _, one = agent_loss(predicted, logits, true, torch.tensor([[True] + [False] * 5, [False] * 6]), CONFIG)
    _, huge = agent_loss(predicted, logits, torch.where(torch.arange(6)[:, None] > 0, 1e6, true), nobody, CONFIG)
    assert one > 0 and huge.item() == 0


def test_what_is_not_finite_reaches_the_loss() -> None:
    """The trainer stops on a loss that is not finite; the assignment must not break before."""
    predicted, logits, true, present = drawn(1, 6)
    present[:] = True
    predicted[0, 2, 0] = math.nan
    classes, box = agent_loss(predicted, logits, true, present, CONFIG)
    assert classes.isfinite() and box.isnan()
    predicted[0, 2, 0] = math.inf
    assert not agent_loss(predicted, logits, true, present, CONFIG)[1].isfinite()


def test_view_angle() -> None:
    around = boxes((10, 0), (0.1, 10), (-10, 0.0), (1, -9))
    there = torch.tensor([[True, True, True, True]])
    assert in_view(around, there, math.pi).tolist() == [[True] * 4]
    assert in_view(around, there, 4 * math.pi / 9).tolist() == [[True, False, False, False]]
    assert in_view(around, ~there, math.pi).tolist() == [[False] * 4]


def test_bounds() -> None:
    free = bounded(torch.tensor([[100.0, -100.0, 100.0, 7.0, -1.0], [0.0, 0.0, 0.0, 4.0, 2.0]]))
    assert torch.allclose(free[0], torch.tensor([32.0, -32.0, math.pi, 7.0, -1.0]))
    assert free[1].tolist() == [0, 0, 0, 4, 2]


def test_semantics_cost_the_cross_entropy_of_pixels() -> None:
    semantics = torch.zeros(1, 7, 128, 256)
    true = torch.full((1, 128, 256), 3)
    perceived = Perceived(None, None, semantics)
    terms = perception_loss(perceived, Targets(torch.zeros(1, 8, 3), bev_semantics=true), CONFIG)
    assert set(terms) == {"bev_semantics"} and terms["bev_semantics"].item() == pytest.approx(10 * math.log(7))


def test_branch_detects_and_segments_and_learns() -> None:
    torch.manual_seed(0)
    branch = PerceptionBranch(CONFIG, 16, 2, 32, 4, layers=1)
    tokens, bev = torch.randn(2, 5, 16), torch.randn(2, 4, 8, 8)
    perceived = branch(tokens, bev)
    assert perceived.boxes is not None and perceived.logits is not None and perceived.semantics is not None
    assert perceived.boxes.shape == (2, 30, 5) and perceived.logits.shape == (2, 30)
    assert perceived.semantics.shape == (2, 7, 128, 256)
    _, _, true, present = drawn(2, 30)
    targets = Targets(torch.zeros(2, 8, 3), {}, true, present, torch.zeros(2, 128, 256, dtype=torch.int64))
    torch.stack(list(perception_loss(perceived, targets, CONFIG).values())).sum().backward()
    assert not [name for name, p in branch.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_switched_off_parts_have_no_parameters_and_no_loss() -> None:
    agents = replace(CONFIG, bev_semantics=False)
    branch = PerceptionBranch(agents, 16, 2, 32, 0, layers=1)
    assert agents.targets == ("agents",)
    assert not [name for name, _ in branch.named_parameters() if "semantics" in name]
    assert branch(torch.randn(1, 5, 16), None).semantics is None
    semantics = replace(CONFIG, agents=False)
    assert semantics.targets == ("bev_semantics",)
    assert {name.split(".")[0] for name, _ in PerceptionBranch(semantics, 16, 2, 32, 4).named_parameters()} == {
        "perception"
    }


def test_semantics_need_features_to_segment() -> None:
    with pytest.raises(ConfigError, match="bev_semantics: the encoder has no"):
        Perception(CONFIG, 16, 32, 0)

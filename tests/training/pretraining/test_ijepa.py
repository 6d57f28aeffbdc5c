"""The I-JEPA objective: who sees what, who learns, and losses that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import IJepaConfig, IJepaModel

from navforge.training.config import LoopConfig
from navforge.training.pretraining.collapse import (
    describe_collapse,
    deviations,
    effective_rank,
    feature_std,
    spread,
)
from navforge.training.pretraining.crops import draw_crop, random_crops
from navforge.training.pretraining.ijepa import IJepa, Predictor, encode, sine_cosine, take
from navforge.training.pretraining.masking import MaskConfig, draw_masks
from navforge.training.pretraining.schedules import DecaySchedule, follow, momentum_at, weight_decay_at

GRID = 6


@pytest.fixture
def model() -> IJepa:
    torch.manual_seed(0)
    config = IJepaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=48,
        patch_size=8,
    )
    return IJepa(IJepaModel(config), Predictor(32, GRID, width=16, depth=2, attention_heads=2))


def batch(images: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    masks = draw_masks(np.random.default_rng(0), images, GRID, MaskConfig())
    return torch.randn(images, 3, 48, 48), torch.from_numpy(masks.context), torch.from_numpy(masks.targets)


def test_all_patches_give_what_transformers_gives(model: IJepa) -> None:
    pixels = batch()[0]
    ours = encode(model.encoder, pixels)
    torch.testing.assert_close(ours, model.encoder(pixels).last_hidden_state, rtol=0, atol=1e-6)
    every = torch.arange(GRID * GRID).expand(3, -1)
    torch.testing.assert_close(encode(model.encoder, pixels, every), ours, rtol=0, atol=1e-6)


def test_the_context_encoder_does_not_see_hidden_patches(model: IJepa) -> None:
    pixels, context, _ = batch()
    before = encode(model.encoder, pixels, context)
    seen = torch.zeros(3, GRID * GRID, dtype=torch.bool).scatter_(1, context, True).view(3, 1, GRID, GRID)
    visible = seen.repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = torch.where(visible, pixels, torch.randn_like(pixels))
    assert torch.equal(encode(model.encoder, changed, context), before)
    assert not torch.equal(encode(model.encoder, changed), encode(model.encoder, pixels))


def test_no_gradient_reaches_the_target_encoder_or_the_places(model: IJepa) -> None:
    loss, _ = model(*batch())
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in model.target.parameters())
    assert not model.encoder.embeddings.position_embeddings.requires_grad
    learning = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learning)
    assert len(learning) == len(list(model.encoder.parameters())) - 1 + len(list(model.predictor.parameters()))


class Fixed(nn.Module):
    """A predictor that gives one value everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, context: torch.Tensor, seen: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return torch.full((*hidden.shape, context.shape[-1]), self.value)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_the_loss_by_hand(model: IJepa, value: float) -> None:
    """Smooth L1 is d^2 / 2 up to a distance of one, then |d| - 1/2, of layer-normalised targets."""
    model.predictor = Fixed(value)  # type: ignore[assignment]
    pixels, context, targets = batch()
    loss, features = model(pixels, context, targets)
    whole = model.target(pixels).last_hidden_state
    torch.testing.assert_close(features, whole, rtol=0, atol=1e-6)
    normal = (whole - whole.mean(-1, keepdim=True)) / (whole.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    terms = []
    for image in range(3):
        for block in targets[image]:
            distance = (normal[image, block] - value).abs()
            terms.append(torch.where(distance < 1, distance**2 / 2, distance - 0.5))
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-5, atol=1e-5)


def test_the_predictor_is_asked_for_places_and_answers_in_their_order(model: IJepa) -> None:
    _, context, targets = batch()
    seen, hidden = torch.randn(*context.shape, 32), targets[:, 0]
    turned = hidden.flip(1)
    predictor = model.predictor.eval()
    torch.testing.assert_close(
        predictor(seen, context, hidden).flip(1), predictor(seen, context, turned), rtol=0, atol=1e-5
    )
    assert not torch.allclose(predictor(seen, context, hidden)[:, 0], predictor(seen, context, hidden)[:, 1])


def test_training_lowers_the_loss(model: IJepa) -> None:
    parts = batch()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss, _ = model(*parts)
        loss.backward()
        optimiser.step()
        model.follow(0.99)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_sine_cosine_by_hand() -> None:
    table = sine_cosine(8, 3)
    assert table.shape == (9, 8)
    row, column = 2, 1
    expected = [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    expected += [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    torch.testing.assert_close(table[row * 3 + column], torch.tensor(expected), rtol=0, atol=1e-6)
    assert len(torch.unique(table, dim=0)) == 9


def test_taking_tokens_by_number() -> None:
    tokens = torch.arange(12.0).view(2, 3, 2)
    assert take(tokens, torch.tensor([[2, 0], [1, 1]])).tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]


def test_momentum_rises_linearly_to_one() -> None:
    assert momentum_at(0, 100, start=0.996) == 0.996
    assert momentum_at(50, 100, start=0.996) == pytest.approx(0.998)
    assert momentum_at(100, 100, start=0.996) == momentum_at(101, 100, start=0.996) == 1.0


def test_the_target_is_the_moving_average(model: IJepa) -> None:
    old = [p.clone() for p in model.target.parameters()]
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(1.0)
    model.follow(0.75)
    for before, after in zip(old, model.target.parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.25)
    now = [p.clone() for p in model.target.parameters()]
    follow(model.target, model.encoder, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(now, model.target.parameters(), strict=True))


def test_weight_decay_goes_by_half_a_cosine_and_only_where_there_is_decay() -> None:
    assert weight_decay_at(0, 10, start=0.04, end=0.4) == pytest.approx(0.04)
    assert weight_decay_at(5, 10, start=0.04, end=0.4) == pytest.approx(0.22)
    assert weight_decay_at(10, 10, start=0.04, end=0.4) == weight_decay_at(11, 10, start=0.04, end=0.4) == 0.4
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    groups = [
        {"params": [weight], "weight_decay": 0.04, "decayed": True},
        {"params": [bias], "weight_decay": 0.0, "decayed": False},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.0)
    config = LoopConfig(weight_decay=0.04, schedule="cosine", warmup=0.2)
    schedule = DecaySchedule(optimiser, config, 10, end=0.4)
    decays, rates = [], []
    for _ in range(10):
        decays.append([group["weight_decay"] for group in optimiser.param_groups])
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert decays[0] == [pytest.approx(0.04), 0.0] and decays[5] == [pytest.approx(0.22), 0.0]
    assert optimiser.param_groups[0]["weight_decay"] == pytest.approx(0.4)
    assert rates[:3] == pytest.approx([0.5, 0.5, 1.0]) and rates[-1] < 0.1
    again = DecaySchedule(torch.optim.AdamW(groups, lr=1.0), config, 10, end=0.4)
    again.load_state_dict(schedule.state_dict())
    assert again.last_epoch == 10


def test_effective_rank_by_hand() -> None:
    assert float(effective_rank(torch.eye(5))) == pytest.approx(5)
    assert float(effective_rank(torch.ones(7, 3))) == pytest.approx(1, abs=1e-4)
    two = torch.diag(torch.tensor([3.0, 1.0, 0.0]))
    assert float(effective_rank(two)) == pytest.approx(math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)), rel=1e-5)
    wide = torch.randn(4, 30)
    singular = torch.linalg.svdvals(wide)
    share = singular / singular.sum()
    assert float(effective_rank(wide)) == pytest.approx(float((-share * share.log()).sum().exp()), rel=1e-4)
    assert float(effective_rank(torch.zeros(3, 4))) == 1.0


def test_features_that_depend_on_the_place_alone_have_collapsed() -> None:
    places = torch.randn(1, 9, 4).expand(5, -1, -1)
    assert float(feature_std(deviations(places))) < 1e-6
    assert describe_collapse(float(feature_std(deviations(places))), 3.0) is not None
    one_way = torch.randn(50, 9, 1) * torch.ones(4)
    rank = float(effective_rank(spread(deviations(one_way))))
    assert "effective rank 1.0" in (describe_collapse(1.0, rank) or "")
    healthy = torch.randn(50, 9, 4)
    std, rank = float(feature_std(deviations(healthy))), float(effective_rank(spread(deviations(healthy))))
    assert std == pytest.approx(1, abs=0.1) and rank > 3.5 and describe_collapse(std, rank) is None
    assert len(spread(torch.zeros(50, 9, 4))) <= 256 and len(spread(torch.zeros(2, 9, 4))) == 18


def test_crops_lie_in_the_frame_and_have_the_drawn_sizes() -> None:
    rng = np.random.default_rng(0)
    crops = [draw_crop(rng, 200, (0.3, 1.0), (0.75, 4 / 3)) for _ in range(500)]
    for top, left, height, width in crops:
        assert 0 <= top <= top + height <= 200 and 0 <= left <= left + width <= 200
        assert 0.29 < height * width / 200**2 <= 1 and 0.73 < width / height < 1.36
    assert min(h * w for *_, h, w in crops) < 0.4 * 200**2 and max(h * w for *_, h, w in crops) > 0.85 * 200**2
    assert draw_crop(rng, 50, (1.0, 1.0), (1.0, 1.0)) == (0, 0, 50, 50)


def test_random_crops_are_the_frame_where_they_may_not_be_less() -> None:
    frames = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(random_crops(np.random.default_rng(0), frames, 16, (1.0, 1.0), (1.0, 1.0)), frames)
    smaller = random_crops(np.random.default_rng(0), frames, 8, (0.3, 1.0), (0.75, 4 / 3))
    assert smaller.shape == (2, 3, 8, 8) and smaller.dtype == torch.uint8

    assert functional.l1_loss(smaller[0].float(), smaller[1].float()) > 0

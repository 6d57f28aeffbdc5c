"""Options of the Hydra-MDP head: what is distilled, attention without biases, auxiliaries, what is searched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from navforge.core.errors import ConfigError
from navforge.models.contract import HeadInput, Targets
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.heads.hydra_mdp import HydraMdpHead, HydraMdpOutput
from navforge.models.heads.weights import DRIVESUPRIM_V2, HYDRA_LOSS, PLAIN_V1, InferenceWeights, LossWeights
from navforge.models.perception import PerceptionConfig
from navforge.vocabulary.vocabulary import Vocabulary

SMALL = HydraMdpConfig(width=16, attention_heads=2, feed_forward=16, decoder_layers=1)
OVERALL = replace(SMALL, target="score", protocol="pdms_v1", inference=PLAIN_V1)
ENTRIES = 9


def build(config: HydraMdpConfig, *, bev_channels: int = 0) -> HydraMdpHead:
    torch.manual_seed(0)
    poses = np.random.default_rng(0).normal(size=(ENTRIES, 40, 3)).astype(np.float32)
    return config.build(16, Vocabulary(poses), bev_channels=bev_channels)


def some_input(bev_channels: int = 0) -> HeadInput:
    generator = torch.Generator().manual_seed(0)
    tokens, status = torch.randn(3, 5, 16, generator=generator), torch.randn(3, 8, generator=generator)
    return HeadInput(
        tokens, status, torch.randn(3, bev_channels, 16, 16, generator=generator) if bev_channels else None
    )


def forward(head: HydraMdpHead, head_input: HeadInput) -> HydraMdpOutput:
    return head(head_input)


@pytest.mark.parametrize("config", [SMALL, OVERALL, replace(SMALL, protocol="pdms_v1", inference=PLAIN_V1)])
def test_the_searched_parts_add_up_to_the_confidence(config: HydraMdpConfig) -> None:
    head = build(config).eval()
    output = forward(head, some_input())
    factors = torch.tensor([getattr(config.inference, name) for name in config.log_factors])
    logs = head.log_confidences(output)
    assert logs.shape == (3, ENTRIES, len(config.log_factors))
    plan = head.plan(output)
    assert plan.scores is not None and torch.allclose(logs @ factors, plan.scores, atol=1e-5)


def test_sub_scores_of_no_weight_in_the_sum_leave_no_part() -> None:
    only_gates = replace(SMALL, inference=InferenceWeights(imitation=0.1, no_at_fault_collisions=1.0))
    assert only_gates.log_factors[-1] == "traffic_light_compliance" and "weighted" not in only_gates.log_factors
    head = build(only_gates)
    assert head.log_confidences(forward(head, some_input())).shape[-1] == len(only_gates.log_factors)


def test_the_overall_score_has_one_head_and_its_own_loss_factor() -> None:
    head = build(OVERALL)
    assert list(head.sub_scores) == ["score"] and OVERALL.teacher_columns == ("score",)
    output = forward(head, some_input())
    targets = Targets(torch.zeros(3, 8, 3), {"score": torch.full((3, ENTRIES), 0.5)})
    once = head.loss(output, targets)["overall_score"]
    thrice = build(replace(OVERALL, loss=replace(LossWeights(), score=3.0))).loss(output, targets)["overall_score"]
    assert thrice.item() == pytest.approx(3 * once.item())


def test_an_overall_score_that_is_not_learned_or_not_used_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"planner\.head\.loss\.score"):
        replace(OVERALL, loss=replace(LossWeights(), score=0.0))
    with pytest.raises(ConfigError, match="no entry can be chosen"):
        replace(OVERALL, inference=InferenceWeights(imitation=0.0, weighted=0.0))


def test_attention_without_biases_has_four_vectors_less() -> None:
    plain, bare = build(SMALL), build(replace(SMALL, attention_bias=False))
    fewer = set(plain.state_dict()) - set(bare.state_dict())
    assert fewer == {f"vocabulary_encoder.0.self_attn.{name}" for name in ("in_proj_bias", "out_proj.bias")}
    with torch.no_grad():
        for name in fewer:
            plain.state_dict()[name].zero_()
    bare.load_state_dict({name: value for name, value in plain.state_dict().items() if name not in fewer})
    for mode in (True, False):  # torch takes another path in eval mode
        one, other = forward(plain.train(mode), some_input()), forward(bare.train(mode), some_input())
        assert torch.allclose(one.imitation, other.imitation, atol=1e-5)


def test_auxiliaries_are_learned_beside_the_plan_and_change_no_choice() -> None:
    seeing = replace(SMALL, perception=PerceptionConfig())
    assert seeing.auxiliary_targets == ("agents", "bev_semantics") and SMALL.auxiliary_targets == ()
    with_branch, without = build(seeing, bev_channels=4).eval(), build(SMALL).eval()
    without.load_state_dict({k: v for k, v in with_branch.state_dict().items() if not k.startswith("perception.")})
    seen, blind = forward(with_branch, some_input(4)), forward(without, some_input())
    assert torch.equal(seen.imitation, blind.imitation) and blind.perceived is None
    boxes, labels = torch.zeros(3, 30, 5), torch.zeros(3, 30, dtype=torch.bool)
    labels[:, 0] = True
    teacher = {name: torch.ones(3, ENTRIES) for name in SMALL.teacher_columns}
    targets = Targets(torch.zeros(3, 8, 3), teacher, boxes, labels, torch.zeros(3, 128, 256, dtype=torch.int64))
    terms, fewer = with_branch.loss(seen, targets), without.loss(blind, targets)
    assert set(terms) - set(fewer) == {"agent_class", "agent_box", "bev_semantics"}
    extra = sum(terms[name] for name in ("agent_class", "agent_box", "bev_semantics"))
    assert terms["total"].item() == pytest.approx((fewer["total"] + extra).item(), rel=1e-5)


def test_segmentation_needs_features_of_the_ground() -> None:
    with pytest.raises(ConfigError, match=r"planner\.head\.perception\.bev_semantics"):
        build(replace(SMALL, perception=PerceptionConfig(agents=False)))


def test_published_factors() -> None:
    assert (HYDRA_LOSS.no_at_fault_collisions, HYDRA_LOSS.time_to_collision_within_bound) == (3.0, 4.0)
    assert (DRIVESUPRIM_V2.imitation, DRIVESUPRIM_V2.weighted) == (0.02, 6.0)

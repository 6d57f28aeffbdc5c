"""Heads that regress the plan: `mlp`, `queries`, `gru`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from navforge.core.errors import ConfigError
from navforge.models.contract import HeadInput, Targets
from navforge.models.heads.configs import GruHeadConfig, MlpHeadConfig, QueriesHeadConfig, RegressionConfig
from navforge.models.heads.regression import RegressionOutput, mean_square_difference
from navforge.models.planner_config import planner_from_dict
from navforge.training.recipes.catalog import recipe

THESIS = MlpHeadConfig(hidden=256, layer_norm=True, append_status=True)
TIMES_S = 0.5 * torch.arange(1, 9)
ALL = (THESIS, QueriesHeadConfig(), GruHeadConfig())


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (THESIS, 469_272),
        (replace(THESIS, status_history=4), 475_416),
        (replace(THESIS, layers=4), 469_272 + 256 * 256 + 256 + 2 * 256),
    ],
)
def test_mlp_of_the_thesis_has_its_parameters(config: MlpHeadConfig, parameters: int) -> None:
    head = config.build(1280, None)
    assert sum(p.numel() for p in head.parameters()) == parameters
    hidden = [type(layer).__name__ for layer in head.layers]
    assert hidden == ["Linear", "LayerNorm", "ReLU"] * config.layers + ["Linear"]
    output = head(
        HeadInput(torch.randn(2, 256, 1280), torch.randn(2, 8), None, torch.randn(2, config.status_frames, 8))
    )
    assert output.poses.shape == (2, 8, 3)


def test_ego_mlp_of_earlier_checkpoints_is_the_same_planner() -> None:
    head = {"kind": "mlp", "hidden": 512, "layers": 3, "append_status": False}
    config = planner_from_dict({"name": "ego_mlp", "encoder": {"kind": "ego_status"}, "head": head})
    assert config == recipe("ego_mlp").planner
    keys = [f"head.layers.{layer}.{name}" for layer in (0, 2, 4, 6) for name in ("weight", "bias")]
    assert list(config.build().state_dict()) == keys


def test_history_that_the_mlp_would_not_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"status_history: .*append_status=true"):
        MlpHeadConfig(status_history=4)


def test_queries_need_a_width_that_divides() -> None:
    with pytest.raises(ConfigError, match="30 is not a multiple of attention_heads=8"):
        QueriesHeadConfig(width=30)


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.kind)
@pytest.mark.parametrize("tokens", [1, 256])
def test_tokens_and_every_frame_of_the_status_change_the_plan(config: RegressionConfig, tokens: int) -> None:
    torch.manual_seed(0)
    head = replace(config, status_history=4).build(16, None).eval()

    def poses(tokens: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        return head(HeadInput(tokens, history[:, -1], None, history)).poses

    seen, history = torch.randn(1, tokens, 16), torch.randn(1, 4, 8)
    plan = poses(seen, history)
    moved = seen.clone()
    moved[:, -1] += 100
    assert not torch.equal(poses(moved, history), plan)
    for frame in range(4):
        changed = history.clone()
        changed[:, frame] += 1
        assert not torch.equal(poses(seen, changed), plan), frame


def test_each_query_makes_its_own_pose() -> None:
    torch.manual_seed(0)
    head = QueriesHeadConfig(width=32, attention_heads=4).build(16, None).eval()
    head_input = HeadInput(torch.randn(2, 5, 16), torch.randn(2, 8))
    plan = head(head_input).poses
    assert len(head.decoder.layers) == 2 and head.queries.shape == (8, 32)
    with torch.no_grad():
        head.queries.copy_(head.queries.roll(3, dims=0))
    assert torch.allclose(head(head_input).poses, plan.roll(3, dims=1), atol=1e-5)
    assert not torch.allclose(plan[:, 0], plan[:, 1], atol=1e-2)


def test_displacements_of_the_roll_out_add_up_in_the_current_ego_frame() -> None:
    head = GruHeadConfig(hidden=4).build(16, None)
    with torch.no_grad():
        head.displacement.weight.zero_()
        head.displacement.bias.copy_(torch.tensor([2.0, 0.0, 0.1]))
    poses = head(HeadInput(torch.randn(1, 3, 16), torch.randn(1, 8))).poses[0]
    steps = torch.arange(1.0, 9.0)
    assert torch.allclose(poses, torch.stack([2 * steps, 0 * steps, 0.1 * steps], dim=1)), "headings do not turn x, y"


def test_a_step_of_the_roll_out_sees_the_displacement_before_it() -> None:
    torch.manual_seed(0)
    head = GruHeadConfig(hidden=8).build(16, None)
    head_input = HeadInput(torch.randn(1, 3, 16), torch.randn(1, 8))
    plan = head(head_input).poses
    with torch.no_grad():
        head.cell.weight_ih.zero_()
    blind = head(head_input).poses
    assert torch.equal(blind[:, 0], plan[:, 0]), "the first step is given zeros"
    assert not torch.allclose(blind[:, 1], plan[:, 1])


def test_penalties_are_squared_acceleration_and_jerk() -> None:
    braking = torch.stack([-0.5 * 3.0 * TIMES_S**2 + 10 * TIMES_S, 2 * TIMES_S], dim=1)[None]
    assert mean_square_difference(braking, 2, 0.5).item() == pytest.approx(9.0, rel=1e-4)
    assert mean_square_difference(braking, 3, 0.5).item() == pytest.approx(0.0, abs=1e-6)
    jerking = torch.stack([2.0 * TIMES_S**3 / 6, torch.zeros(8)], dim=1)[None]
    assert mean_square_difference(jerking, 3, 0.5).item() == pytest.approx(4.0, rel=1e-4)
    first = torch.zeros(1, 8, 2)
    first[..., 0] = 1.0  # 1 m in the first half second, then at rest: -4 m/s2 once in 7 second differences
    assert mean_square_difference(first, 2, 0.5).item() == pytest.approx(16 / 7)


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.kind)
def test_all_regression_heads_have_one_loss(config: RegressionConfig) -> None:
    poses = torch.zeros(2, 8, 3)
    poses[:, :, 0] = -0.5 * 3.0 * TIMES_S**2
    human = poses.clone()
    human[0, :, 2] += 0.6
    plain = config.build(16, None).loss(RegressionOutput(poses), Targets(human))
    assert list(plain) == ["trajectory", "total"]
    assert plain["total"].item() == pytest.approx(0.6 / 6)  # in one of two scenes, one of three columns
    penalised = replace(config, acceleration_penalty=0.1, jerk_penalty=0.5).build(16, None)
    terms = penalised.loss(RegressionOutput(poses), Targets(human))
    assert terms["acceleration"].item() == pytest.approx(0.9, rel=1e-4)
    assert terms["jerk"].item() == pytest.approx(0.0, abs=1e-6)
    assert terms["total"].item() == pytest.approx(0.1 + 0.9, rel=1e-4)

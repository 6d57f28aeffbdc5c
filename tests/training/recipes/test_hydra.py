"""Each name of the Hydra-MDP family against what the paper says it is: heads, targets, the formula that chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from navforge.models.contract import HeadInput, Targets
from navforge.models.encoders.configs import TimmCameraConfig, TransfuserConfig
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.heads.hydra_mdp import HydraMdpHead, HydraMdpOutput
from navforge.models.perception import PerceptionConfig
from navforge.scoring.protocols import protocol
from navforge.teacher.packing import UNIT16
from navforge.teacher.rows import layout
from navforge.training.recipes.catalog import Recipe, recipe
from navforge.training.recipes.hydra import HYDRA_RECIPES
from navforge.vocabulary.vocabulary import Vocabulary

NC, DAC, EP = "no_at_fault_collisions", "drivable_area_compliance", "ego_progress"
TTC, C, SCORE = "time_to_collision_within_bound", "comfort", "score"
ENTRIES = 30
Logits = dict[str, NDArray[np.float64]]

PAPER = {
    "hydra_mdp_v8192": {NC, DAC, TTC, C},
    "hydra_mdp_v8192_pdm": {SCORE},
    "hydra_mdp_v8192_w": {NC, DAC, TTC, C},
    "hydra_mdp_v8192_w_ep": {NC, DAC, TTC, C, EP},
}
CAMERAS_ONLY = ["hydra_mdp_v8192_w_ep_r34", "hydra_mdp_v8192_w_ep_v2_99", "hydra_mdp_v8192_w_ep_vit_l"]


def head_config(name: str) -> HydraMdpConfig:
    config = recipe(name).planner.head
    assert isinstance(config, HydraMdpConfig)
    return config


def small_head(name: str) -> HydraMdpHead:
    """The recipe's head with everything of its name kept and only its sizes reduced."""
    config = replace(
        head_config(name),
        width=16,
        attention_heads=2,
        feed_forward=16,
        decoder_layers=1,
        perception=PerceptionConfig(agents=False, bev_semantics=False),
    )
    poses = np.random.default_rng(0).normal(size=(ENTRIES, 40, 3)).astype(np.float32)
    return config.build(16, Vocabulary(poses))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def plain(p: NDArray[np.float64], s: Logits) -> NDArray[np.float64]:
    return p * s[NC] * s[DAC] * (5 * s[TTC] + 2 * s[C])


def overall(p: NDArray[np.float64], s: Logits) -> NDArray[np.float64]:
    return p * s[SCORE]


def weighted(p: NDArray[np.float64], s: Logits) -> NDArray[np.float64]:
    return p**0.05 * s[NC] ** 0.5 * s[DAC] ** 0.5 * (5 * s[TTC] + 2 * s[C]) ** 8


def weighted_ep(p: NDArray[np.float64], s: Logits) -> NDArray[np.float64]:
    return p**0.05 * s[NC] ** 0.5 * s[DAC] ** 0.5 * (5 * s[TTC] + 2 * s[C] + 5 * s[EP]) ** 8


FORMULAS = {
    "hydra_mdp_v8192": plain,
    "hydra_mdp_v8192_pdm": overall,
    "hydra_mdp_v8192_w": weighted,
    "hydra_mdp_v8192_w_ep": weighted_ep,
    **dict.fromkeys(CAMERAS_ONLY, weighted_ep),
}


def random_output(head: HydraMdpHead, scenes: int) -> HydraMdpOutput:
    generator = torch.Generator().manual_seed(3)
    logits = {name: 2 * torch.randn(scenes, ENTRIES, generator=generator) for name in head.sub_scores}
    return HydraMdpOutput(2 * torch.randn(scenes, ENTRIES, generator=generator), logits)


@pytest.mark.parametrize("name", PAPER)
def test_heads_are_what_the_name_says(name: str) -> None:
    head = small_head(name)
    assert set(head.sub_scores) == set(head.config.teacher_columns) == PAPER[name]
    assert head.config.protocol == "pdms_v1"
    output = head(HeadInput(torch.randn(2, 5, 16), torch.randn(2, 8)))
    assert set(output.sub_scores) == PAPER[name] and output.imitation.shape == (2, ENTRIES)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formula_that_chooses(name: str) -> None:
    head = small_head(name)
    output = random_output(head, scenes=200)
    p = np.exp(output.imitation.double().numpy())
    p /= p.sum(axis=1, keepdims=True)
    scores = {column: sigmoid(logits.double().numpy()) for column, logits in output.sub_scores.items()}
    chosen = head.plan(output).chosen
    assert chosen is not None
    assert chosen.tolist() == FORMULAS[name](p, scores).argmax(axis=1).tolist()


def test_the_formulas_differ() -> None:
    """Or else the tests of the formulas would pass with the wrong one."""
    rng = np.random.default_rng(0)
    scores = {name: rng.uniform(0.01, 1, (300, ENTRIES)) for name in (NC, DAC, EP, TTC, C, SCORE)}
    p = rng.dirichlet(np.full(ENTRIES, 0.3), 300)
    chosen = {f.__name__: f(p, scores).argmax(axis=1) for f in (plain, overall, weighted, weighted_ep)}
    names = sorted(chosen)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            assert (chosen[one] != chosen[other]).mean() > 0.1


@pytest.mark.parametrize("name", PAPER)
def test_every_target_is_learned_and_no_other(name: str) -> None:
    """Turning one teacher column turns the loss, if and only if the name says so."""
    head = small_head(name)
    output = random_output(head, scenes=4)
    generator = torch.Generator().manual_seed(1)
    human = torch.zeros(4, 8, 3)
    columns = {column: torch.rand(4, ENTRIES, generator=generator).round() for column in (NC, DAC, EP, TTC, C, SCORE)}
    base = head.loss(output, Targets(human, columns))["total"]
    for column, values in columns.items():
        turned = head.loss(output, Targets(human, {**columns, column: 1 - values}))["total"]
        assert (turned != base) == (column in PAPER[name]), column
    moved = head.loss(output, Targets(human + 0.3, columns))["total"]
    assert moved != base


def test_progress_is_distilled_as_it_is() -> None:
    """EP is continuous: 0.5 is neither a pass nor a fail, and the store keeps it finely."""
    head = small_head("hydra_mdp_v8192_w_ep")
    output = random_output(head, scenes=1)
    ones = dict.fromkeys(head.config.teacher_columns, torch.ones(1, ENTRIES))

    def term(value: float) -> float:
        targets = Targets(torch.zeros(1, 8, 3), {**ones, EP: torch.full((1, ENTRIES), value)})
        return head.loss(output, targets)[EP].item()

    assert term(0.5) == pytest.approx((term(0.0) + term(1.0)) / 2, rel=1e-5)
    assert term(0.3) != pytest.approx(term(0.0), rel=1e-3)
    assert dict(layout(protocol(head.config.protocol), ENTRIES, UNIT16).columns)[EP].largest > 10_000


def test_the_paper_adds_losses_plainly() -> None:
    head = small_head("hydra_mdp_v8192_w_ep")
    output = random_output(head, scenes=2)
    targets = Targets(torch.zeros(2, 8, 3), {name: torch.zeros(2, ENTRIES) for name in head.config.teacher_columns})
    for name, value in head.loss(output, targets).items():
        if name in head.sub_scores:
            logits = output.sub_scores[name].double()
            assert value.item() == pytest.approx(torch.log1p(logits.exp()).mean().item(), rel=1e-5)


@pytest.mark.parametrize("name", PAPER)
def test_paper_names_see_cameras_and_lidar_and_learn_perception(name: str) -> None:
    planner = recipe(name).planner
    assert isinstance(planner.encoder, TransfuserConfig) and planner.lidar is not None
    assert planner.encoder.network == "resnet34"
    assert planner.auxiliary_targets == ("agents", "bev_semantics")
    assert planner.panorama is not None and (planner.panorama.height, planner.panorama.width) == (256, 1024)


@pytest.mark.parametrize(
    ("name", "network", "size"),
    [
        ("hydra_mdp_v8192_w_ep_r34", "resnet34", (256, 1024)),
        ("hydra_mdp_v8192_w_ep_v2_99", "v2_99", (512, 2048)),
        ("hydra_mdp_v8192_w_ep_vit_l", "vit_large_patch14_dinov2", (256, 1024)),
        ("gtrs_dense_v8192_v2_99", "v2_99", (512, 2048)),
    ],
)
def test_camera_only_names_have_their_network(name: str, network: str, size: tuple[int, int]) -> None:
    planner = recipe(name).planner
    assert isinstance(planner.encoder, TimmCameraConfig) and planner.encoder.network == network
    assert planner.panorama is not None and (planner.panorama.height, planner.panorama.width) == size
    assert planner.lidar is None and planner.auxiliary_targets == ()


@pytest.mark.parametrize(
    "chosen", [r for r in HYDRA_RECIPES if "_v8192" in r.name or "_v16384" in r.name], ids=lambda r: r.name
)
def test_sizes_and_training_follow_the_specification(chosen: Recipe) -> None:
    name = chosen.name
    head, train, planner = head_config(name), recipe(name).train, recipe(name).planner
    assert planner.stated_vocabulary_size == (16384 if "16384" in name else 8192)
    assert (head.width, head.attention_heads, head.feed_forward) == (256, 8, 1024)
    assert (head.vocabulary_layers, head.decoder_layers, head.dropout) == (1, 3, 0.0)
    assert (train.epochs, train.weight_decay, train.schedule) == (20, 0.0, "constant")
    paper = name.startswith("hydra")
    assert train.learning_rate == (1e-4 if paper else 2e-4) and train.batch_size == (32 if paper else 22)
    assert head.sigma == (1.0 if paper else 0.5) and head.attention_bias is False

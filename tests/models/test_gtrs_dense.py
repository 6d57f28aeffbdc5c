"""Hydra-MDP with V2-99 is the public GTRS-Dense: parameters, logits of every head, chosen entries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from navforge.core.errors import ConfigError, DataError
from navforge.models.conversion import convert, recognise
from navforge.models.conversions import CONVERSIONS
from navforge.models.conversions.hydra_mdp import GTRS_DENSE
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.heads.hydra_mdp import HydraMdpOutput
from navforge.models.importing import import_checkpoint
from navforge.models.loading import load_planner
from navforge.models.perception import PerceptionConfig
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.vocabulary import Vocabulary
from tests.models import zoo

NAME = "hydra_vov"


def config(*, detector: bool = False) -> PlannerConfig:
    planner = recipe("gtrs_dense_v8192_v2_99").planner
    head = planner.head
    assert isinstance(head, HydraMdpConfig)
    return replace(planner, head=replace(head, perception=PerceptionConfig(agents=detector, bev_semantics=False)))


@pytest.fixture(scope="module")
def vocabulary(navsim_files: Path) -> Vocabulary:
    return Vocabulary.load(navsim_files / "vocabulary_8192.npy")


@pytest.fixture(scope="module")
def published(modelzoo: Path, vocabulary: Vocabulary) -> dict[str, Tensor]:
    return zoo.published_weights(modelzoo, NAME, vocabulary.poses)


@pytest.fixture(scope="module")
def planner(published: dict[str, Tensor], vocabulary: Vocabulary) -> Planner:
    made = config().build(vocabulary, pretrained=False).eval()
    made.load_state_dict(convert(recognise(published, CONVERSIONS), made.state_dict()), strict=True)
    return made


def numbers(planner: Planner) -> int:
    """Parameters as the public code counts them: the vocabulary is a parameter there, frozen."""
    return sum(p.numel() for p in planner.parameters()) + planner.get_buffer("head.vocabulary").numel()


def test_parameters_agree(modelzoo: Path, published: dict[str, Tensor], planner: Planner) -> None:
    """All but a vehicle detector, which the public network holds and never calls."""
    total = zoo.published_parameters(modelzoo, NAME)
    assert total == 81_968_462
    detector = ("_query_embedding.", "_tf_decoder.", "_agent_head.")
    never_run = sum(value.numel() for key, value in published.items() if key.startswith(detector))
    assert numbers(planner) == total - never_run == 78_531_912


def test_with_the_detector_every_parameter_is_there(
    modelzoo: Path, published: dict[str, Tensor], vocabulary: Vocabulary
) -> None:
    whole = config(detector=True).build(vocabulary, pretrained=False)
    assert numbers(whole) == zoo.published_parameters(modelzoo, NAME)
    whole.load_state_dict(convert(recognise(published, CONVERSIONS), whole.state_dict()), strict=True)


@pytest.mark.slow
def test_it_is_the_published_network(modelzoo: Path, planner: Planner) -> None:
    stored = zoo.published_outputs(modelzoo, NAME)
    inputs = zoo.inputs(512, 2048)
    del inputs["lidar"]
    with torch.inference_mode():
        output = planner(inputs)
        plan = planner.head.plan(output)
    assert isinstance(output, HydraMdpOutput)
    logits = {"imi": output.imitation, **output.sub_scores}
    assert set(logits) == set(stored) - {"trajectory", "selected_indices"} and len(logits) == 8
    for name, values in logits.items():
        assert zoo.largest_error(values, stored[name]) < 1e-4, name
    assert plan.chosen is not None
    assert plan.chosen.tolist() == stored["selected_indices"].astype(int).tolist()
    np.testing.assert_array_equal(plan.trajectories.numpy(), stored["trajectory"])


def test_names_of_released_checkpoints_are_strict(published: dict[str, Tensor], planner: Planner) -> None:
    wanted = planner.state_dict()
    released = {f"agent.model.{name}": value for name, value in published.items()}
    found = recognise(released, CONVERSIONS)
    assert found.conversion is GTRS_DENSE and found.prefix == "agent.model."
    gone = "agent.model._trajectory_head.encoder.self_attn.to_k.weight"
    with pytest.raises(DataError, match=r"missing keys: .*to_k\.weight"):
        convert(recognise({k: v for k, v in released.items() if k != gone}, CONVERSIONS), wanted)
    with pytest.raises(DataError, match=r"unexpected keys: .*heads\.comfort"):
        convert(
            recognise({**released, "agent.model._trajectory_head.heads.comfort": torch.zeros(1)}, CONVERSIONS), wanted
        )


@pytest.mark.parametrize("entries", [8192, 16384])
def test_released_checkpoints_take_the_vocabulary_given(
    entries: int, published: dict[str, Tensor], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """They hold 16384 entries, which the public code replaces; the network's other weights fit any number."""
    held = torch.cat([torch.from_numpy(vocabulary.poses), torch.from_numpy(vocabulary.poses) + 0.25])
    state = {**published, "_trajectory_head.vocab": held}
    torch.save({"state_dict": {f"agent.model.{name}": value for name, value in state.items()}}, tmp_path / "gtrs.ckpt")
    agent = recipe(f"gtrs_dense_v{entries}_v2_99").planner
    given = vocabulary if entries == 8192 else None
    import_checkpoint(tmp_path / "gtrs.ckpt", agent, tmp_path / "ours.ckpt", vocabulary=given)
    loaded = load_planner(tmp_path / "ours.ckpt")
    assert torch.equal(loaded.get_buffer("head.vocabulary"), held[:entries])
    if given is None:
        with pytest.raises(ConfigError, match="says 8192 vocabulary entries, the vocabulary given has 16384"):
            import_checkpoint(tmp_path / "gtrs.ckpt", config(), tmp_path / "other.ckpt")


def test_a_planner_with_other_heads_is_refused(published: dict[str, Tensor], vocabulary: Vocabulary) -> None:
    other = recipe("hydra_mdp_v8192_w_ep_v2_99").planner.build(vocabulary, pretrained=False)
    with pytest.raises(DataError, match=r"missing keys: .*heads\.comfort"):
        convert(recognise(published, CONVERSIONS), other.state_dict())

"""TransFuser and LTF are the published networks; what each reads; full size learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from navforge.core.errors import ConfigError
from navforge.models.contract import Targets
from navforge.models.conversion import convert, recognise
from navforge.models.conversions import CONVERSIONS
from navforge.models.encoders.configs import TransfuserConfig
from navforge.models.encoders.transfuser_fusion import Fusion
from navforge.models.heads.configs import TransfuserHeadConfig
from navforge.models.heads.transfuser import TransfuserOutput
from navforge.models.histogram import HistogramConfig
from navforge.models.importing import import_checkpoint
from navforge.models.loading import load_planner
from navforge.models.panorama import PanoramaConfig
from navforge.models.perception import LTF_VIEW_ANGLE, PerceptionConfig
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe
from tests.models import zoo

FULL = PlannerConfig(name="transfuser", encoder=TransfuserConfig(), head=TransfuserHeadConfig())
SMALL_ENCODER = TransfuserConfig(
    panorama=PanoramaConfig(height=32, width=64),
    histogram=HistogramConfig(pixels_per_metre=1),
    network="resnet10t",
    stem_width=8,
    stage_widths=(8, 8, 16, 16),
    fusion_layers=1,
    fusion_heads=2,
    channels=16,
    bev_channels=8,
)
SMALL = PlannerConfig(
    name="small",
    encoder=SMALL_ENCODER,
    head=TransfuserHeadConfig(attention_heads=2, feed_forward=32, decoder_layers=1),
)


def of_size(full: bool, *, latent: bool) -> PlannerConfig:
    base = FULL if full else SMALL
    assert isinstance(base.encoder, TransfuserConfig)
    return replace(base, encoder=replace(base.encoder, latent=latent))


def some_inputs(config: PlannerConfig, batch: int = 2) -> dict[str, torch.Tensor]:
    assert config.panorama is not None
    generator = torch.Generator().manual_seed(0)
    size = (batch, 3, config.panorama.height, config.panorama.width)
    inputs = {
        "status": torch.randn(batch, 8, generator=generator),
        "panorama": torch.randint(0, 256, size, dtype=torch.uint8, generator=generator),
    }
    if config.lidar is not None:
        inputs["lidar"] = torch.rand(batch, *config.lidar.shape, generator=generator)
    return inputs


def some_targets(batch: int = 2) -> Targets:
    agents = torch.zeros(batch, 30, 5)
    agents[:, :3] = torch.tensor([[5.0, 1, 0, 4, 2], [9, -3, 1, 5, 2], [-6, 2, -1, 4, 2]])
    labels = torch.zeros(batch, 30, dtype=torch.bool)
    labels[:, :3] = True
    semantics = torch.arange(7).repeat_interleave(37)[:256].expand(batch, 128, 256).contiguous()
    return Targets(torch.rand(batch, 8, 3).cumsum(1), {}, agents, labels, semantics)


@pytest.mark.parametrize("name", ["transfuser", "ltf"])
def test_it_is_the_published_network(name: str, modelzoo: Path, tmp_path: Path) -> None:
    """The recipe's planner, its weights by way of a file as Lightning writes it and `import-checkpoint`."""
    source, out = tmp_path / "published.ckpt", tmp_path / "ours.ckpt"
    published = zoo.published_weights(modelzoo, name)
    torch.save({"state_dict": {f"agent._transfuser_model.{key}": value for key, value in published.items()}}, source)
    done = import_checkpoint(source, recipe(name).planner, out)
    assert done.parameters == zoo.published_parameters(modelzoo, name)
    planner = load_planner(out)
    source.unlink(), out.unlink()  # 220 MB each
    inputs = zoo.inputs(256, 1024)
    if name == "ltf":
        del inputs["lidar"]
    with torch.inference_mode():
        output = planner(inputs)
    assert isinstance(output, TransfuserOutput)
    perceived, stored = output.perceived, zoo.published_outputs(modelzoo, name)
    assert perceived.boxes is not None and perceived.logits is not None and perceived.semantics is not None
    ours = {
        "trajectory": output.poses,
        "agent_states": perceived.boxes,
        "agent_labels": perceived.logits,
        "bev_semantic_map": perceived.semantics,
    }
    assert stored.keys() == ours.keys()
    for key, value in ours.items():
        assert zoo.largest_error(value, stored[key]) < 1e-4, key


def test_one_moved_weight_is_noticed(modelzoo: Path) -> None:
    """The parity test would see a swapped pair of layers: two fusion convolutions of equal shape."""
    published = zoo.published_weights(modelzoo, "ltf")
    one, other = "_backbone.lidar_channel_to_img.2.weight", "_backbone.img_channel_to_lidar.2.weight"
    published[one], published[other] = published[other], published[one]
    planner = of_size(True, latent=True).build().eval()
    planner.load_state_dict(convert(recognise(published, CONVERSIONS), planner.state_dict()))
    with torch.inference_mode():
        output = planner(zoo.inputs(256, 1024))
    assert zoo.largest_error(output.poses, zoo.published_outputs(modelzoo, "ltf")["trajectory"]) > 1e-2


def test_what_each_reads() -> None:
    transfuser, ltf = of_size(False, latent=False), of_size(False, latent=True)
    assert transfuser.lidar == SMALL_ENCODER.histogram and ltf.lidar is None
    assert transfuser.panorama == ltf.panorama == SMALL_ENCODER.panorama
    assert transfuser.auxiliary_targets == ("agents", "bev_semantics")


@pytest.mark.parametrize("latent", [False, True])
def test_only_transfuser_sees_the_lidar(latent: bool) -> None:
    planner = of_size(False, latent=latent).build().eval()
    inputs = some_inputs(of_size(False, latent=False))
    before = planner.plan(inputs).trajectories
    after = planner.plan({**inputs, "lidar": 1 - inputs["lidar"]}).trajectories
    assert torch.equal(before, after) == latent
    turned = planner.plan({**inputs, "panorama": inputs["panorama"].flip(-1)}).trajectories
    assert not torch.equal(before, turned)
    moved = planner.plan({**inputs, "status": inputs["status"] + 1}).trajectories
    assert not torch.equal(before, moved)


def test_panoramas_stay_as_they_are_between_0_and_1() -> None:
    """The published network saw no ImageNet normalisation."""
    planner = of_size(False, latent=True).build().eval()
    inputs = some_inputs(planner.config)
    as_float = {**inputs, "panorama": inputs["panorama"].float() / 255}
    assert torch.equal(planner.plan(inputs).trajectories, planner.plan(as_float).trajectories)
    seen: list[torch.Tensor] = []
    planner.encoder.get_submodule("image.network.conv1").register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    planner.plan(inputs)
    assert torch.equal(seen[0], as_float["panorama"])


def test_fusion_adds_nothing_where_the_transformer_says_nothing() -> None:
    fusion = Fusion(8, 4, (1, 2), (2, 2), layers=1, attention_heads=2, dropout=0.0)
    image, ground = torch.randn(1, 8, 4, 8), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        fusion.norm.weight.zero_()
        fusion.to_ground.bias.zero_()  # type: ignore[union-attr]
    same = fusion(image, ground)
    assert torch.equal(same[0], image) and torch.equal(same[1], ground)
    with torch.no_grad():
        fusion.norm.weight.fill_(1)
    mixed = fusion(image, ground)
    other = fusion(image, ground + 1)
    assert not torch.allclose(mixed[0], image) and not torch.allclose(mixed[0], other[0])


def test_headings_stay_within_pi_and_plans_are_8_poses_in_4_s() -> None:
    planner = SMALL.build().eval()
    with torch.no_grad():
        planner.head.get_parameter("trajectory.2.bias").fill_(50.0)
    plan = planner.plan(some_inputs(SMALL))
    assert plan.trajectories.shape == (2, 8, 3) and plan.interval_s == 0.5
    assert plan.trajectories[..., 2].abs().max() <= torch.pi + 1e-6
    assert plan.trajectories[..., 0].min() > 40


def test_without_agents_there_is_one_query() -> None:
    config = replace(SMALL, head=replace(SMALL.head, perception=PerceptionConfig(agents=False)))
    planner = config.build()
    assert len(planner.head.get_parameter("queries")) == 1
    terms = planner.loss(planner(some_inputs(config)), some_targets())
    assert set(terms) == {"trajectory", "bev_semantics", "total"}


def test_losses_have_the_published_factors() -> None:
    planner = SMALL.build().eval()
    output, targets = planner(some_inputs(SMALL)), some_targets()
    terms = planner.loss(output, targets)
    error = (output.poses - targets.human_poses).abs().mean()
    assert terms["trajectory"].item() == pytest.approx(10 * error.item(), rel=1e-5)
    assert terms["total"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if k != "total"), rel=1e-5)
    assert set(terms) == {"trajectory", "agent_class", "agent_box", "bev_semantics", "total"}


def test_ltf_does_not_look_for_vehicles_behind() -> None:
    head = replace(SMALL.head, perception=PerceptionConfig(view_angle=LTF_VIEW_ANGLE))
    ltf = replace(of_size(False, latent=True), head=head).build().eval()
    output, targets = ltf(some_inputs(ltf.config)), some_targets()
    assert targets.agents is not None and targets.agent_labels is not None
    terms = ltf.loss(output, targets)
    targets.agent_labels[:, 2] = False  # the one behind
    without = ltf.loss(output, targets)
    assert terms["agent_box"].item() == without["agent_box"].item()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"panorama": PanoramaConfig(height=48, width=64)}, r"panorama\.height: expected a multiple of 32 px, got 48"),
        ({"histogram": HistogramConfig(metres=10)}, r"histogram: expected a multiple of 32 px, got 80"),
    ],
)
def test_sizes_that_are_no_whole_tokens(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(SMALL_ENCODER, **change)  # type: ignore[arg-type]


def test_networks_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"network: vit_tiny_patch16_224 has not 4 stages"):
        replace(SMALL_ENCODER, network="vit_tiny_patch16_224", stem_width=0, stage_widths=()).build()
    with pytest.raises(ConfigError, match=r"fusion_heads.*not a multiple of 3"):
        replace(SMALL_ENCODER, fusion_heads=3).build()
    with pytest.raises(ConfigError, match=r"attention_heads.*width 16"):
        replace(SMALL, head=TransfuserHeadConfig(attention_heads=3)).build()


def test_pretrained_weights_are_the_cameras_only(tmp_path: Path) -> None:
    source = timm.create_model("resnet10t", stem_width=8, channels=(8, 8, 16, 16))
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    config = replace(SMALL_ENCODER, weights=tmp_path / "weights.pth")
    encoder, given = config.build(), source.state_dict()
    image, ground = (encoder.get_submodule(f"{trunk}.network").state_dict() for trunk in ("image", "ground"))
    assert image and all(torch.equal(given[name], value) for name, value in image.items())
    assert not torch.equal(ground["layer1.0.conv1.weight"], given["layer1.0.conv1.weight"])
    fresh = config.build(pretrained=False).get_submodule("image.network").state_dict()
    assert not torch.equal(fresh["layer1.0.conv1.weight"], given["layer1.0.conv1.weight"])


def step(planner: Planner, rate: float) -> float:
    inputs, targets = some_inputs(planner.config), some_targets()
    optimiser = torch.optim.Adam(planner.parameters(), lr=rate)
    loss = planner.loss(planner(inputs), targets)["total"]
    loss.backward()
    without = [name for name, p in planner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without
    optimiser.step()
    return loss.item()


@pytest.mark.slow
@pytest.mark.parametrize("latent", [False, True])
def test_full_size_takes_a_step(latent: bool) -> None:
    torch.manual_seed(0)
    planner = of_size(True, latent=latent).build()
    with torch.no_grad():  # ResNets start with residual branches switched off by zeros
        for parameter in planner.parameters():
            parameter.add_(0.001 * torch.randn_like(parameter))
    before = {name: p.detach().clone() for name, p in planner.named_parameters()}
    assert torch.isfinite(torch.tensor(step(planner, 1e-4)))
    assert all(not torch.equal(before[name], p) for name, p in planner.named_parameters())

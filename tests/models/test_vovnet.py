"""V2-99: the published network's layers, names and channel order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.core.errors import DataError
from navforge.models.encoders.vovnet import v2_99


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return v2_99().eval()


def detectron_name(name: str) -> str:
    """The published name of one of our keys, written apart from the rules."""
    words = name.split(".")
    part = {"conv": "conv", "bn": "norm"}.get(words[-2])
    if words[0].startswith("stem_"):
        return f"stem.stem_{int(words[0][-1]) + 1}/{part}.{words[-1]}"
    stage, block = int(words[0][-1]) + 2, int(words[2]) + 1
    unit = f"OSA{stage}_{block}"
    if words[3] == "attn":
        return f"stage{stage}.{unit}.ese.fc.{words[-1]}"
    if words[3] == "conv_concat":
        return f"stage{stage}.{unit}.concat.{unit}_concat/{part}.{words[-1]}"
    return f"stage{stage}.{unit}.layers.{words[4]}.{unit}_{words[4]}/{part}.{words[-1]}"


def as_published(network: nn.Module) -> dict[str, Tensor]:
    state = {detectron_name(name): value.clone() for name, value in network.state_dict().items()}
    state["stem.stem_1/conv.weight"] = state["stem.stem_1/conv.weight"].flip(1)
    return state


def test_names_of_the_published_checkpoint(network: nn.Module) -> None:
    names = {detectron_name(name) for name in network.state_dict()}
    assert {
        "stem.stem_1/conv.weight",
        "stage2.OSA2_1.layers.0.OSA2_1_0/norm.running_mean",
        "stage4.OSA4_9.concat.OSA4_9_concat/conv.weight",
        "stage5.OSA5_2.ese.fc.bias",
    } <= names


def test_every_block_has_squeeze_excitation_and_the_published_sizes(network: nn.Module) -> None:
    gates = [name for name in network.state_dict() if name.endswith("attn.fc.weight")]
    assert len(gates) == 1 + 3 + 9 + 3
    assert sum(p.numel() for p in network.parameters()) == 69_523_520
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 64, 96))[-1].shape == (1, 1024, 2, 3)


def test_a_block_is_what_the_paper_says(network: nn.Module) -> None:
    """The second block of stage 3, written out: five convolutions, all joined, gated, plus the input."""
    block = network.get_submodule("stages_1.blocks.1")
    state = block.state_dict()

    def unit(name: str, x: Tensor, padding: int) -> Tensor:
        mean, var = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
        x = functional.conv2d(x, state[f"{name}.conv.weight"], padding=padding)
        return functional.batch_norm(x, mean, var, state[f"{name}.bn.weight"], state[f"{name}.bn.bias"]).relu()

    x = torch.randn(2, 512, 5, 6, generator=torch.Generator().manual_seed(1))
    joined = [x]
    for layer in range(5):
        joined.append(unit(f"conv_mid.{layer}", joined[-1], padding=1))
    y = unit("conv_concat", torch.cat(joined, dim=1), padding=0)
    gate = functional.conv2d(y.mean(dim=(2, 3), keepdim=True), state["attn.fc.weight"], state["attn.fc.bias"])
    expected = y * (gate + 3).clamp(0, 6) / 6 + x
    with torch.no_grad():
        assert torch.allclose(block(x), expected, atol=1e-4)


def test_weights_of_a_detector_load_and_colours_turn(network: nn.Module, tmp_path: Path) -> None:
    published = {f"img_backbone.{name}": value for name, value in as_published(network).items()}
    torch.save({"state_dict": {**published, "bbox_head.weight": torch.zeros(3)}}, tmp_path / "dd3d.pth")
    loaded = v2_99(weights=tmp_path / "dd3d.pth").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())
    torch.save(as_published(network), tmp_path / "bare.pth")
    assert torch.equal(
        v2_99(weights=tmp_path / "bare.pth").state_dict()["stem_0.conv.weight"], loaded["stem_0.conv.weight"]
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "resnet.pth")
    with pytest.raises(DataError, match=r"do not fit v2_99") as raised:
        v2_99(weights=tmp_path / "resnet.pth")
    assert "stem.stem_1/conv.weight" in str(raised.value)

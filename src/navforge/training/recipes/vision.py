"""Recipes of planners with a frozen encoder from files: one per encoder and head, all seen through the front camera.

The I-JEPA planners are those of planner specifications 5: ViT-H/14 at 224x224, an MLP over the mean of its patches,
L1, AdamW at 1e-4 without weight decay, 32 scenes a step. A last word names the head; heads that attend to tokens get
all of them. `vit_tiny_*` are small enough for a CPU and start at random: `planner.encoder.weights` gives them others.
"""

from __future__ import annotations

from dataclasses import replace

from navforge.models.contract import HeadConfig
from navforge.models.encoders.configs import VisionConfig
from navforge.models.heads.configs import GruHeadConfig, HydraMdpConfig, MlpHeadConfig, QueriesHeadConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.recipes.hydra import TINY as HYDRA_TINY
from navforge.training.recipes.hydra import WITH_EP
from navforge.training.recipes.recipe import Recipe

ARCHITECTURES: dict[str | None, tuple[str, str]] = {
    "facebook/ijepa_vith14_1k": (
        "ijepa",
        '{"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120, '
        '"patch_size": 14, "image_size": 224}',
    ),
    "facebook/dinov3-vitl16-pretrain-lvd1689m": (
        "dinov3_vit",
        '{"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096, '
        '"patch_size": 16, "image_size": 224, "num_register_tokens": 4}',
    ),
    "facebook/vjepa2-vitl-fpc64-256": (
        "vjepa2",
        '{"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "mlp_ratio": 4, "patch_size": 16, '
        '"crop_size": 256, "tubelet_size": 2}',
    ),
}
"""Network and architecture by the Hub's name of the weights, as published: for predictions made without the files."""

IJEPA = VisionConfig(weights="facebook/ijepa_vith14_1k")
DINOV3 = VisionConfig(weights="facebook/dinov3-vitl16-pretrain-lvd1689m")
VJEPA2 = VisionConfig(weights="facebook/vjepa2-vitl-fpc64-256", frames=4, height=256, width=256)
VIT_TINY = VisionConfig(
    network="ijepa",
    architecture='{"hidden_size": 96, "num_hidden_layers": 6, "num_attention_heads": 3, "intermediate_size": 384, '
    '"patch_size": 8, "image_size": 64}',
    height=64,
    width=64,
)
"""1 million parameters, 64 tokens."""

MLP = MlpHeadConfig(hidden=256, layers=3, layer_norm=True, append_status=True)
QUERIES = QueriesHeadConfig()
GRU = GruHeadConfig()
HYDRA = HydraMdpConfig(protocol="pdms_v1", attention_bias=False, sigma=1.0, **WITH_EP)

PUBLISHED = TrainConfig(epochs=50, batch_size=32, learning_rate=1e-4, keep_inputs=False, loader_workers=4)
TINY = TrainConfig(epochs=20, batch_size=32, learning_rate=1e-3, schedule="one_cycle", clip_gradient=1.0)


def _recipe(name: str, summary: str, encoder: VisionConfig, head: HeadConfig, train: TrainConfig = PUBLISHED) -> Recipe:
    tokens = "mean" if isinstance(head, MlpHeadConfig | GruHeadConfig) else "all"
    planner = PlannerConfig(name=name, encoder=replace(encoder, tokens=tokens), head=head)
    return Recipe(summary=summary, planner=planner, train=train)


VISION_RECIPES: tuple[Recipe, ...] = (
    _recipe("ijepa_mlp", "frozen I-JEPA ViT-H/14, mean token and ego status to an MLP", IJEPA, MLP),
    _recipe("ijepa_queries", "frozen I-JEPA ViT-H/14, pose queries that attend to all tokens", IJEPA, QUERIES),
    _recipe("ijepa_gru", "frozen I-JEPA ViT-H/14, a recurrent head", IJEPA, GRU),
    _recipe("ijepa_hydra_v8192", "frozen I-JEPA ViT-H/14, Hydra-MDP's head with continuous EP", IJEPA, HYDRA),
    _recipe("dinov3_mlp", "frozen DINOv3 ViT-L/16, mean token and ego status to an MLP", DINOV3, MLP),
    _recipe(
        "vjepa2_mlp",
        "frozen V-JEPA 2 ViT-L over a clip of four frames, mean token and ego status to an MLP",
        VJEPA2,
        MLP,
    ),
    _recipe("vit_tiny_mlp", "frozen random ViT small enough for a CPU, an MLP", VIT_TINY, MLP, TINY),
    _recipe("vit_tiny_queries", "the same ViT, pose queries", VIT_TINY, QUERIES, TINY),
    _recipe("vit_tiny_gru", "the same ViT, a recurrent head", VIT_TINY, GRU, TINY),
    _recipe("vit_tiny_hydra", "the same ViT, Hydra-MDP's head", VIT_TINY, HYDRA_TINY.planner.head, TINY),
)

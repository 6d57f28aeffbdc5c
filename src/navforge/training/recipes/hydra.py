"""Recipes of the Hydra-MDP family: the paper's variants by the paper's names, and GTRS-Dense as released.

What a name says (arXiv 2406.06978; planner specifications 3.1):

    hydra_mdp_v8192          imitation, and a head each for NC, DAC, TTC and C; chosen by P NC DAC (5 TTC + 2 C)
    hydra_mdp_v8192_pdm      imitation, and one head for the overall PDM score; chosen by P PDMS
    hydra_mdp_v8192_w        as v8192, chosen by the weighted confidence: each factor to its own power
    hydra_mdp_v8192_w_ep     as _w, with a head for continuous EP: ... (5 TTC + 2 C + 5 EP)

All four see cameras and LiDAR through TransFuser's trunk and learn its auxiliaries; a last word names another encoder,
which sees cameras only. The paper does not print its weights: those here lie in its ranges and stood up to search by
others; `navforge tune` finds a checkpoint's own. The paper's LiDAR input is four frames, here it is the current one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from navforge.models.contract import EncoderConfig
from navforge.models.encoders.configs import V2_99, TimmCameraConfig, TransfuserConfig
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.heads.weights import (
    DRIVESUPRIM_V1,
    DRIVESUPRIM_V2,
    GTRS_DENSE,
    HYDRA_LOSS,
    PLAIN_V1,
    LossWeights,
)
from navforge.models.panorama import BILINEAR, PanoramaConfig
from navforge.models.perception import PerceptionConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import AugmentConfig, TrainConfig
from navforge.training.recipes.recipe import Recipe

TINY = Recipe(
    summary="Hydra-MDP small enough to train on two CPU cores in minutes",
    planner=PlannerConfig(
        name="hydra_mdp_tiny",
        encoder=TimmCameraConfig(
            panorama=PanoramaConfig(height=96, width=320),
            network="resnet10t",
            stem_width=16,
            stage_widths=(24, 48, 96, 128),
            token_rows=3,
            token_columns=10,
            channels=64,
        ),
        head=HydraMdpConfig(
            width=64,
            attention_heads=4,
            feed_forward=128,
            vocabulary_layers=1,
            decoder_layers=2,
            standardise=True,
            inference=replace(DRIVESUPRIM_V2, comfort=2.0),
        ),
    ),
    train=TrainConfig(
        epochs=20,
        batch_size=32,
        learning_rate=2e-3,
        schedule="one_cycle",
        weight_decay=0.02,
        clip_gradient=1.0,
        augment=AugmentConfig(brightness=0.2, contrast=0.2, saturation=0.2, noise=0.02),
    ),
)

SMALL_PANORAMA = PanoramaConfig(height=256, width=1024, resize=BILINEAR, quality=95)
LARGE_PANORAMA = PanoramaConfig(height=512, width=2048, resize=BILINEAR, quality=95)
"""As JPEG, an input store of navtrain takes a seventh of the room; planners whose released weights are imported see
exact pixels, as those were trained on."""
TRUNK = TransfuserConfig(panorama=SMALL_PANORAMA)
R34 = TimmCameraConfig(panorama=SMALL_PANORAMA, network="resnet34", token_rows=8, token_columns=32)
V2_99_CAMERA = TimmCameraConfig(
    panorama=LARGE_PANORAMA, network=V2_99, normalise=False, frozen_norms=True, checkpoint=True
)
GTRS_CAMERA = replace(V2_99_CAMERA, panorama=replace(LARGE_PANORAMA, quality=None))
VIT_L = TimmCameraConfig(panorama=SMALL_PANORAMA, network="vit_large_patch14_dinov2", checkpoint=True)

NO_EP: dict[str, float] = {"ego_progress": 0.0}
PAPER_TRAIN = TrainConfig(
    epochs=20, batch_size=32, learning_rate=1e-4, precision="16-mixed", keep_inputs=False, loader_workers=4
)
"""256 scenes per step as in the paper on 8 ranks; on fewer, raise `accumulate`."""


def _paper(name: str, summary: str, encoder: EncoderConfig = TRUNK, **head: Any) -> Recipe:
    seen = isinstance(encoder, TransfuserConfig)
    config = HydraMdpConfig(
        protocol="pdms_v1",
        attention_bias=False,
        sigma=1.0,
        perception=PerceptionConfig(agents=seen, bev_semantics=seen),
        **head,
    )
    return Recipe(summary=summary, planner=PlannerConfig(name=name, encoder=encoder, head=config), train=PAPER_TRAIN)


SUB_SCORES: dict[str, Any] = {"loss": LossWeights(**NO_EP), "inference": replace(PLAIN_V1, **NO_EP)}
WEIGHTED: dict[str, Any] = {**SUB_SCORES, "inference": replace(DRIVESUPRIM_V1, **NO_EP)}
WITH_EP: dict[str, Any] = {"loss": LossWeights(), "inference": DRIVESUPRIM_V1}

GTRS_HEAD = HydraMdpConfig(attention_bias=False, loss=replace(HYDRA_LOSS, history_comfort=0.0), inference=GTRS_DENSE)


def _gtrs_dense(entries: int) -> Recipe:
    name = f"gtrs_dense_v{entries}_v2_99"
    return Recipe(
        summary=f"GTRS-Dense as released, whose checkpoints it imports, over {entries} entries: V2-99, EPDMS",
        planner=PlannerConfig(name=name, encoder=GTRS_CAMERA, head=GTRS_HEAD),
        train=replace(PAPER_TRAIN, batch_size=22, learning_rate=2e-4, precision="32-true"),
    )


HYDRA_RECIPES: tuple[Recipe, ...] = (
    TINY,
    _paper("hydra_mdp_v8192", "Hydra-MDP: imitation and sub-scores, untuned inference (cameras, LiDAR)", **SUB_SCORES),
    _paper(
        "hydra_mdp_v8192_pdm",
        "Hydra-MDP that distils the overall PDM score alone (cameras, LiDAR)",
        target="score",
        loss=LossWeights(),
        inference=PLAIN_V1,
    ),
    _paper("hydra_mdp_v8192_w", "Hydra-MDP with weighted inference (cameras, LiDAR)", **WEIGHTED),
    _paper("hydra_mdp_v8192_w_ep", "Hydra-MDP with weighted inference and continuous EP (cameras, LiDAR)", **WITH_EP),
    _paper("hydra_mdp_v8192_w_ep_r34", "the same with ResNet-34, cameras only", R34, **WITH_EP),
    _paper("hydra_mdp_v8192_w_ep_v2_99", "the same with V2-99 at 512x2048, cameras only", V2_99_CAMERA, **WITH_EP),
    _paper("hydra_mdp_v8192_w_ep_vit_l", "the same with ViT-L/14 at 256x1024, cameras only", VIT_L, **WITH_EP),
    _gtrs_dense(8192),
    _gtrs_dense(16384),
)

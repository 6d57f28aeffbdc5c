"""Named planners and how each is trained: what `agent=NAME` stands for. To add one, add it to `RECIPES`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from navforge.core.errors import ConfigError
from navforge.models.encoders.ego_status import EgoStatusConfig
from navforge.models.encoders.timm_camera import TimmCameraConfig
from navforge.models.encoders.transfuser import TransfuserConfig
from navforge.models.heads.hydra_mdp import DRIVESUPRIM_V2, HydraMdpConfig
from navforge.models.heads.mlp import MlpHeadConfig
from navforge.models.heads.transfuser import TransfuserHeadConfig
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import BILINEAR, PanoramaConfig
from navforge.models.perception import LTF_VIEW_ANGLE, PerceptionConfig
from navforge.models.planner import PlannerConfig
from navforge.training.config import AugmentConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A planner and its training."""

    planner: PlannerConfig
    train: TrainConfig
    summary: str

    @property
    def name(self) -> str:
        """The planner's name."""
        return self.planner.name


EGO_MLP = Recipe(
    summary="ego status to 8 poses, no sensors: what can be had without looking",
    planner=PlannerConfig(name="ego_mlp", encoder=EgoStatusConfig(), head=MlpHeadConfig()),
    train=TrainConfig(epochs=50, batch_size=64, learning_rate=5e-4, schedule="one_cycle"),
)

HYDRA_MDP_TINY = Recipe(
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

HYDRA_MDP_V8192_W_EP = Recipe(
    summary="full-size Hydra-MDP over the public vocabulary of 8192 (R34, three front cameras, continuous EP)",
    planner=PlannerConfig(
        name="hydra_mdp_v8192_w_ep",
        encoder=TimmCameraConfig(
            panorama=PanoramaConfig(height=256, width=1024),
            network="resnet34",
            token_rows=8,
            token_columns=32,
            channels=256,
        ),
        head=HydraMdpConfig(),
    ),
    train=TrainConfig(
        epochs=20, batch_size=64, learning_rate=1e-4, precision="16-mixed", keep_inputs=False, loader_workers=8
    ),
)

TRANSFUSER_TINY = Recipe(
    summary="TransFuser small enough to train on two CPU cores in minutes",
    planner=PlannerConfig(
        name="transfuser_tiny",
        encoder=TransfuserConfig(
            panorama=PanoramaConfig(height=64, width=256),
            histogram=HistogramConfig(pixels_per_metre=1),
            network="resnet10t",
            stem_width=16,
            stage_widths=(24, 48, 96, 128),
            fusion_layers=1,
            dropout=0.0,
            channels=64,
            bev_channels=16,
        ),
        head=TransfuserHeadConfig(attention_heads=4, feed_forward=128, decoder_layers=2),
    ),
    train=TrainConfig(
        epochs=20, batch_size=32, learning_rate=1e-3, schedule="one_cycle", weight_decay=0.02, clip_gradient=1.0
    ),
)

TRANSFUSER = Recipe(
    summary="TransFuser as published: three front cameras and LiDAR, ResNet-34, perception auxiliaries",
    planner=PlannerConfig(
        name="transfuser",
        encoder=TransfuserConfig(panorama=PanoramaConfig(resize=BILINEAR)),
        head=TransfuserHeadConfig(),
    ),
    train=TrainConfig(
        epochs=100, batch_size=64, learning_rate=1e-4, precision="16-mixed", keep_inputs=False, loader_workers=4
    ),
)

LTF = Recipe(
    summary="Latent TransFuser as published: a learned grid in place of the LiDAR",
    planner=PlannerConfig(
        name="ltf",
        encoder=TransfuserConfig(panorama=PanoramaConfig(resize=BILINEAR), latent=True),
        head=TransfuserHeadConfig(perception=PerceptionConfig(view_angle=LTF_VIEW_ANGLE)),
    ),
    train=TRANSFUSER.train,
)

RECIPES: tuple[Recipe, ...] = (EGO_MLP, HYDRA_MDP_TINY, HYDRA_MDP_V8192_W_EP, TRANSFUSER_TINY, TRANSFUSER, LTF)


def recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ConfigError: none has it.
    """
    for known in RECIPES:
        if known.name == name:
            return known
    raise ConfigError(f"agent: no planner is called {name!r}; trainable: {', '.join(r.name for r in RECIPES)}")

"""Planners and how each is trained: what `agent=` stands for, a name of `RECIPES` or a file (`recipe_file`)."""

from __future__ import annotations

from pathlib import Path

from navforge.core.config import did_you_mean
from navforge.core.errors import ConfigError
from navforge.models.encoders.configs import EgoStatusConfig, TransfuserConfig
from navforge.models.heads.configs import MlpHeadConfig, TransfuserHeadConfig
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import BILINEAR, PanoramaConfig
from navforge.models.perception import LTF_VIEW_ANGLE, PerceptionConfig
from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig
from navforge.training.recipes.hydra import HYDRA_RECIPES
from navforge.training.recipes.recipe import Recipe
from navforge.training.recipes.recipe_file import SUFFIXES, read_recipe
from navforge.training.recipes.vision import VISION_RECIPES

EGO_MLP = Recipe(
    summary="ego status to 8 poses, no sensors: what is possible without sensors",
    planner=PlannerConfig(name="ego_mlp", encoder=EgoStatusConfig(), head=MlpHeadConfig()),
    train=TrainConfig(epochs=50, batch_size=64, learning_rate=5e-4, schedule="one_cycle"),
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

RECIPES: tuple[Recipe, ...] = (EGO_MLP, *HYDRA_RECIPES, TRANSFUSER_TINY, TRANSFUSER, LTF, *VISION_RECIPES)


def recipe(name: str) -> Recipe:
    """The recipe of this name, or in the YAML file of this path.

    Raises:
        ConfigError: no recipe has the name, or the file is not a recipe (see `recipe_file.read_recipe`).
    """
    own = {known.name: known for known in RECIPES}
    if name in own:
        return own[name]
    if name.endswith(SUFFIXES):
        read = read_recipe(Path(name))
        if read.name in own:
            raise ConfigError(f"recipe {name}: {read.name} is a planner of navforge; give the recipe another name")
        return read
    if ":" in name:
        raise ConfigError(
            f"agent: {name} is a class, and a class can be evaluated only; to train, give a recipe (FILE.yaml) that "
            "names an encoder and a head"
        )
    raise ConfigError(
        f"agent: no planner is called {name!r}{did_you_mean(name, own)} Trainable: {', '.join(own)}; a recipe of your "
        "own is FILE.yaml"
    )

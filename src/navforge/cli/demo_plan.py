"""What the demo does: its sizes, its stages, each a verb's function with its config."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from navforge.cli import cache, evaluate, teach, town, vocab
from navforge.cli.keys.demo import SCALES, Config
from navforge.core.stages import Stage
from navforge.data.paths import DataConfig
from navforge.reports.demo_page import ReportConfig, write_demo_page
from navforge.runs.folder import BEST, RunFolder
from navforge.training.recipes.catalog import recipe
from navforge.training.run import train
from navforge.training.run_config import RunConfig

PLANNER, BASELINE = "hydra_mdp_tiny", "ego_mlp"
BLANKED = f"{PLANNER}, blanked"
AGENTS = ("constant_velocity", BASELINE, "human", PLANNER, BLANKED)
"""Labels, in the order of the tables."""
HEADLINE = "pdms_v1"
PROTOCOLS = (HEADLINE, "epdms_v2")
SPLITS = ("train", "val", "test")


def stages(config: Config) -> list[Stage]:
    """The demo's stages in order, each a verb's function with its config."""
    world = config.out / "world"
    data = DataConfig(logs=world / "navsim_logs", sensors=world / "sensor_blobs", maps=world / "maps")
    return [
        _town(config, world),
        *_caches(config, data),
        *_vocabulary(config, data),
        *_training(config, data),
        *(_evaluation(config, data, label) for label in AGENTS),
        _report(config, data),
    ]


def report_path(out: Path) -> Path:
    """The page."""
    return out / "report" / "index.html"


def folder(label: str) -> str:
    """Folder name of an agent's evaluation."""
    return label.replace(", ", "_").replace(" ", "_")


def _town(config: Config, world: Path) -> Stage:
    width, height = SCALES[config.scale].image
    return Stage(
        name="town",
        run=town.run,
        config=town.Config(
            out=world,
            scale=config.scale,
            seed=config.seed,
            sensors="cameras",
            sensor_frames="current",
            image_width=width,
            image_height=height,
            workers=config.workers,
        ),
        outputs=(world,),
        resumable=True,
    )


def _caches(config: Config, data: DataConfig) -> list[Stage]:
    return [
        Stage(
            name=f"cache {split}",
            run=cache.run,
            config=cache.Config(split=split, out=config.out / "cache" / split, data=data, workers=config.workers),
            outputs=(config.out / "cache" / split,),
            needs=("town",),
            resumable=True,
        )
        for split in SPLITS
    ]


def _vocabulary(config: Config, data: DataConfig) -> list[Stage]:
    entries = _entries(config)
    vocabulary = Stage(
        name="vocabulary",
        run=vocab.run,
        config=vocab.Config(
            split="train",
            out=entries,
            size=SCALES[config.scale].vocabulary,
            seed=config.seed,
            data=data,
            workers=config.workers,
        ),
        outputs=(entries,),
        needs=("town",),
    )
    return [vocabulary, *(_teacher(config, data, split) for split in ("train", "val"))]


def _teacher(config: Config, data: DataConfig, split: str) -> Stage:
    protocol = recipe(PLANNER).planner.head.teacher_protocol
    assert protocol is not None, f"{PLANNER} learns from a teacher"
    out = config.out / "teacher" / split
    return Stage(
        name=f"teach {split}",
        run=teach.run,
        config=teach.Config(
            vocabulary=_entries(config),
            split=split,
            cache=config.out / "cache" / split,
            out=out,
            protocol=protocol,
            data=data,
            workers=config.workers,
        ),
        outputs=(out,),
        needs=(f"cache {split}", "vocabulary"),
        resumable=True,
    )


def _training(config: Config, data: DataConfig) -> list[Stage]:
    scale = SCALES[config.scale]
    trainings = []
    for name, epochs in ((BASELINE, scale.baseline_epochs), (PLANNER, scale.planner_epochs)):
        chosen = recipe(name)
        settings = dataclasses.replace(chosen.train, seed=config.seed, accelerator="cpu")
        if epochs is not None:
            settings = dataclasses.replace(settings, epochs=epochs)
        taught = bool(chosen.planner.head.teacher_columns)
        run_config = RunConfig(
            agent=name,
            split="train",
            val_split="val",
            out=_run(config, name),
            cache=config.out / "cache" / "train",
            vocabulary=_entries(config) if chosen.planner.head.needs_vocabulary else None,
            teacher=config.out / "teacher" / "train" if taught else None,
            val_teacher=config.out / "teacher" / "val" if taught else None,
            planner=chosen.planner,
            train=settings,
            data=data,
        )
        trainings.append(
            Stage(
                name=f"train {name}",
                run=train,
                config=run_config,
                outputs=(_run(config, name),),
                needs=("cache train", "teach train", "teach val"),
                resumable=True,
            )
        )
    return trainings


def _evaluation(config: Config, data: DataConfig, label: str) -> Stage:
    agent = PLANNER if label == BLANKED else label
    trained = agent in (PLANNER, BASELINE)
    return Stage(
        name=f"evaluate {label}",
        run=evaluate.execute,
        config=evaluate.Config(
            agent=agent,
            checkpoint=RunFolder(_run(config, agent)).checkpoints / BEST if trained else None,
            split="test",
            cache=config.out / "cache" / "test",
            protocol=",".join(PROTOCOLS),
            out=config.out / "evaluation" / folder(label),
            blank_camera=label == BLANKED,
            device="cpu",
            data=data,
            workers=config.workers,
        ),
        outputs=(config.out / "evaluation" / folder(label),),
        needs=("cache test", f"train {agent}") if trained else ("cache test",),
    )


def _report(config: Config, data: DataConfig) -> Stage:
    page = report_path(config.out)
    return Stage(
        name="report",
        run=write_demo_page,
        config=ReportConfig(
            out=page,
            folder=config.out,
            labels=AGENTS,
            folders=tuple(folder(label) for label in AGENTS),
            planner=PLANNER,
            baseline=BASELINE,
            blanked=BLANKED,
            headline=HEADLINE,
            vocabulary=_entries(config),
            scenes=SCALES[config.scale].scenes,
            data=data,
        ),
        outputs=(page,),
        needs=("vocabulary", *(f"evaluate {label}" for label in AGENTS)),
    )


def _entries(config: Config) -> Path:
    return config.out / "vocabulary" / f"vocabulary_{SCALES[config.scale].vocabulary}.npy"


def _run(config: Config, name: str) -> Path:
    return config.out / "training" / name

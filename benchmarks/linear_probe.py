"""What the tokens of frozen encoders tell of a scene by a linear map, and what of it ego status does not tell already.

Run from the repository: `python benchmarks/linear_probe.py STORE [STORE ...] --split SPLIT --world TOWN`.

STORE is what `navforge encode` wrote of the split; a head of few scenes hardly reads more out of tokens than ridge
regression does. Two targets, each predicted for logs that the regression has not seen (folds of whole logs, strength of
the penalty chosen by folds within the training logs), as the share of the variance explained (R2):

- the distance to the nearest object ahead, in a strip of 4 m, at most 40 m: what a planner must see;
- the human's place after 4 s along the ego's heading, from ego status with products of its entries, alone and with the
  tokens beside it: what a planner gains by seeing.

Tokens as their mean and as a 4 x 4 grid of means; the baseline is the camera image of the same scene at 16 x 16 pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from common import machine
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import PolynomialFeatures

from navforge.data.logs import LogBox
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import load_split
from navforge.features.store import FeatureStore
from navforge.models.contract import FEATURES

Float = NDArray[np.float64]
STRIP_M, AHEAD_M = 4.0, 40.0
CAMERA, PIXELS = "CAM_F0", 16
GRID = 4
FOLDS = 6
PENALTIES = np.logspace(-3, 3, 9)
WEIGHTS = np.logspace(-2, 1, 5)
"""Of tokens beside ego status."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Scenes of a split, in the order of `tokens`."""

    tokens: tuple[str, ...]
    logs: NDArray[np.str_]
    pixels: Float
    """(scene, value) of the front camera."""
    status: Float
    """(scene, value) velocity, acceleration, command and past places of the ego, with their products."""
    ahead_m: Float
    """(scene,) distance to the nearest object ahead."""
    progress_m: Float
    """(scene,) where the human is after 4 s."""


def read_samples(split: str, data: DataConfig) -> Samples:
    """All scenes of a split."""
    loaded = load_split(split, data)
    scenes = [scene for log in loaded.logs for scene in read_scenes(loaded, data, log)]
    assert data.sensors is not None, "main gives it"
    status = np.array([_status(scene) for scene in scenes])
    return Samples(
        tokens=tuple(scene.token for scene in scenes),
        logs=np.array([scene.log_name for scene in scenes]),
        pixels=np.array([_pixels(scene, data.sensors) for scene in scenes]),
        status=PolynomialFeatures(2, include_bias=False).fit_transform(status),
        ahead_m=np.array([_ahead_m(scene) for scene in scenes]),
        progress_m=np.array([scene.human_poses()[-1, 0] for scene in scenes]),
    )


def _status(scene: Scene) -> Float:
    status = scene.ego_status()
    past = scene.history_poses()[:-1, :2].ravel()
    return np.concatenate([status.velocity, status.acceleration, status.command, past]).astype(np.float64)


def _pixels(scene: Scene, sensors: Path) -> Float:
    path = sensors / scene.split_folder / scene.current.cameras[CAMERA].path
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BOX), np.float64).ravel()


def _ahead_m(scene: Scene) -> float:
    boxes = scene.current.annotations.boxes
    ahead = (boxes[:, LogBox.X] > 0) & (np.abs(boxes[:, LogBox.Y]) < STRIP_M / 2)
    return float(min(AHEAD_M, *boxes[ahead, LogBox.X])) if ahead.any() else AHEAD_M


def pooled(tokens: Float) -> Iterator[tuple[str, Float]]:
    """Name and (scene, value) of each pooling of (scene, token, channel); a grid where the tokens are a square."""
    yield "mean", tokens.mean(axis=1)
    scenes, count, channels = tokens.shape
    side = round(count**0.5)
    if side * side == count and side % GRID == 0 and side > GRID:
        cells = tokens.reshape(scenes, GRID, side // GRID, GRID, side // GRID, channels).mean(axis=(2, 4))
        yield f"{GRID} x {GRID}", cells.reshape(scenes, -1)
    elif side * side == count and side <= GRID:
        yield f"{side} x {side}", tokens.reshape(scenes, -1)


def explained(target: Float, logs: NDArray[np.str_], values: Float, others: Float | None = None) -> float:
    """R2 of a ridge regression on logs that it has not seen.

    Args:
        target: (scene,).
        logs: (scene,) of the scenes.
        values: (scene, value) to predict from.
        others: (scene, value) to predict from beside them; their weight, which may be 0, is chosen like the penalty.
    """
    predicted = np.empty_like(target)
    for train, test in GroupKFold(FOLDS).split(values, groups=logs):
        folds = [(train[fit], train[rest]) for fit, rest in GroupKFold(FOLDS - 1).split(train, groups=logs[train])]
        kernels = [_kernel(values, train)]
        if others is not None:
            beside = _kernel(others, train)
            kernels += [kernels[0] + weight * beside for weight in WEIGHTS]

        errors = [
            sum(((_ridge(kernel, target, fit, rest, penalty) - target[rest]) ** 2).sum() for fit, rest in folds)
            for kernel, penalty in product(kernels, PENALTIES)
        ]
        kernel, penalty = list(product(kernels, PENALTIES))[int(np.argmin(errors))]
        predicted[test] = _ridge(kernel, target, train, test, penalty)
    return float(r2_score(target, predicted))


def _kernel(values: Float, train: NDArray[np.intp]) -> Float:
    """(scene, scene) mean products of the values, which have mean 0 and deviation 1 in training."""
    centred = values - values[train].mean(axis=0)
    deviation = values[train].std(axis=0)
    scaled = centred / np.where(deviation == 0, 1, deviation)
    return scaled @ scaled.T / values.shape[1]


def _ridge(kernel: Float, target: Float, train: NDArray[np.intp], test: NDArray[np.intp], penalty: float) -> Float:
    """(test,) predictions of a ridge regression by the products (scene, scene) of its samples."""
    mean = target[train].mean()
    weights = np.linalg.solve(kernel[np.ix_(train, train)] + penalty * np.eye(len(train)), target[train] - mean)
    return kernel[np.ix_(test, train)] @ weights + mean


def probe_table(samples: Samples, stores: Sequence[Path]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| tokens | pooled | distance ahead | place after 4 s, with ego status |", "|---|---|---|---|"]

    def row(name: str, pooling: str, values: Float) -> None:
        ahead = explained(samples.ahead_m, samples.logs, values)
        beside = explained(samples.progress_m, samples.logs, samples.status, values)
        lines.append(f"| {name} | {pooling} | {ahead:.2f} | {beside:.2f} |")

    alone = [explained(target, samples.logs, samples.status) for target in (samples.ahead_m, samples.progress_m)]
    lines.append(f"| none: ego status alone | | {alone[0]:.2f} | {alone[1]:.2f} |")
    row("none: pixels", f"{PIXELS} x {PIXELS}", samples.pixels)
    for path in stores:
        store = FeatureStore.open(path)
        tokens = store.gather(FEATURES, store.rows(samples.tokens)).double().numpy()
        for pooling, values in pooled(tokens):
            row(path.name, pooling, values)
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path, help="feature stores of the split")
    parser.add_argument("--split", default="train")
    parser.add_argument("--world", type=Path, required=True, help="folder of navsim_logs and sensor_blobs")
    words = parser.parse_args(arguments)
    data = DataConfig(logs=words.world / "navsim_logs", sensors=words.world / "sensor_blobs")
    samples = read_samples(words.split, data)
    print(f"{machine()}; {len(samples.tokens)} scenes, {len(set(samples.logs))} logs of {words.split}\n")
    print("\n".join(probe_table(samples, words.stores)))


if __name__ == "__main__":
    main()

"""Every reader of files from outside, each with a sound file to begin with.

A new reader is added here: `sample` writes a sound file and returns it, `read` gives what is compared.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from navforge.core import config as configs
from navforge.core.outside.sealed import sealed
from navforge.core.outside.text import parse_json, parse_yaml
from navforge.data.filters import read_filter
from navforge.data.lidar import encode_lidar, read_lidar
from navforge.data.logs import read_log
from navforge.data.pickle_stream import read_items
from navforge.data.sensors import read_image
from navforge.evaluation import tables, trajectories
from navforge.inputs import shards as input_shards
from navforge.inputs.jpeg import read_camera
from navforge.inputs.parts import Part
from navforge.inputs.store import InputStore, Origin
from navforge.jobs import checkpoints as saved_states
from navforge.jobs.curves import read_columns
from navforge.maps.geopackage import locations, read_crs, read_layer
from navforge.maps.schema import SCHEMAS, Layer
from navforge.metric_cache import store as cache_store
from navforge.metric_cache.container import read_arrays, write_arrays
from navforge.models import checkpoints
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.encoders.timm_network import read_weights
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.importing import read_published
from navforge.models.loading import load_planner
from navforge.models.planner_config import PlannerConfig, planner_to_dict
from navforge.preflight.record import read_record
from navforge.preflight.script import read_script
from navforge.reports.figures.curves import read_metrics
from navforge.runs.folder import RunFolder, RunRecord
from navforge.runs.status import Attempt, RankStatus, append_line, read, read_attempts
from navforge.scoring.protocols import protocol
from navforge.slurm.profile import read_profile
from navforge.teacher.shards import read_shard
from navforge.teacher.store import TeacherStore
from navforge.training.recipes.catalog import recipe
from navforge.training.run_config import RunConfig, read_run_config, write_run_config
from navforge.vocabulary.vocabulary import Vocabulary
from tests.data.tiny_log import raw_frame
from tests.evaluation.made import small_table
from tests.maps.tiny_map import write_map
from tests.teacher.made import repeated_store

Plain = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]
"""From the bytes of a file to the plain values in it, and back."""


@dataclass(frozen=True)
class Reader:
    """One reader."""

    sample: Callable[[Path], Path]
    read: Callable[[Path], Any]
    plain: Plain | None = None
    checked: bool = False
    """Whether the file carries a checksum, so that what is read is equal or refused."""


JSON: Plain = (lambda content: parse_json(content.decode()), lambda value: json.dumps(value).encode())
SEALED: Plain = (JSON[0], lambda value: json.dumps(sealed(value) if isinstance(value, dict) else value).encode())
YAML: Plain = (lambda content: parse_yaml(content.decode()), lambda value: yaml.safe_dump(value).encode())
PICKLE: Plain = (pickle.loads, pickle.dumps)


def _saved(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def _save(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


TORCH: Plain = (_saved, _save)

VOCABULARY = Vocabulary(np.random.default_rng(0).normal(size=(6, 40, 3)).astype(np.float32))
PLANNER = PlannerConfig(name="small", encoder=EgoStatusConfig(), head=MlpHeadConfig(hidden=8, layers=1))
STATUS = RankStatus(
    rank=0, world_size=1, node="n", pid=17, attempt=0, job=None, phase="training", time=1.5, started=0.5, loss=0.25
)
RECORD = RunRecord(agent="ego_mlp", launch="local", nodes=1, devices=1, created="2026-01-01T00:00:00", jobs=("n:1",))


def _written(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def sample(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return sample


def _image(kind: str) -> Callable[[], bytes]:
    def content() -> bytes:
        file = io.BytesIO()
        pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    return content


def _frames(path: Path) -> list[Any]:
    """All that is ever asked of frames."""
    names = ("token", "timestamp_us", "log_name", "scene_token", "map_location", "roadblock_ids", "pose", "ego2global")
    names += ("lidar2ego", "velocity", "acceleration", "driving_command", "traffic_lights", "annotations", "cameras")
    return [getattr(frame, name) for frame in read_log(path).frames for name in (*names, "lidar_path")]


def _items(path: Path) -> dict[Any, Any]:
    items: dict[Any, Any] = {}
    read_items(path, lambda key, value: items.update({str(key)[:99]: value}))
    return items


def _teacher_store(folder: Path) -> None:
    repeated_store(folder, VOCABULARY, 8, protocol("epdms_v2"), different=2)


def _teacher_file(name: str) -> Callable[[Path], Path]:
    def sample(folder: Path) -> Path:
        _teacher_store(folder)
        return folder / name

    return sample


def _open_teacher(path: Path) -> Any:
    store = TeacherStore.open(path.parent, VOCABULARY)
    store.check()
    return [store.header, store.tokens, store.columns, [store.row(token) for token in store.tokens]]


def _teacher_shard(folder: Path) -> Path:
    from navforge.teacher.shards import Row, write_shard  # noqa: PLC0415

    row = Row(row=bytes(40), rounding={"score": 0.5}, best=1.0, mean=0.5)
    write_shard(folder / "log.shard", "key", [("a", row), ("b", row)])
    return folder / "log.shard"


def _input_store(folder: Path) -> None:
    scenes = [(f"{i:016x}", {"status": bytes(range(8 + i))}) for i in range(4)]
    path = InputStore.shard_path(folder, "log")
    path.parent.mkdir(exist_ok=True)
    input_shards.write_shard(path, ("status",), "made", scenes)
    split = {"name": "tiny", "hash": "0", "scenes": 4, "missing": 0}
    logs = {"log": tuple(token for token, _ in scenes)}
    origin = Origin({"status": Part(config={"a": 1}, code="c")})
    InputStore.publish(folder, split, origin, logs, {"log": InputStore.facts(folder, "log")})


def _input_file(name: str) -> Callable[[Path], Path]:
    def sample(folder: Path) -> Path:
        _input_store(folder)
        return folder / name

    return sample


def _open_inputs(path: Path) -> Any:
    store = InputStore.open(path.parent if path.name != "log.arrow" else path.parent.parent)
    return [store.tokens, store.split, store.fingerprint, [_bytes(store.read(row, ["status"])) for row in range(4)]]


def _bytes(scene: tuple[str, dict[str, memoryview]]) -> Any:
    return scene[0], {name: bytes(value) for name, value in scene[1].items()}


def _cache_manifest(folder: Path) -> Path:
    log = cache_store.CachedLog(made="m", tokens=("a", "b"), failed={"c": "why"})
    cache_store.write_manifest(folder, {"name": "tiny", "hash": "0", "missing": 0}, {"log": log})
    return folder / cache_store.MANIFEST


def _open_cache(path: Path) -> Any:
    cache = cache_store.MetricCache.open(path.parent)
    return [cache.tokens, cache.split, cache.failed, cache.logs, cache.fingerprint]


def _cache_log(folder: Path) -> Path:
    arrays = {"a": np.arange(30.0).reshape(5, 6), "b": np.array([b"xy", b"z"]), "c": np.zeros(9, bool)}
    write_arrays(folder / "log.nfc", {"tokens": ["a", "b"], "made": {}}, arrays)
    return folder / "log.nfc"


def _checkpoint(folder: Path) -> Path:
    planner = PLANNER.build()
    values = {
        "state_dict": {f"planner.{name}": value for name, value in planner.state_dict().items()},
        checkpoints.KEY: checkpoints.contents(planner_to_dict(PLANNER), {"fingerprints": {"vocabulary": None}}),
        "training": {"position": {"epoch": 1, "step": 2, "total": 3}},
    }
    checkpoints.write_values(folder / "last.ckpt", values)
    return folder / "last.ckpt"


def _load(path: Path) -> Any:
    planner = load_planner(path)
    return [planner_to_dict(planner.config), planner.state_dict()]


def _weights(folder: Path, *, archive: bool) -> Path:
    path = folder / "weights.pth"
    torch.save(
        {"conv.weight": torch.arange(12.0), "conv.bias": torch.ones(2)}, path, _use_new_zipfile_serialization=archive
    )
    return path


def _safetensors(folder: Path) -> Path:
    from safetensors.torch import save_file  # noqa: PLC0415

    save_file({"conv.weight": torch.arange(12.0)}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def _table(folder: Path) -> Path:
    tables.write(folder / "scores.parquet", small_table())
    return folder / "scores.parquet"


def _open_table(path: Path) -> Any:
    table = tables.read(path)
    return [table.frame.to_dict(as_series=False), asdict(table.meta)]


def _trajectories(folder: Path) -> Path:
    poses = np.zeros((2, 1, 8, 3))
    poses[..., 0] = np.arange(1, 9)
    trajectories.write(folder / "t.npz", trajectories.Trajectories(("a", "b"), poses, 0.5))
    return folder / "t.npz"


def _open_trajectories(path: Path) -> Any:
    found = trajectories.read(path)
    return [found.tokens, found.poses, found.interval_s]


def _vocabulary(folder: Path) -> Path:
    VOCABULARY.save(folder / "v.npy")
    (folder / "v.npy.json").unlink()
    return folder / "v.npy"


def _sidecar(folder: Path) -> Path:
    VOCABULARY.save(folder / "v.npy")
    return folder / "v.npy.json"


def _map(folder: Path) -> Path:
    return write_map(folder)


def _open_map(path: Path) -> Any:
    crs = read_crs(path)
    layers = [read_layer(path, SCHEMAS[layer], crs) for layer in (Layer.LANE, Layer.INTERSECTION)]
    return [crs, [layer.fid for layer in layers]]


def _map_index(folder: Path) -> Path:
    write_map(folder)
    return folder / "nuplan-maps-v1.0.json"


def _run(folder: Path) -> RunFolder:
    return RunFolder(folder)


def _run_record(folder: Path) -> Path:
    _run(folder).write_record(RECORD)
    return _run(folder).record_file


def _attempts(folder: Path) -> Path:
    for number in range(3):
        attempt = Attempt(attempt=number, job=None, world_size=1, time=float(number), resumed_step=0)
        append_line(folder / "attempts.jsonl", attempt)
    return folder / "attempts.jsonl"


def _run_config(folder: Path) -> Path:
    found = recipe("ego_mlp")
    config = RunConfig(
        agent="ego_mlp", split="a", out=folder, cache=Path("c"), planner=found.planner, train=found.train
    )
    write_run_config(folder / "train.config.yaml", config)
    return folder / "train.config.yaml"


def _preflight(folder: Path) -> Path:
    loader = {"rank_bytes": 1, "worker_bytes": 2, "example_bytes": 3, "examples_per_s": 4.5}
    value = {"findings": [], "accepted": ["a"], "measured": {"loader": loader, "step": None}}
    (folder / "preflight.json").write_text(json.dumps(value))
    return folder / "preflight.json"


_PROFILE = (
    b"name: small\nnodes: 2\ngpus_per_node: 1\ncpus_per_node: 4\nmemory_gb: 8\ntime_limit: '1:00:00'\nsetup: [a, b]\n"
)
_FILTER = b"num_history_frames: 4\nnum_future_frames: 10\nhas_route: true\nlog_names: [a]\ntokens: ['00']\n"
_SCRIPT = b"#!/bin/bash\n#SBATCH --nodes=1\n#SBATCH --time=1:00:00\nnavforge train agent=ego_mlp split=a out=b\n"
_CURVES = b"epoch,step,train/loss\n0,10,1.5\n1,20,0.5\n"
_SWEEP = np.arange(30, dtype=np.float32).reshape(5, 6)
_TABLE = {f"{i:016x}": {"total": np.ones(6, np.float16), "dac": np.zeros(6, np.float16)} for i in range(3)}

READERS: dict[str, Reader] = {
    "log": Reader(_written("log.pkl", lambda: pickle.dumps([raw_frame(i) for i in range(2)])), _frames, PICKLE),
    "teacher table": Reader(_written("t.pkl", lambda: pickle.dumps(_TABLE)), _items, PICKLE),
    "camera image": Reader(_written("a.jpg", _image("JPEG")), read_image),
    "packed camera image": Reader(_written("a.jpg", _image("JPEG")), read_camera),
    "PNG image": Reader(_written("a.png", _image("PNG")), read_camera),
    "LiDAR sweep": Reader(_written("a.pcd", lambda: encode_lidar(_SWEEP)), read_lidar),
    "map": Reader(_map, _open_map),
    "map index": Reader(_map_index, lambda path: locations(path.parent), JSON),
    "scene filter": Reader(_written("f.yaml", lambda: _FILTER), read_filter, YAML),
    "cluster profile": Reader(_written("c.yaml", lambda: _PROFILE), read_profile, YAML),
    "run config": Reader(_run_config, lambda path: configs.to_dict(read_run_config(path)), YAML),
    "run record": Reader(_run_record, lambda path: _run(path.parent).read_record(), JSON),
    "heartbeat": Reader(
        _written("rank-0.json", lambda: json.dumps(asdict(STATUS)).encode()), lambda path: read(path, RankStatus), JSON
    ),
    "attempts": Reader(_attempts, read_attempts),
    "preflight record": Reader(_preflight, lambda path: read_record(path.parent), JSON),
    "run history": Reader(_written("history.csv", lambda: _CURVES), read_columns),
    "learning curves": Reader(_written("metrics.csv", lambda: _CURVES), read_metrics),
    "batch script": Reader(_written("a.sbatch", lambda: _SCRIPT), read_script),
    "vocabulary": Reader(_vocabulary, lambda path: Vocabulary.load(path).poses),
    "vocabulary facts": Reader(_sidecar, lambda path: Vocabulary.load(path.with_name("v.npy")).poses, JSON),
    "trajectories": Reader(_trajectories, _open_trajectories),
    "score table": Reader(_table, _open_table, checked=True),
    "teacher store header": Reader(_teacher_file("header.json"), _open_teacher, SEALED, checked=True),
    "teacher store tokens": Reader(_teacher_file("tokens.txt"), _open_teacher, checked=True),
    "teacher store rows": Reader(_teacher_file("rows.bin"), _open_teacher, checked=True),
    "teacher shard": Reader(_teacher_shard, lambda path: read_shard(path, 40)),
    "input store manifest": Reader(_input_file("inputs.json"), _open_inputs, SEALED, checked=True),
    "input store tokens": Reader(_input_file("tokens.txt"), _open_inputs, checked=True),
    "input store shard": Reader(_input_file("shards/log.arrow"), _open_inputs, checked=True),
    "metric cache manifest": Reader(_cache_manifest, _open_cache, SEALED, checked=True),
    "metric cache log": Reader(_cache_log, read_arrays, checked=True),
    "checkpoint": Reader(_checkpoint, _load, TORCH, checked=True),
    "saved state": Reader(_checkpoint, saved_states.position, TORCH),
    "published checkpoint": Reader(lambda folder: _weights(folder, archive=True), read_published, TORCH, checked=True),
    "old weights": Reader(lambda folder: _weights(folder, archive=False), read_weights),
    "weights": Reader(lambda folder: _weights(folder, archive=True), read_weights, TORCH, checked=True),
    "safetensors": Reader(_safetensors, read_weights),
}

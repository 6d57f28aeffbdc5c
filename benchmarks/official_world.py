"""Logs and plans for `official_scores.py`: scenes of town in which every sub-score takes every value it can.

`.venv/bin/python benchmarks/official_world.py DIR` writes DIR/navsim_logs, DIR/maps and DIR/plans.json. Two logs of
`navforge town` are taken as they are. The others are the same drives with something changed, so that the human driver
fails too. Of random plans per scene a few are chosen, by our own scores, that have as many different results as
possible.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import town

from navforge.cache_builder.build import build_log
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.geometry.se2 import poses_to_global, poses_to_local
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.engine import score_plans
from navforge.town.generate import town_of
from navforge.town.log_file import token_of, write_log
from navforge.town.map_file import write_maps
from navforge.town.scales import SCALES

Frames = list[dict[str, Any]]
Float = np.ndarray
SPLIT = "town"
SEED = 0
LOCATION = "us-ma-boston"
SCENES_FRAMES = 15
"""Frames of a changed log: two scenes."""
CANDIDATES = 200
PLANS_PER_SCENE = 8
POSES, INTERVAL_S = 8, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write")
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as scratch:
        town(Path(scratch))
        turning, stopping = (read(Path(scratch) / "navsim_logs" / split) for split in ("test", "val"))
    write_maps(out / "maps", [town_of(LOCATION, SCALES["tiny"].towns[LOCATION], seed=0)])
    logs = out / "navsim_logs"
    for name, frames in changed_logs(turning, stopping).items():
        write_log(logs / SPLIT / f"{name}.pkl", renamed(frames, name))
    plans = chosen_plans(DataConfig(logs=logs, sensors=None, maps=out / "maps"))
    (out / "plans.json").write_text(json.dumps(plans) + "\n")


def read(folder: Path) -> Frames:
    """The frames of the only log in a folder; cameras have names only."""
    (path,) = folder.glob("*.pkl")
    frames: Frames = pickle.loads(path.read_bytes())
    return [{**frame, "cams": {name: {} for name in frame["cams"]}} for frame in frames]


def changed_logs(turning: Frames, stopping: Frames) -> dict[str, Frames]:
    """Logs by name. What is changed is what the human driver does, or what the human driver meets."""
    first, last = turning[:SCENES_FRAMES], turning[-SCENES_FRAMES:]
    return {
        "turning": turning,
        "stopping": stopping,
        "red": [{**frame, "traffic_lights": [(fid, True) for fid, _ in frame["traffic_lights"]]} for frame in first],
        "parked": with_object(first, "vehicle", ego_pose(first[9]), (4.6, 1.9, 1.6)),
        "cone": with_object(first, "traffic_cone", ego_pose(first[8]), (0.5, 0.5, 0.8)),
        "kerb": shifted(first, lambda n: -0.7 * min(max(n - 3, 0), 8)),
        "oncoming": shifted(last, lambda n: 0.6 * min(max(n - 3, 0), 6)),
        "beside": shifted(first, lambda n: 0.3 * min(max(n - 3, 0), 4)),
    }


def ego_pose(frame: dict[str, Any]) -> Float:
    """(3,) rear axle, global frame."""
    w, _, _, z = frame["ego2global_rotation"]
    return np.array([*frame["ego2global_translation"][:2], 2.0 * np.arctan2(z, w)])


def with_object(frames: Frames, name: str, pose: Float, size: tuple[float, float, float]) -> Frames:
    """The frames with an object more, which never moves. `pose` (3,) is global."""
    changed = []
    for frame in frames:
        annotations, place = frame["anns"], poses_to_local(ego_pose(frame), pose)
        box = [place[0], place[1], 0.5 * size[2], *size, place[2]]
        added = {
            "gt_boxes": np.vstack([annotations["gt_boxes"], box]),
            "gt_names": np.append(annotations["gt_names"], name),
            "gt_velocity_3d": np.vstack([annotations["gt_velocity_3d"], np.zeros(3)]),
            "instance_tokens": [*annotations["instance_tokens"], token_of(name, frame["token"])],
            "track_tokens": [*annotations["track_tokens"], token_of(name)],
        }
        changed.append({**frame, "anns": added})
    return changed


def shifted(frames: Frames, left_m: Callable[[int], float]) -> Frames:
    """The frames with the ego so far to the left of where it was; all else stays in its place."""
    changed = []
    for n, frame in enumerate(frames):
        old = ego_pose(frame)
        new = old + np.array([-np.sin(old[2]), np.cos(old[2]), 0.0]) * left_m(n)
        annotations = frame["anns"]
        boxes = annotations["gt_boxes"].copy()
        place = poses_to_local(new, poses_to_global(old, boxes[:, [0, 1, 6]]))
        boxes[:, [0, 1, 6]] = place
        moved = np.array([*new[:2], 0.0])
        ego2global = frame["ego2global"].copy()
        ego2global[:3, 3] = moved
        changed.append(
            {
                **frame,
                "ego2global_translation": moved,
                "ego2global": ego2global,
                "lidar2global": ego2global.copy(),
                "anns": {**annotations, "gt_boxes": boxes},
            }
        )
    return changed


def renamed(frames: Frames, log_name: str) -> Frames:
    """The frames under another log name, with tokens of their own."""
    tokens = [token_of(log_name, "frame", n) for n in range(len(frames))]
    return [
        {
            **frame,
            "token": tokens[n],
            "frame_idx": n,
            "log_name": log_name,
            "log_token": token_of(log_name, "log"),
            "scene_name": f"{log_name}-scene-0001",
            "scene_token": token_of(log_name, "scene"),
            "sample_prev": tokens[n - 1] if n else None,
            "sample_next": tokens[n + 1] if n + 1 < len(frames) else None,
        }
        for n, frame in enumerate(frames)
    ]


def chosen_plans(data: DataConfig) -> dict[str, list[list[list[float]]]]:
    """Token -> plans (N, 8, 3) in the ego frame, mm: the human's first, then those whose results differ most."""
    split, rng, plans = load_split(SPLIT, data), np.random.default_rng(SEED), {}
    for log in split.logs:
        built = build_log(split, data, log)
        if built.failures:
            raise RuntimeError(built.failures[0].error)
        for record in built.record.scenes:
            plans[record.scene.token] = chosen(record.scene, rng).tolist()
    return plans


def chosen(scene: CachedScene, rng: np.random.Generator) -> Float:
    """The plans of one scene: greedily the one whose results are rarest among those chosen before."""
    assert scene.human_poses is not None
    candidates = np.round(np.concatenate([scene.human_poses[None], random_plans(scene, rng)]), 3)
    scores = score_plans(scene, candidates, INTERVAL_S, ["pdms_v1", "epdms_v2"], human_filter=False)
    columns = [values for of_protocol in scores.values() for values in of_protocol.values.values()]
    kinds = np.stack([np.round(np.clip(column, 0.0, 1.0) * 2.0) for column in columns], axis=1)
    taken = [0]
    while len(taken) < PLANS_PER_SCENE:
        known = kinds[taken]
        rarity = (1.0 / (1.0 + (known[None] == kinds[:, None]).sum(axis=1))).sum(axis=1)
        rarity[taken] = -1.0
        taken.append(int(rarity.argmax()))
    return candidates[taken]


def random_plans(scene: CachedScene, rng: np.random.Generator) -> Float:
    """(N, 8, 3) arcs and swerves at steady or changing speed, and the human's plan faster and slower."""
    assert scene.human_poses is not None
    times = INTERVAL_S * np.arange(1, POSES + 1)
    speed = float(scene.ego_state[3])
    fine = np.arange(0.0, times[-1] + 1e-9, 0.05)
    plans = []
    for n in range(CANDIDATES):
        target = speed * rng.choice([0.0, 0.5, 1.0, 1.5, 2.0, 3.0]) + rng.normal(0.0, 0.5)
        pace = np.maximum(speed + (target - speed) * np.minimum(fine / rng.uniform(0.5, 3.0), 1.0), 0.0)
        if n % 2:
            path = np.vstack([np.zeros(3), scene.human_poses])
            along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path[:, :2], axis=0).T))])
            travelled = np.interp(times, fine, np.cumsum(pace) * 0.05)
            xy = [np.interp(travelled, along, column) for column in path[:, :2].T]
            beyond = np.maximum(travelled - along[-1], 0.0)
            heading = np.interp(travelled, along, path[:, 2])
            left = rng.choice([0.0, 0.0, rng.normal(0.0, 2.0)]) * np.minimum(times / 2.0, 1.0)
            x = xy[0] + beyond * np.cos(heading) - left * np.sin(heading)
            y = xy[1] + beyond * np.sin(heading) + left * np.cos(heading)
        else:
            turn = rng.normal(0.0, 0.08) * np.cumsum(pace) * 0.05 + rng.normal(0.0, 0.1) * np.sin(
                rng.uniform(1, 4) * fine
            )
            x, y = (np.interp(times, fine, np.cumsum(pace * f(turn)) * 0.05) for f in (np.cos, np.sin))
            heading = np.interp(times, fine, turn)
        plans.append(np.stack([x, y, heading], axis=1))
    return np.stack(plans)


if __name__ == "__main__":
    main()

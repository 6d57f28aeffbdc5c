"""Scores as a library: those of the engine, in arrays of the caller's kind, whatever the split."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge import scoring
from navforge.core.errors import ConfigError, DataError
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.engine import score_plans
from navforge.scoring.protocols import PROTOCOLS
from tests.scoring.golden import golden_files, scene_from_golden
from tests.scoring.scenes import Sketch, random_plans, random_scene, straight, two_lane_road

NAMES = [rules.name for rules in PROTOCOLS]
COUNT = 21  # no multiple of the lanes


def made(count: int = 4) -> tuple[list[CachedScene], np.ndarray]:
    rng = np.random.default_rng(11)
    scenes = [random_scene(rng) for _ in range(count - 1)]
    off_road_human = straight(8, 0.5, 8.0, y=20.0)
    scenes.append(Sketch(polygons=two_lane_road(), human=off_road_human).scene())
    return scenes, np.stack([random_plans(rng, COUNT) for _ in scenes])


def same(found: scoring.Scores, expected: scoring.Scores) -> None:
    for name, value in expected.values.items():
        np.testing.assert_array_equal(found.values[name], value, err_msg=name)
    for name in ("score", "progress_m", "collision_step", "ttc_step"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def compare_with_engine(scenes: list[CachedScene], plans: np.ndarray, found: scoring.Scores, **options: Any) -> None:
    for s, scene in enumerate(scenes):
        own = score_plans(scene, plans[s], 4.0 / plans.shape[2], [found.protocol], **options)[found.protocol]
        for name, value in own.values.items():
            if name == "ego_progress":
                np.testing.assert_allclose(found.values[name][s], value, rtol=0, atol=1e-12)
            else:
                np.testing.assert_array_equal(found.values[name][s], value, err_msg=f"{name} in scene {s}")
        np.testing.assert_allclose(found.score[s], own.score, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.progress_m[s], own.progress_m, rtol=0, atol=1e-11)
        np.testing.assert_array_equal(found.collision_step[s], own.collision_step)
        np.testing.assert_array_equal(found.ttc_step[s], own.ttc_step)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_the_engine(name: str) -> None:
    scenes, plans = made()
    found = scoring.score(scenes, plans, name)
    assert found.score.shape == (4, COUNT) and found.protocol == name
    assert len(np.unique(found.score)) > 20
    compare_with_engine(scenes, plans, found)


def test_golden_scenes_score_as_in_the_engine(realdata: Path) -> None:
    scenes = [scene_from_golden(realdata, path.stem) for path in golden_files(realdata)[::9]]
    plans = np.stack([random_plans(np.random.default_rng(2), 24)] * len(scenes))
    compare_with_engine(scenes, plans, scoring.score(scenes, plans))


def test_neither_threads_nor_company_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes, plans = made()
    alone = scoring.score(scenes, plans, threads=1)
    batch = scoring.prepare_batch(scenes)
    monkeypatch.setattr("navforge.scoring.batch.cpu.MAX_ITEM", 8)
    monkeypatch.setattr("navforge.scoring.batch.cpu.MIN_RUN", 8)
    same(scoring.score(batch, plans, threads=5), alone)
    order = np.array([2, 0, 3, 1])
    turned = scoring.score([scenes[s] for s in order], plans[order][:, ::-1])
    np.testing.assert_array_equal(turned.score, alone.score[order][:, ::-1])
    few = scoring.score([scenes[1]], plans[1:2, 4:5])
    np.testing.assert_array_equal(few.score, alone.score[1:2, 4:5])


def test_a_batch_travels_to_other_processes_once() -> None:
    scenes, plans = made(2)
    batch = scoring.prepare_batch(scenes)
    sent = pickle.dumps(batch)
    assert len(sent) < 1.1 * len(batch.memory)
    same(scoring.score(pickle.loads(sent), plans), scoring.score(batch, plans))


def test_tensors_in_tensors_out() -> None:
    import torch  # noqa: PLC0415 (slow to import)

    scenes, plans = made(2)
    expected = scoring.score(scenes, plans.astype(np.float32).astype(np.float64))
    found = scoring.score(scenes, torch.tensor(plans, dtype=torch.float32, requires_grad=True))
    for value in (found.score, found.progress_m, found.collision_step, *found.values.values()):
        assert isinstance(value, torch.Tensor) and value.device.type == "cpu" and not value.requires_grad
    same(found, expected)


def test_half_precision_tensors() -> None:
    import torch  # noqa: PLC0415 (slow to import)

    scenes, plans = made(2)
    half = torch.tensor(plans, dtype=torch.bfloat16)
    same(scoring.score(scenes, half), scoring.score(scenes, half.to(torch.float64).numpy()))


def test_the_human_filter_can_be_chosen() -> None:
    scenes, plans = made(2)
    default, without = scoring.score(scenes, plans), scoring.score(scenes, plans, human_filter=False)
    compare_with_engine(scenes, plans, without, human_filter=False)
    assert (default.values["drivable_area_compliance"][1] == 1.0).all()  # the human leaves the road
    assert not (without.values["drivable_area_compliance"][1] == 1.0).all()
    with_v1 = scoring.score(scenes, plans, "pdms_v1", human_filter=True)
    compare_with_engine(scenes, plans, with_v1, human_filter=True)


def test_synthetic_scenes_are_never_filtered() -> None:
    sketch = Sketch(polygons=two_lane_road(), human=straight(8, 0.5, 8.0, y=20.0), token="0123456789abcdef0")
    plans = random_plans(np.random.default_rng(0), 3)[None]
    same(scoring.score([sketch.scene()], plans), scoring.score([sketch.scene()], plans, human_filter=False))


def test_intervals() -> None:
    scenes, plans = made(2)
    at_2_hz = plans[:, :, 4::5]
    same(scoring.score(scenes, at_2_hz), scoring.score(scenes, at_2_hz, interval_s=0.5))
    with pytest.raises(DataError, match="interval between the 7 poses of a trajectory is not known"):
        scoring.score(scenes, at_2_hz[:, :, :7])
    with pytest.raises(DataError, match=r"7 poses of 0.5 s reach 3.5 s; at least 4 s \(8 poses\) are needed"):
        scoring.score(scenes, at_2_hz[:, :, :7], interval_s=0.5)
    with pytest.raises(DataError, match="does not divide the 4 s"):
        scoring.score(scenes, at_2_hz, interval_s=0.3)
    same(scoring.score(scenes, plans, interval_s=float(np.float32(0.1))), scoring.score(scenes, plans, interval_s=0.1))
    for interval in (0.0, -0.5, np.nan, np.inf, 1e14):
        with pytest.raises(DataError, match=r"at least 0.001 s and at most 3600 s"):
            scoring.score(scenes, at_2_hz, interval_s=interval)
    with pytest.raises(DataError, match="at least"):
        scoring.score(scenes, plans, interval_s=0.0)


def test_bad_input_is_refused_by_name() -> None:
    scenes, plans = made(2)
    batch = scoring.prepare_batch(scenes)
    broken = plans.copy()
    broken[1, 3, 5, 2] = np.nan
    with pytest.raises(DataError, match=r"trajectory 3 of scene 1 \(0123456789abcdef\) has .* pose 5 is \[.*nan"):
        scoring.score(batch, broken)
    with pytest.raises(DataError, match=r"shape \(S, N, T, 3\).*got \(21, 40, 3\)"):
        scoring.score(batch, plans[0])
    with pytest.raises(DataError, match="2 scenes, but trajectories for 1"):
        scoring.score(batch, plans[:1])
    with pytest.raises(ConfigError, match="no protocol is called 'pdms_v3'"):
        scoring.score(batch, plans, "pdms_v3")
    with pytest.raises(DataError, match="prepared for the rules of release v2, protocol pdms_v1 follows v1"):
        scoring.score(batch, plans, "pdms_v1")
    for odd in (np.ma.masked_less(plans, 0.0), plans.astype(complex), plans.astype(str)):
        with pytest.raises(DataError, match="an array of real numbers, none masked"):
            scoring.score(batch, odd)
    with pytest.raises(ConfigError, match=r"human_filter must be True, False or None .* got 'off'"):
        scoring.score(batch, plans, human_filter="off")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="threads must be at least 1, got 0"):
        scoring.score(batch, plans, threads=0)
    with pytest.raises(DataError, match="at least one scene"):
        scoring.score([], plans[:0])
    with pytest.raises(DataError, match="less than 5 s"):
        scoring.prepare_batch([replace(scenes[0], objects_v1=None)], "pdms_v1")


def test_no_trajectories_give_no_scores() -> None:
    scenes, plans = made(2)
    assert scoring.score(scenes, plans[:, :0]).score.shape == (2, 0)


def test_the_package_is_light_until_it_scores() -> None:
    program = (
        "import sys, navforge.scoring, navforge.scoring.protocols; assert 'numba' not in sys.modules; "
        "navforge.scoring.score; assert 'numba' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

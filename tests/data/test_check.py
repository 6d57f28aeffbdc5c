"""`navforge data check` on a small split with planted faults."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from navforge.cache_builder.build import build_log
from navforge.cli.main import main
from navforge.data.check import check_split
from navforge.data.lidar import encode_lidar
from navforge.data.logs import CAMERAS
from navforge.data.splits import load_split
from navforge.maps.schema import SCENE_LAYERS, Layer
from tests.data.tiny_log import config, raw_frame, token, write_log
from tests.maps.tiny_map import ORIGIN, box, tiny_features, write_map

CARPARK = {Layer.CARPARK_AREA: [(71, box(0, -12, 20, -8), {})]}


def on_map(index):
    raw = raw_frame(index)
    raw["ego2global_translation"] = raw["ego2global_translation"] + [ORIGIN[0] - 90.0, ORIGIN[1], 0.0]
    return raw


@pytest.fixture
def root(tmp_path):
    """One log of 15 frames: 2 scenes, whose history and current frames are 0 to 4."""
    write_log(tmp_path, "real", [on_map(i) for i in range(15)])
    write_map(tmp_path / "maps", tiny_features() | CARPARK)
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "JPEG")
    for index in range(5):
        for name in CAMERAS:
            place(tmp_path, f"{name}/{token(index)}.jpg", buffer.getvalue())
        place(tmp_path, f"MergedPointCloud/{token(index)}.pcd", encode_lidar(np.zeros((3, 6), np.float32)))
    return tmp_path


def place(root, relative, content):
    path = root / "sensor_blobs" / "real" / "log0" / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def check(root, **options):
    split = load_split("real", config(root), allow_missing=True)
    return check_split(split, config(root), workers=1, **options)


def words(root, *more):
    return ["data", "check", f"data.logs={root}/navsim_logs", f"data.sensors={root}/sensor_blobs",
            f"data.maps={root}/maps", "workers=1", *more]  # fmt: skip


def test_complete_split(root):
    found = check(root)
    assert found.problems == []
    assert found.frames == 5
    assert found.locations == {"us-pa-pittsburgh-hazelwood": 2}
    assert (found.files["camera"].present, found.files["camera"].expected) == (40, 40)
    assert (found.files["lidar"].present, found.files["lidar"].decoded) == (5, 5)
    assert found.files["lidar"].bytes == 5 * len(encode_lidar(np.zeros((3, 6), np.float32)))
    assert found.log_bytes == (root / "navsim_logs/real/log0.pkl").stat().st_size


def test_frames_to_look_at(root):
    assert check(root, frames="current").files["camera"].expected == 16
    assert check(root, frames="all").files["lidar"].missing[0].endswith(f"{token(5)}.pcd")


def test_missing_and_corrupt_files_are_found(root):
    blobs = root / "sensor_blobs" / "real" / "log0"
    (blobs / "CAM_L2" / f"{token(2)}.jpg").unlink()
    place(root, f"CAM_B0/{token(1)}.jpg", b"nonsense")
    place(root, f"MergedPointCloud/{token(0)}.pcd", encode_lidar(np.ones((3, 6), np.float32))[:-1])
    found = check(root, sample=None)
    camera, lidar = found.files["camera"], found.files["lidar"]
    assert (camera.present, camera.decoded, len(camera.missing), len(camera.corrupt)) == (39, 39, 1, 1)
    assert f"CAM_B0/{token(1)}.jpg is damaged" in camera.corrupt[0]
    assert "truncated" in lidar.corrupt[0]
    assert len(found.problems) == 3


def test_a_sample_decodes_that_many_and_always_the_same(root):
    assert check(root, sample=7).files["camera"].decoded == 7
    assert check(root, sample=0).files["camera"].decoded == 0
    for name in CAMERAS[:4]:
        place(root, f"{name}/{token(1)}.jpg", b"nonsense")
    assert check(root, sample=10).files["camera"].corrupt == check(root, sample=10).files["camera"].corrupt


def test_map_that_cannot_be_read(root):
    path = root / "maps" / "us-pa-pittsburgh-hazelwood" / "1.0" / "map.gpkg"
    path.write_bytes(b"nothing")
    assert "map.gpkg" in check(root).map_problems["us-pa-pittsburgh-hazelwood"]


def no_boxes(frames):
    del frames[4]["anns"]["gt_boxes"]


def box_that_is_not_finite(frames):
    frames[4]["anns"]["gt_boxes"][0, 0] = np.nan


def unknown_class(frames):
    frames[4]["anns"]["gt_names"] = np.array(["tram"])


def doubled_track(frames):
    for frame in frames[3:]:
        anns = frame["anns"]
        frame["anns"] = {key: np.concatenate([np.asarray(value)] * 2) for key, value in anns.items()}


def route_of_words(frames):
    frames[4]["roadblock_ids"] = ["61", "x"]


def times_that_stand(frames):
    for frame in frames[:4]:
        frame["timestamp"] = 5


def log_name_with_a_separator(frames):
    frames[3]["log_name"] = "../log0"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (no_boxes, "frame 4: missing key 'anns.gt_boxes'"),
        (box_that_is_not_finite, "the box of track t0 is not finite"),
        (unknown_class, "has objects of unknown class: ['tram']"),
        (doubled_track, "track t0 occurs twice in key frame 0"),
        (route_of_words, "route with a roadblock id that is not a number: ('61', 'x')"),
        (times_that_stand, "frame times do not ascend: [5, 5, 5, 5] us"),
        (log_name_with_a_separator, "the log name is '../log0', which holds a path separator"),
    ],
)
def test_what_the_cache_would_refuse_is_found(root, damage, why):
    frames = [on_map(i) for i in range(15)]
    damage(frames)
    write_log(root, "real", frames)
    split, data = load_split("real", config(root)), config(root)
    refused = {failure.token: failure.error for failure in build_log(split, data, "log0").failures}
    assert why in str(refused)
    (problem,) = check(root).problems
    token, _, reason = problem.partition(" scenes cannot be cached, such as ")[2].partition(": ")
    assert why in reason
    assert reason in refused[token]


def test_scene_that_cannot_be_read(root):
    frames = [on_map(i) for i in range(15)]
    del frames[4]["driving_command"]
    write_log(root, "real", frames)
    assert check(root).problems == [
        f"log log0: DataError: {root}/navsim_logs/real/log0.pkl, frame 4: missing key 'driving_command'"
    ]


def test_verb_prints_a_table_and_writes_its_findings(root, capsys, tmp_path):
    out = tmp_path / "out"
    assert main(words(root, f"out={out}")) == 0
    printed = capsys.readouterr().out
    for text in ("split real", "scenes", "40 of 40 present, 0 missing, 0 corrupt of 40 decoded", "map readable"):
        assert text in printed
    (found,) = json.loads((out / "data_check.json").read_text())
    assert found["scenes"] == 2
    assert found["problems"] == []
    assert (out / "data_check.provenance.json").exists()
    assert (out / "data_check.config.yaml").exists()


def test_verb_fails_on_missing_files_unless_allowed(root, capsys):
    (root / "sensor_blobs" / "real" / "log0" / "CAM_F0" / f"{token(3)}.jpg").unlink()
    assert main(words(root, "split=real")) == 2
    captured = capsys.readouterr()
    assert "39 of 40 present, 1 missing" in captured.out
    assert f"1 of 40 camera files missing, first {root}" in captured.err
    assert main(words(root, "split=real", "allow_missing=true")) == 0


def test_verb_without_sensors_or_maps(root, capsys, monkeypatch):
    monkeypatch.delenv("OPENSCENE_DATA_ROOT", raising=False)
    monkeypatch.delenv("NUPLAN_MAPS_ROOT", raising=False)
    assert main(["data", "check", f"data.logs={root}/navsim_logs", "workers=1"]) == 0
    assert capsys.readouterr().out.count("not checked") == 3


def test_verb_names_a_missing_sensor_folder_as_missing_files(root, capsys):
    assert main(words(root, f"data.sensors={root}/nowhere")) == 2  # given twice
    assert "given twice" in capsys.readouterr().err
    (root / "sensor_blobs").rename(root / "elsewhere")
    assert main(words(root)) == 2
    assert "0 of 40 present, 40 missing" in capsys.readouterr().out


@pytest.mark.parametrize("layer", SCENE_LAYERS)
def test_a_map_without_a_layer_that_scenes_need(root, layer):
    features = tiny_features() | CARPARK
    del features[layer]
    shutil.rmtree(root / "maps")
    write_map(root / "maps", features)
    (problem,) = check(root).problems
    assert f"no layer {layer.value!r} in the map file" in problem


def test_a_map_in_another_metric_crs(root):
    shutil.rmtree(root / "maps")
    write_map(root / "maps", tiny_features() | CARPARK, meta={"projectedCoordSystem": "EPSG:32618"})
    (problem,) = check(root).problems
    assert "no road within 100 m of the ego at 2 of 2 places, such as x 587410 m, y 4475706 m" in problem
    assert "is EPSG:32618 the metric CRS they use?" in problem

"""Files of one frame: readable by `data`, and the same bytes every time, in any process."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from navforge.data.lidar import decode_lidar
from navforge.town.sensors import CAMERA_NAMES, Rig, Scenery, look_of, render
from tests.town.sensors import sensor_scene

RIG = Rig(width=160, height=90)
PROGRAM = """
import sensor_scene, hashlib
from navforge.town.sensors import Rig, build_scenery, look_of, render
files = render(build_scenery(sensor_scene.town()), sensor_scene.snapshot(), Rig(width=160, height=90), look_of(4))
print(hashlib.sha256(b"".join(files.cameras.values()) + files.lidar).hexdigest())
"""


def test_files_decode(scenery: Scenery) -> None:
    files = render(scenery, sensor_scene.snapshot(), RIG, look_of(4))
    assert tuple(files.cameras) == CAMERA_NAMES
    for content in files.cameras.values():
        image = np.asarray(Image.open(io.BytesIO(content)))
        assert image.shape == (90, 160, 3)
        assert image.std() > 10
    assert len(decode_lidar(files.lidar)) > 20_000


def test_same_bytes_in_another_process(scenery: Scenery) -> None:
    files = render(scenery, sensor_scene.snapshot(), RIG, look_of(4))
    here = hashlib.sha256(b"".join(files.cameras.values()) + files.lidar).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here


def test_official_size(scenery: Scenery) -> None:
    files = render(scenery, sensor_scene.snapshot(), Rig(width=1920, height=1080), look_of(4), ["CAM_F0"])
    assert Image.open(io.BytesIO(files.cameras["CAM_F0"])).size == (1920, 1080)

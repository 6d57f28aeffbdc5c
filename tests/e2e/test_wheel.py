"""The wheel, installed where the repository is not, is the whole of navforge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

import navforge
from tests.e2e.world import ROOT

SOURCE = Path(navforge.__file__).parent

pytestmark = pytest.mark.slow

LIBRARY = """
import sys, numpy as np, navforge
from pathlib import Path
from navforge.data.paths import DataConfig
from navforge.slurm.profile import read_profile

world, cache, out = map(Path, sys.argv[1:])
data = DataConfig(logs=world / "navsim_logs", sensors=world / "sensor_blobs", maps=world / "maps")
split = navforge.load_split("test", data)
scenes = navforge.open_cache(cache, split)
plans = np.zeros((len(split), 2, 8, 3))
plans[:, 1, :, 0] = np.arange(1, 9)
result = navforge.score([scenes.load(token) for token in split.tokens], plans, "pdms_v1")
assert result.score.shape == (len(split), 2) and np.isfinite(result.score).all()
assert read_profile("l40s_4x4").nodes == 4
np.savez(out, tokens=np.array(split.tokens), poses=plans, interval_s=0.5)
print(navforge.__version__, navforge.__file__, *sys.path, sep="\\n")
"""


class Installed:
    """A clean environment with the wheel and the packages that this one has, but for navforge itself."""

    def __init__(self, folder: Path) -> None:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = (folder / "dist").glob("navforge-*.whl")
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / "bin"
        self.run("python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel), cwd=folder)
        (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
        # Only this line reaches the other packages; a .pth file among them, as of an editable navforge, is not read.
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        _keep_compiled(SOURCE, packages / "navforge")

    def run(self, program: str, *words: str, cwd: Path) -> str:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environ = {**environ, "OMP_NUM_THREADS": "1", "PATH": f"{self.bin}:{os.environ['PATH']}"}
        done = subprocess.run(
            [str(self.bin / program), *words], cwd=cwd, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _keep_compiled(source: Path, installed: Path) -> None:
    """Put kernels that are compiled already beside the installed files, which are the same; compiling takes minutes."""
    for path in source.rglob("*.py"):
        status = path.stat()
        os.utime(installed / path.relative_to(source), ns=(status.st_atime_ns, status.st_mtime_ns))
    for path in source.rglob("__pycache__/*.nb?"):
        target = installed / path.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(path, target)


def test_the_wheel_runs_without_the_repository(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    world, cache, plans = tmp_path / "world", tmp_path / "cache", tmp_path / "plans.npz"
    (tmp_path / "library.py").write_text(LIBRARY)
    data = [f"data.logs={world}/navsim_logs", f"data.maps={world}/maps", f"data.sensors={world}/sensor_blobs"]

    installed.run("navforge", "town", f"out={world}", "scale=tiny", "sensors=none", "workers=1", cwd=tmp_path)
    installed.run("navforge", "cache", "split=test", f"out={cache}", *data, "workers=1", cwd=tmp_path)
    printed = installed.run("python", "library.py", str(world), str(cache), str(plans), cwd=tmp_path)
    words = ["split=test", f"cache={cache}", f"trajectories={plans}", "out=scores.parquet", "protocol=pdms_v1"]
    installed.run("navforge", "score", *words, *data, "workers=1", cwd=tmp_path)
    plan = installed.run(
        "navforge", "study", "plan", "town_null", f"out={tmp_path / 'study'}", "measure=false", cwd=tmp_path
    )
    assert "10 of 10 runs are left" in plan, "studies by name are part of the wheel"

    assert (tmp_path / "scores.parquet").is_file()
    assert json.loads((cache / "cache.provenance.json").read_text())["git"]["commit"] is None
    version, file, *places = printed.splitlines()
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert Path(file).is_relative_to(tmp_path / "venv")
    assert not [place for place in places if Path(place).is_relative_to(ROOT / "src")]

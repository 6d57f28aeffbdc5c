"""Fixtures every test may use."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.built_once import built_once

if TYPE_CHECKING:
    from navforge.data.paths import DataConfig
    from tests.slurm_cluster.cluster import Cluster

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: threads of several test processes on the same CPUs wait for each other, busily.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tests.requirements", "tests.temporary"]
SHARED = Path(os.environ.get("NAVFORGE_TEST_DATA", Path(__file__).parents[2] / "shared"))


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.exists():
        pytest.skip(f"{folder} not found beside the checkout (set NAVFORGE_TEST_DATA to the folder that holds it)")
    return path


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Two real logs with outputs of the official devkit; not part of the repository."""
    return _shared("realdata")


@pytest.fixture(scope="session")
def navsim_files() -> Path:
    """Public split and vocabulary files; not part of the repository."""
    return _shared("navsim-files")


@pytest.fixture(scope="session")
def real_cache(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The metric cache of the real logs, built once; do not write into it."""
    from navforge.cache_builder.pool import cache_split  # noqa: PLC0415 (imports what most tests do not need)
    from navforge.data.paths import DataConfig  # noqa: PLC0415
    from navforge.data.splits import load_split  # noqa: PLC0415

    def build(out: Path) -> None:
        data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=realdata / "maps")
        report = cache_split(load_split("real", data), data, out, workers=1)
        assert not report.failures

    return built_once(tmp_path_factory, "real_cache", build)


@pytest.fixture(scope="session")
def tiny_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny world with cameras and LiDAR (64 x 36 px), built once; do not write into it.

    The folder serves as OPENSCENE_DATA_ROOT, its `maps` as NUPLAN_MAPS_ROOT; splits `train`, `val` and `test`.
    """
    from navforge.town.generate import generate  # noqa: PLC0415 (imports what most tests do not need)
    from navforge.town.scales import SCALES  # noqa: PLC0415
    from navforge.town.sensors import Rig  # noqa: PLC0415

    def build(out: Path) -> None:
        rig = Rig(width=64, height=36, lidar_columns=200)
        report = generate(out, SCALES["tiny"], seed=0, sensors="all", sensor_frames="all", rig=rig, workers=1)
        assert report.complete, report.failures

    return built_once(tmp_path_factory, "tiny_town", build)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests over processes by group, else by file: what a file builds and compiles is then made once."""
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling  # noqa: PLC0415 (there is none without pytest-xdist)

    class ByFile(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return super()._split_scope(nodeid).partition("::")[0]

    return ByFile(config, log)


@pytest.fixture(scope="session")
def town_files(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Metric cache of tiny town's training split, 8 vocabulary entries, their teacher store; do not write."""
    from navforge.cache_builder.pool import cache_split  # noqa: PLC0415 (imports what most tests here do not need)
    from navforge.cli import teach, vocab  # noqa: PLC0415
    from navforge.data.splits import load_split  # noqa: PLC0415

    data = town_data(tiny_town)

    def build(out: Path) -> None:
        assert not cache_split(load_split("train", data), data, out / "cache", workers=1).failures
        vocab.run(vocab.Config(split="train", out=out / "v8.npy", size=8, data=data, workers=1))
        keys: dict[str, Any] = {"protocol": "epdms_v2", "data": data, "workers": 1}
        teach.run(
            teach.Config(vocabulary=out / "v8.npy", split="train", cache=out / "cache", out=out / "teacher", **keys)
        )

    out = built_once(tmp_path_factory, "town_files", build)
    return {"cache": out / "cache", "vocabulary": out / "v8.npy", "teacher": out / "teacher"}


def town_data(town: Path) -> DataConfig:
    """Where the logs, sensor files and maps of a town are."""
    from navforge.data.paths import DataConfig  # noqa: PLC0415

    return DataConfig(logs=town / "navsim_logs", sensors=town / "sensor_blobs", maps=town / "maps")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests that need the Slurm cluster run in one process, so that one cluster serves them.

    Tests that fork ranks come first: torch refuses autograd in a fork of a process in which it has started threads.
    Then come those on the cluster, which take longest, those that score last among them: by then another process has
    compiled the kernels. Then the slow ones, so that no process is left alone with them at the end.
    """
    scores: set[pytest.Item] = set()
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "slurm_cluster" in fixtures:
            item.add_marker(pytest.mark.xdist_group("slurm"))
            scores |= {item} if "world" in fixtures else set()

    def place(item: pytest.Item) -> list[bool]:
        forks, group, slow = (item.get_closest_marker(name) is None for name in ("forks", "xdist_group", "slow"))
        return [forks, group, item in scores, slow]

    items.sort(key=place)


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """A real Slurm cluster of virtual nodes (`tests/slurm_cluster`); it ends with this process, however that ends."""
    from tests.slurm_cluster.cluster import Cluster, obstacle  # noqa: PLC0415

    if reason := obstacle():
        pytest.skip(reason)
    root = Path(tempfile.mkdtemp(prefix="navforge-slurm-"))  # pytest's own folders make socket paths too long
    cluster = Cluster(root)
    cluster.start(owner=os.getpid())
    yield cluster
    cluster.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def slurm(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, idle, with SLURM_CONF pointing at it; what the test leaves behind is cleared up."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    yield slurm_cluster
    slurm_cluster.tidy()


@pytest.fixture
def patient_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preflight measures to the end, on a busy machine too."""
    from navforge.preflight import submission  # noqa: PLC0415 (imports what most tests do not need)

    monkeypatch.setattr(submission, "run", functools.partial(submission.run, seconds=500.0))


@pytest.fixture(scope="session")
def modelzoo() -> Path:
    """Keys, shapes and outputs of the public planner networks (see `tests/models/zoo.py`); not of the repository."""
    return _shared("modelzoo")

"""Where data lies, and errors that name key and variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.core import config as configs
from navforge.core.errors import DataError
from navforge.data.paths import DataConfig


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    monkeypatch.delenv("OPENSCENE_DATA_ROOT", raising=False)
    monkeypatch.delenv("NUPLAN_MAPS_ROOT", raising=False)


def test_unset_names_key_and_variable():
    data = DataConfig()
    for method, key, variable in (
        ("log_root", "data.logs", "OPENSCENE_DATA_ROOT"),
        ("sensor_root", "data.sensors", "OPENSCENE_DATA_ROOT"),
        ("map_root", "data.maps", "NUPLAN_MAPS_ROOT"),
    ):
        with pytest.raises(DataError, match=rf"{key}=FOLDER.*{variable}"):
            getattr(data, method)()


def test_defaults_come_from_the_environment(monkeypatch, tmp_path):
    (tmp_path / "navsim_logs").mkdir()
    monkeypatch.setenv("OPENSCENE_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("NUPLAN_MAPS_ROOT", str(tmp_path))
    data = configs.merge(DataConfig, [])
    assert data.log_root() == tmp_path / "navsim_logs"
    assert data.map_root() == tmp_path
    assert data.sensors == tmp_path / "sensor_blobs"
    with pytest.raises(DataError, match="sensor_blobs"):
        data.sensor_root()


def test_given_keys_win(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENSCENE_DATA_ROOT", "/nowhere")
    assert configs.merge(DataConfig, [f"logs={tmp_path}"]).log_root() == Path(tmp_path)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone \(from data\.maps or NUPLAN_MAPS_ROOT\)"):
        DataConfig(maps=tmp_path / "gone").map_root()

"""Temporary files of a test run lie in one folder, which ends with the run: a process that is killed leaves its own."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a process of pytest-xdist, which has the folder from the one that started it
        return
    patch = pytest.MonkeyPatch()
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ:
        patch.setenv("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # `tmp_path` of the last runs remains
    folder = tempfile.mkdtemp(prefix="nt-")  # a short name: there are sockets in it
    patch.setenv("TMPDIR", folder)
    patch.setattr(tempfile, "tempdir", folder)

    def clear() -> None:
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)

    config.add_cleanup(clear)

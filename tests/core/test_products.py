"""One kind of product in a folder, one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.core.files import sole_use
from navforge.core.products import CACHE, MARKERS, TEACHER, TOWN, claim, product_of
from navforge.metric_cache import store as metric_cache
from navforge.teacher import store as teacher


@pytest.mark.parametrize("marker", MARKERS)
def test_a_folder_of_another_product_is_refused_by_name(tmp_path: Path, marker: str) -> None:
    (tmp_path / marker).write_text("{}")
    present = MARKERS[marker]
    other = CACHE if present != CACHE else TOWN
    with pytest.raises(ConfigError, match=f"holds {present}, so {other} is not written there"), claim(tmp_path, other):
        pass
    with claim(tmp_path, present), pytest.raises(DataError, match="another process"), sole_use(tmp_path):
        pass


def test_markers_are_the_manifests_that_verbs_write(tmp_path: Path) -> None:
    for marker, product in ((metric_cache.MANIFEST, CACHE), (teacher.HEADER, TEACHER)):
        assert MARKERS[marker] == product
    assert product_of(tmp_path) is None
    with claim(tmp_path / "new", TOWN):
        assert (tmp_path / "new").is_dir()

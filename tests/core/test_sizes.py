"""Sizes as text."""

from __future__ import annotations

import pytest

from navforge.core.sizes import GIB, MIB, parse_size, write_size


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("512", "", 512),
        ("512", "M", 512 * MIB),
        ("4G", "M", 4 * GIB),
        ("80GiB", "", 80 * GIB),
        ("80 gb", "", 80 * GIB),
        ("1.5T", "", 1536 * GIB),
        ("2P", "", 2 << 50),
        ("3K", "", 3072),
        ("", "M", None),
        ("G", "M", None),
        ("4X", "M", None),
        ("-4G", "M", None),
    ],
)
def test_a_size_is_read(text: str, unit: str, size: int | None) -> None:
    assert parse_size(text, unit) == size


@pytest.mark.parametrize(("size", "text"), [(1.25 * GIB, "1.2 GiB"), (0.1 * GIB, "0.1 GiB"), (87 * MIB, "87 MiB")])
def test_a_size_is_written(size: float, text: str) -> None:
    assert write_size(size) == text

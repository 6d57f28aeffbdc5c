"""What a cached log depends on, so that one made from other inputs or by other code is not used."""

from __future__ import annotations

from collections.abc import Mapping

from navforge.core.code import module_hashes
from navforge.core.files import fingerprint

FORMAT = 2
"""Number of the file layout; raise it when `log_file` changes what it stores."""

BUILDER = "navforge.cache_builder.build"
"""The module that computes a log's scenes and writes them, by name: it is above this package."""


def builder_modules() -> Mapping[str, str]:
    """Hash of each module that decides what a cached scene holds, by name."""
    return module_hashes(BUILDER)


def code_fingerprint() -> str:
    """Hash of all code that decides what a cached scene holds."""
    return fingerprint(builder_modules())

"""Small pickles that ask for memory or depth without end are refused by what they state, before anything is made."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np
import pytest

from navforge.core.outside import pickle_limits
from navforge.data.pickles import _measure

FOUR_GIB = struct.pack("<Q", 1 << 32)
SHARED = b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(60))


@pytest.mark.parametrize("compiled", [None, _measure], ids=["plain", "compiled"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04})" + b"\x85" * 300_000 + b"Ns.", "deeper than 64"),
        (b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b".", "deeper than 64"),
        (b"\x80\x04})" + SHARED + b"Ns.", "shared so often"),
        (b"\x80\x04\x8e" + FOUR_GIB + b".", "beyond its end"),
        (b"\x80\x05\x96" + FOUR_GIB + b".", "beyond its end"),
        (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "beyond its end"),
        (b"\x80\x04Nr\xff\xff\xff\xff.", "not a pickle"),
        (b"\x80\x04Nr\x09\x00\x00\x01.", "not a pickle"),
        (b"Np4294967295\n.", "not a pickle"),
        (b"\x80\x04]\x94h\x00a.", "holds itself"),
        (b"\x80\x04]\x94]h\x00aa.", "holds itself"),
        (b"\x80\x04a.", "not a pickle"),
        (b"\x80\x04N", "cut off"),
        (b"\x80\x04(.", "not a pickle"),
    ],
)
def test_hostile_pickles(content: bytes, words: str, compiled: Any) -> None:
    with pytest.raises(ValueError, match=words):
        pickle_limits.check(content, compiled=compiled)


@pytest.mark.parametrize("compiled", [None, _measure], ids=["plain", "compiled"])
@pytest.mark.parametrize("protocol", range(6))
def test_honest_pickles_end_where_pickle_ends(protocol: int, compiled: Any) -> None:
    same = {"x": [1, 2.5, None, True, "text", b"bytes", 10**40, (1, (2, 3)), {4}, frozenset({5})], "y": np.arange(5.0)}
    content = pickle.dumps([same, same, [same]], protocol)
    assert pickle_limits.check(b"##" + content + b"more", 2, compiled=compiled) == 2 + len(content)

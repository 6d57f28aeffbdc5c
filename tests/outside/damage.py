"""Damage to files: by accident, as disks and downloads do it, and on purpose."""

from __future__ import annotations

import copy
import io
import random
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import yaml

from tests.outside.readers import Plain

Damage = tuple[str, bytes]


def by_accident(content: bytes, chance: random.Random, count: int) -> Iterator[Damage]:
    """Cuts, flipped bits, blocks of zeros and of other bytes, and numbers and texts that are others."""
    for _ in range(count):
        kind = chance.choice(ACCIDENTS)
        yield kind.__name__, kind(content, chance)


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _block(content: bytes, chance: random.Random) -> bytes:
    start, length = chance.randrange(len(content)), chance.choice((4, 16, 64))
    part = bytes(length) if chance.random() < 0.5 else chance.randbytes(length)
    return content[:start] + part + content[start + length :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return (
        content[:start] + chance.choice((b"\x1b[31m", b"[/bold]", b"\xff\xfe", b"\0", b"NaN", b"\n")) + content[start:]
    )


def _number(content: bytes, chance: random.Random) -> bytes:
    numbers = list(re.finditer(rb"\d+", content))
    if not numbers:
        return _flip(content, chance)
    place = chance.choice(numbers)
    other = chance.choice((b"-1", b"0", b"1e308", b"9" * 30, b"4294967295", b"100000000000"))
    return content[: place.start()] + other + content[place.end() :]


ACCIDENTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_cut, _flip, _flip, _block, _insert, _number)


def on_purpose(plain: Plain, content: bytes, chance: random.Random, count: int) -> Iterator[Damage]:
    """Whole files in which one value is another, or missing."""
    load, dump = plain
    value = load(content)
    if isinstance(value, dict):
        value.pop("checksum", None)
    for _ in range(count):
        changed = copy.deepcopy(value)
        places = list(_places(changed))
        holder, key = chance.choice(places)
        if isinstance(holder, dict) and chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(_others()))
        try:
            yield f"{str(key)[:40]} -> {str(holder.get(key))[:40] if isinstance(holder, dict) else ''}", dump(changed)
        except (TypeError, ValueError, RecursionError, AttributeError, yaml.YAMLError):
            continue  # this format has no such value


def _others() -> list[Any]:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    return [
        None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "\x1b[31m[/bold]", "../../../etc/passwd",
        "x" * 100_000, [], {}, [[]], {"a": {"b": []}}, deep, 100_000, b"\xff",
        np.float64("nan"), np.zeros((0, 3)), np.full(7, np.nan),
    ]  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def bombs(suffix: str) -> Iterator[Damage]:
    """Small files of a format that ask for the whole memory, or nest without end; others' bombs for the rest."""
    yield from (*_BOMBS.get(suffix, ()), *_IMPOSTORS)


def _zip(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def _npy(shape: str, descr: str = "<f8") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


_SHARED_LISTS = b"".join(b"\x94](h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(60))
_ALIASES = (b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12))
_NESTED = b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"(" * 60_000
_DEEP_PICKLES = (
    ("tuples as a key", b"\x80\x04})" + b"\x85" * 300_000 + b"Ns."),
    ("tuples in a set", b"\x80\x04\x8f()" + b"\x85" * 300_000 + b"\x90."),
    ("lists", b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b"."),
    ("shared tuples as a key", b"\x80\x04})" + b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(60)) + b"Ns."),
    ("shared lists", b"\x80\x04](NNe" + _SHARED_LISTS + b"."),
    ("4 GiB of bytes", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 32) + b"."),
    ("4 GiB of bytearray", b"\x80\x05\x96" + struct.pack("<Q", 1 << 32) + b"."),
    ("a memo of 4 G", b"\x80\x04Nr\xff\xff\xff\xff."),
    ("a frame of 4 GiB", b"\x80\x04\x95" + struct.pack("<Q", 1 << 32) + b"N."),
)
_DEEP_ARCHIVES = tuple((name, _zip({"a/data.pkl": pickled}, zipfile.ZIP_STORED)) for name, pickled in _DEEP_PICKLES)
_DEEP_JSON = (
    ("lists", b"[" * 300_000),
    ("objects", b'{"a":' * 300_000),
    ("closed lists", b'{"format": ' + b"[" * 300_000 + b"]" * 300_000 + b"}"),
    ("digits", b'{"format": ' + b"9" * 300_000 + b"}"),
)
_DEEP_YAML = (
    ("lists", b"[" * 100_000),
    ("dashes", b"- " * 100_000),
    ("aliases", b"a0: &a0 [x]\n" + b"".join(_ALIASES)),
)
_BOMBS: dict[str, tuple[Damage, ...]] = {
    ".pkl": _DEEP_PICKLES,
    ".json": _DEEP_JSON,
    ".yaml": _DEEP_YAML,
    ".npy": (
        ("8 TB", _npy("(1000000000000,)")),
        ("nested header", _NESTED),
        ("objects", _npy("(1,)", "|O") + _DEEP_PICKLES[0][1]),
    ),
    ".npz": (("nested headers", _zip({f"{name}.npy": _NESTED for name in ("tokens", "poses", "interval_s")})),),
    ".ckpt": _DEEP_ARCHIVES,
    ".pth": (*_DEEP_ARCHIVES, *_DEEP_PICKLES),
    ".jsonl": tuple((name, content + b"\n{}\n") for name, content in _DEEP_JSON),
    ".pcd": (("1e12 points", b"FIELDS x\nSIZE 4\nTYPE F\nCOUNT 1\nPOINTS 1000000000000\nDATA binary\n"),),
}
_IMPOSTORS: tuple[Damage, ...] = (
    ("empty", b""),
    ("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    ("web page", b"<!DOCTYPE html><html>404</html>"),
    ("gzip", b"\x1f\x8b\x08\x00" + bytes(40)),
    ("zeros", bytes(4096)),
    ("text", b"hello [/bold] \x1b[31m\n"),
)


def config_bombs(content: bytes, plain: Plain) -> Iterator[Damage]:
    """Checkpoints whose config asks for a network that fills the memory."""
    load, dump = plain
    value = load(content)
    for key, number in (("layers", 100_000), ("layers", 10_000_000), ("hidden", 1_000_000), ("hidden", 10**12)):
        changed = copy.deepcopy(value)
        changed["navforge"]["planner"]["head"][key] = number
        yield f"{key}={number}", dump(changed)

"""The child process of `test_fuzz`: damages every reader's file in turn, within limits of memory and time.

    python -m tests.outside.fuzz FOLDER COUNT SEED [NAME ...]

Prints a line before each case, so that a crash is known by the last one, and `WRONG ...` for a case that is neither
read equal nor refused in our words.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from navforge.core.errors import NavforgeError
from tests.outside import damage
from tests.outside.readers import READERS, Reader

MEMORY = 1 << 30
"""Bytes a reader may take beside what the process has."""
SECONDS = 20
LONGEST = 2_000
"""Characters of a message."""


def main(folder: Path, count: int, seed: int, names: list[str]) -> None:
    """Run all cases of some readers, or of all."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    limited = False
    for name in names or list(READERS):
        place = folder / name.replace(" ", "_")
        place.mkdir(parents=True)
        reader = READERS[name]
        path = reader.sample(place)
        content = path.read_bytes()
        expected = plain(reader.read(path))
        if not limited:
            limited = True
            own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY, own + MEMORY))
        for case, changed in cases(name, reader, path, content, random.Random(f"{name} {seed}"), count):
            print(f"{name}: {case}", flush=True)
            path.write_bytes(changed)
            judge(name, case, reader, path, expected, changed == content)
        path.write_bytes(content)
    print("DONE", flush=True)


def cases(
    name: str, reader: Reader, path: Path, content: bytes, chance: random.Random, count: int
) -> Iterator[tuple[str, bytes]]:
    """All damage to one file."""
    yield from damage.by_accident(content, chance, count)
    if reader.plain is not None:
        yield from damage.on_purpose(reader.plain, content, chance, count)
    yield from damage.bombs(path.suffix)
    if name == "checkpoint" and reader.plain is not None:
        yield from damage.config_bombs(content, reader.plain)


def judge(name: str, case: str, reader: Reader, path: Path, expected: Any, same: bool) -> None:
    """Print what is wrong with how a file is read."""
    signal.alarm(SECONDS)
    try:
        value = plain(reader.read(path))
    except NavforgeError as error:
        message = str(error)
        if path.name not in message and path.parent.name not in message:
            print(f"WRONG {name}: {case}: the file is not named: {message[:300]}", flush=True)
        if len(message) > LONGEST:
            print(f"WRONG {name}: {case}: a message of {len(message)} characters: {message[:300]}", flush=True)
    except BaseException:
        print(f"WRONG {name}: {case}: {path.stat().st_size} bytes\n{traceback.format_exc()[-1500:]}", flush=True)
    else:
        purpose = " -> " in case
        if reader.checked and not same and not purpose and value != expected:
            print(f"WRONG {name}: {case}: read as something else", flush=True)
    finally:
        signal.alarm(0)


def plain(value: Any) -> Any:
    """The value in a form that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return [(str(key), plain(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return repr(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])

"""The logs of a run: their ends, and what is added to them while the run is active."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from navforge.core.errors import DataError
from navforge.runs.folder import RunFolder

POLL_S = 0.3


@dataclass(frozen=True)
class LogLine:
    """One line of a log."""

    source: str
    """`rank 3`, `job 40`."""
    text: str


def log_files(folder: RunFolder, rank: int | None = None) -> dict[str, Path]:
    """Logs by name: of jobs first, then of ranks by number; or of one rank.

    Raises:
        DataError: that rank has no log.
    """
    if rank is not None:
        path = folder.rank_log(rank)
        if not path.is_file():
            known = ", ".join(name.removeprefix("rank ") for name in log_files(folder) if name.startswith("rank "))
            raise DataError(f"{folder.path} has no log of rank {rank}; ranks with a log: {known or 'none yet'}")
        return {f"rank {rank}": path}
    files = [path for path in folder.logs.glob("*.log") if re.fullmatch(r"(job|rank)-.+\.log", path.name)]
    return {path.stem.replace("-", " ", 1): path for path in sorted(files, key=_order)}


def tail(path: Path, count: int | None) -> list[str]:
    """The last lines of a file, or all of them; bytes that are not text are marked as such."""
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        return [_shown(line) for line in (deque(file, maxlen=count) if count is not None else file)]


def follow(
    files: Callable[[], dict[str, Path]],
    ended: Callable[[], bool],
    *,
    count: int | None = 10,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """The last lines of logs, then every line added, until the run ended and nothing is left to read.

    A log that is replaced or cut (rotation, a new attempt that truncates) is read to its end, then from the start of
    what took its place; logs that appear later are read from their start.

    Args:
        files: the logs there are at the moment, by name.
        ended: whether the run is over; asked after the logs were read, so that nothing written before is lost.
        count: lines of each log to begin with.
        pause: called with the time to wait between two looks, s.
    """
    open_logs: dict[str, _Tail] = {}
    first = True
    while True:
        over = ended()
        for name, path in files().items():
            log = open_logs.get(name)
            if log is None:
                log = open_logs[name] = _Tail(path)
                if first:
                    yield from (LogLine(name, line) for line in log.begin(count))
            yield from (LogLine(name, line) for line in log.read(flush=over))
        first = False
        if over:
            for log in open_logs.values():
                log.close()
            return
        pause(POLL_S)


class _Tail:
    """A log read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None
        self.rest = b""

    def begin(self, count: int | None) -> list[str]:
        """The last lines of what is there; later reads go on behind them."""
        lines = self.read(flush=False)
        return lines if count is None else lines[len(lines) - min(count, len(lines)) :]

    def read(self, *, flush: bool) -> list[str]:
        """Lines complete since the last read; `flush` gives the last one even if its end is missing."""
        if self.file is None:
            self._open()
        lines = self._drain()
        if self._replaced():
            lines += self._last()
            self.close()
            self._open()
            lines += self._drain()
        return lines + (self._last() if flush else [])

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()
        self.file = None

    def _open(self) -> None:
        try:
            self.file = open(self.path, "rb")  # noqa: SIM115 (closed in close)
        except FileNotFoundError:
            self.file = None  # between the two steps of a rotation

    def _drain(self) -> list[str]:
        if self.file is None:
            return []
        parts = (self.rest + self.file.read()).split(b"\n")
        self.rest = parts.pop()
        return [_shown(part.decode("utf-8", errors="replace")) for part in parts]

    def _last(self) -> list[str]:
        rest, self.rest = self.rest, b""
        return [_shown(rest.decode("utf-8", errors="replace"))] if rest else []

    def _replaced(self) -> bool:
        if self.file is None:
            return False
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False  # rotated away, the new one is still to come
        own = os.fstat(self.file.fileno())
        return (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino) or own.st_size < self.file.tell()


def _shown(line: str) -> str:
    """A line as a terminal would leave it: of a progress bar, its last state."""
    return line.rstrip("\r\n").rpartition("\r")[2]


def _order(path: Path) -> tuple[bool, int, str]:
    number = path.stem.partition("-")[2]
    return path.name.startswith("rank-"), int(number) if number.isdigit() else 0, path.name

"""What a local run shows on the console: what rank 0 says, and on a terminal one line that tells how far it is."""

from __future__ import annotations

import os
import time
from typing import IO, TextIO

from navforge.core.errors import DataError
from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.runs.status import RankStatus
from navforge.slurm import durations

_EVERY_S = 1.0
_CLEAR = "\r\x1b[K"


class Console:
    """Shows rank 0 of a run on a stream."""

    def __init__(self, folder: RunFolder, stream: TextIO) -> None:
        self._folder = folder
        self._stream = stream
        self._live = stream.isatty()
        self._shown = ""
        self._looked = 0.0

    def tick(self, output: IO[bytes] | None) -> None:
        """Pass on what rank 0 has said since the last call, and renew the line.

        Args:
            output: the reading end of its output, which does not block.
        """
        said = b"" if output is None else _read(output)
        if said:
            self._write((_CLEAR if self._shown else "") + said.decode("utf-8", errors="replace"))
            self._shown = ""
        if self._live and time.monotonic() - self._looked >= _EVERY_S:
            self._looked = time.monotonic()
            try:
                now = status.read(self._folder.status_file(0), RankStatus)
            except DataError:
                return  # the next one will be whole
            if now is not None:
                self._shown = line(now)
                self._write(_CLEAR + self._shown)

    def close(self) -> None:
        """Take the line off."""
        if self._shown:
            self._write(_CLEAR)
            self._shown = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def line(now: RankStatus) -> str:
    """A heartbeat in one line: `epoch 2/20  step 40/400  loss 0.531  12.3 samples/s  5.1 GiB  00:12:30 left`."""
    if now.phase not in ("training", "validating"):
        return now.phase
    parts = [f"epoch {now.epoch + 1}/{now.epochs}", f"step {now.step}/{now.total_steps}"]
    if now.phase == "validating":
        parts.append("validating")
    if now.loss is not None:
        parts.append(f"loss {now.loss:.4g}")
    if now.samples_per_s is not None:
        parts.append(f"{now.samples_per_s:.1f} samples/s")
    if now.host_bytes:
        parts.append(f"{now.host_bytes / 2**30:.1f} GiB")
    if now.gpu_bytes:
        parts.append(f"GPU {now.gpu_bytes / 2**30:.1f} GiB")
    if now.eta_s is not None:
        parts.append(f"{durations.write(round(now.eta_s))} left")
    return "  ".join(parts)


def _read(output: IO[bytes]) -> bytes:
    try:
        return os.read(output.fileno(), 1 << 16)
    except BlockingIOError:
        return b""

"""A rank's heartbeat: its status file every two seconds from a thread, and rank 0's history."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import Any

from navforge.core.screen import say
from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.runs.status import RankStatus
from navforge.training.loop.memory import gpu_bytes, host_bytes
from navforge.training.ranks.rank_info import RankInfo

BEAT_S = 2.0
MEMORY_EVERY = 5
"""Memory is measured at every this many beats: walking through a large process takes the kernel a while."""
WINDOW = 15
"""Beats over which rates are taken."""
HISTORY = "time,attempt,epoch,step,samples_per_s,waiting,loss,host_bytes,gpu_bytes\n"


class Heartbeat:
    """Keeps `RankStatus` up to date while it is entered; the trainer tells it what changes.

    A disk that is full does not stop the heartbeat: the trainer will notice when it has something to keep.
    """

    def __init__(self, folder: RunFolder, rank_info: RankInfo, *, attempt: int) -> None:
        now = time.time()
        self.status = RankStatus(
            rank=rank_info.rank,
            world_size=rank_info.world_size,
            node=rank_info.node,
            pid=os.getpid(),
            attempt=attempt,
            job=rank_info.job,
            phase="starting",
            time=now,
            started=now,
            moved=now,
        )
        self._folder = folder
        self._world_size = rank_info.world_size
        self._samples = 0
        self._waited = 0.0
        self._marks: deque[tuple[float, int, float, int]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._warned = False

    def __enter__(self) -> Heartbeat:
        self._write(measure=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._write(measure=False)

    def tell(self, **changes: Any) -> None:
        """Set fields of the status; a change of phase is written at once."""
        with self._lock:
            before = self.status
            self.status = replace(before, **changes)
            turned = self.status.phase != before.phase
            if turned or self.status.step != before.step:
                self.status = replace(self.status, moved=time.time())
            if turned:
                self._marks.clear()
        if turned:
            self._write(measure=False)

    def count(self, samples: int, waited_s: float) -> None:
        """Add samples this rank has trained on and how long it waited for them."""
        with self._lock:
            self._samples += samples
            self._waited += waited_s

    def _beat(self) -> None:
        beats = 0
        while not self._end.wait(BEAT_S):
            beats += 1
            self._rates()
            self._write(measure=beats % MEMORY_EVERY == 1)

    def _rates(self) -> None:
        with self._lock:
            self._marks.append((time.monotonic(), self._samples, self._waited, self.status.step))
            (began, samples, waited, step), (now, samples_now, waited_now, step_now) = self._marks[0], self._marks[-1]
            if now <= began or self.status.phase != "training":
                return
            pace = (step_now - step) / (now - began)
            left = self.status.total_steps - step_now
            self.status = replace(
                self.status,
                samples_per_s=self._world_size * (samples_now - samples) / (now - began),
                waiting=min(1.0, (waited_now - waited) / (now - began)),
                eta_s=left / pace if pace > 0 else self.status.eta_s,
            )

    def _write(self, *, measure: bool) -> None:
        memory = {"host_bytes": host_bytes(), "gpu_bytes": gpu_bytes()} if measure else {}
        with self._lock:
            self.status = replace(self.status, time=time.time(), **memory)
            now = self.status
        try:
            status.write(self._folder.status_file(now.rank), now)
            if measure and now.rank == 0:
                self._append(now)
        except OSError as error:
            if not self._warned:
                say(f"heartbeat: {error}", file=sys.stderr, flush=True)
            self._warned = True

    def _append(self, now: RankStatus) -> None:
        path = self._folder.history
        cells = (
            f"{now.time:.1f}",
            now.attempt,
            now.epoch,
            now.step,
            _cell(now.samples_per_s, ".2f"),
            _cell(now.waiting, ".4f"),
            _cell(now.loss, ".6g"),
            now.host_bytes,
            now.gpu_bytes,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(("" if file.tell() else HISTORY) + ",".join(map(str, cells)) + "\n")


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)

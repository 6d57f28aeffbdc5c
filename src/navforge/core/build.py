"""One resumable build: a product is made piece by piece, and what is whole already is kept.

    pieces -> check: whole, and made from what is there now? -> executor makes the others -> failures.json -> manifest

A metric cache, an input store, a teacher store and a town are built this way, one piece per log. A product defines its
`Piece`: what it is made from, how it is checked, how it is made. Skipping, order, atomic files, failures, the manifest
and the words on the screen are here. Which executor made a piece changes nothing of it.
"""

from __future__ import annotations

import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from navforge.core import parallel, ray_pool
from navforge.core.errors import DataError
from navforge.core.failures import FAILURES, Failure, LogFailedError, describe_failures, failure_of, write_failures
from navforge.core.files import atomic_path
from navforge.core.parallel import Outcome
from navforge.core.products import Product

EntryT = TypeVar("EntryT")

NEW = "new"
"""Reason to make a piece that is not there."""
_SERIAL_BYTES = 256 << 20
"""Bytes of existing pieces up to which one process checks them: starting others takes longer."""
_LISTED = 20


@dataclass(frozen=True)
class Result(Generic[EntryT]):
    """What became of a piece."""

    entry: EntryT | None = None
    """What the manifest says of it; None where it could not be made."""
    scenes: int = 0
    """Scenes in it."""
    bytes: int = 0
    failures: tuple[Failure, ...] = ()
    """Why it could not be made or, with an entry, scenes that were left out of it."""
    seconds: float = 0.0
    """Processor time that it took, with the compilation of kernels where it was the first of its process."""


@dataclass(frozen=True, kw_only=True)
class Piece(ABC, Generic[EntryT]):
    """What one log contributes to a product; can be pickled, small, made by any process and in any order."""

    product: ClassVar[Product]
    name: str
    """The log."""
    scenes: int
    """How many scenes of the log are asked for."""
    out: Path
    """Folder of the product."""
    code: str
    """Fingerprint of the code that is to make it."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """Its file; of several, the one that is written last."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Fingerprint of what is asked for: settings, scenes and code, but not the contents of input files."""

    @abstractmethod
    def code_here(self) -> str:
        """`code` of this process."""

    @abstractmethod
    def check(self) -> Result[EntryT]:
        """What the existing file holds, after a check of every byte.

        Raises:
            DataError: it is damaged or was made from something else; says why.
        """

    @abstractmethod
    def make(self) -> Result[EntryT]:
        """Write the file, inside `writing`.

        Raises:
            LogFailedError: scenes failed, which it lists. Any other exception is recorded as failure of the whole log.
        """

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A temporary path, which becomes `path` at the end of the block.

        The manifest of an earlier product goes just before its first file is replaced: a run that fails before that
        leaves the earlier product as it was.
        """
        with atomic_path(self.path) as temporary:
            yield temporary
            self.unpublish()

    def unpublish(self) -> None:
        """Remove the manifest of an earlier product if this piece is part of it: it is about to be replaced."""
        if self.path.exists():
            (self.out / self.product.manifest).unlink(missing_ok=True)


Executor = Callable[[Sequence[Piece[Any]], str], Iterable[Outcome[Piece[Any], Result[Any]]]]
"""Makes pieces, with a label for the progress bar, and says what became of each, in any order."""


@dataclass(frozen=True)
class Processes:
    """The executor `local`: processes of this machine."""

    workers: int = 0
    """0: one per CPU; 1: this process."""

    def __call__(self, pieces: Sequence[Piece[Any]], label: str) -> Iterator[Outcome[Piece[Any], Result[Any]]]:
        """See `Executor`."""
        return parallel.run(make, pieces, workers=self.workers, label=label)


@dataclass(frozen=True)
class RayCluster:
    """The executor `ray`; see `ray_pool.run`."""

    address: str | None = None
    workers: int = 0
    gpus: int = 0
    """For each piece."""

    def __call__(self, pieces: Sequence[Piece[Any]], label: str) -> Iterator[Outcome[Piece[Any], Result[Any]]]:
        """See `Executor`."""
        settings = {"address": self.address, "workers": self.workers, "gpus": self.gpus}
        return ray_pool.run(make_elsewhere, pieces, label=label, **settings)


@dataclass(frozen=True)
class Report(Generic[EntryT]):
    """What a build did."""

    pieces: Sequence[Piece[EntryT]]
    results: Mapping[str, Result[EntryT]]
    """By piece, in their order."""
    reasons: Mapping[str, str]
    """Why a piece was not kept, by piece; the others were."""
    seconds: float
    complete: bool
    """Whether the manifest was written."""

    @cached_property
    def failures(self) -> list[Failure]:
        """All failures."""
        return [failure for result in self.results.values() for failure in result.failures]

    @property
    def bytes(self) -> int:
        """Size of all pieces."""
        return sum(result.bytes for result in self.results.values())

    @property
    def failed_scenes(self) -> int:
        """Scenes that failed; all of a log's where it failed as a whole."""
        scenes = {piece.name: piece.scenes for piece in self.pieces}
        return sum(1 if failure.token is not None else scenes[failure.log_name] for failure in self.failures)

    def scenes(self, *, kept: bool) -> int:
        """Scenes that are on disk now: of pieces that were kept, or of those that were made."""
        return sum(result.scenes for name, result in self.results.items() if (name not in self.reasons) is kept)

    def describe(self) -> str:
        """Counts, speed, size, and why old pieces were not kept."""
        product, out = self.pieces[0].product, self.pieces[0].out
        made, kept = self.scenes(kept=False), self.scenes(kept=True)
        speed = f", {made / self.seconds:.1f} scenes/s" if made else ""
        lines = [
            f"{out}: {made} scenes {product.done}, {kept} kept, {self.failed_scenes} failed in "
            f"{self.seconds:.1f} s{speed}"
        ]
        if made + kept:
            size = f"{self.bytes / 2**20:.1f} MiB of {len(self.pieces)} logs"
            lines.append(f"{size}, {self.bytes / (made + kept) / 1000:.1f} kB per scene")
        if made and (spent := sum(result.seconds for result in self.results.values())):
            lines[-1] += f"; {spent / made:.3f} core seconds per scene"
        rebuilt = [f"rebuilt {name}: {reason}" for name, reason in self.reasons.items() if reason != NEW]
        lines += rebuilt[:_LISTED]
        if len(rebuilt) > _LISTED:
            lines.append(f"and {len(rebuilt) - _LISTED} more logs rebuilt")
        return "\n".join(lines)

    def error(self, otherwise: str = "") -> DataError:
        """What to raise for failures: their causes, the state of the product, and what to do.

        Args:
            otherwise: a further remedy; not offered where the disk is full, which it would not help.
        """
        product, out = self.pieces[0].product, self.pieces[0].out
        full = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
        if any(text in failure.error for failure in self.failures for text in full):
            remedy = f"make room on the disk of {out.absolute()} and run the command again"
        else:
            remedy = f"remove the causes and run the command again{otherwise}"
        state = (
            f"{out} holds what it held before"
            if (out / product.manifest).is_file()
            else f"{out} is not complete and cannot be opened, its whole files are kept"
        )
        return DataError(
            f"{self.failed_scenes} of {sum(piece.scenes for piece in self.pieces)} scenes could not be {product.done} "
            f"(tracebacks: {out / FAILURES}):\n{describe_failures(self.failures)}\n{state}; {remedy}"
        )


def build(
    pieces: Sequence[Piece[EntryT]],
    publish: Callable[[Mapping[str, EntryT]], None],
    *,
    executor: Executor | None = None,
    workers: int = 0,
) -> Report[EntryT]:
    """Make what is missing of a product; publish it if nothing is missing any more.

    Args:
        pieces: all of it, of one product and folder; at least one.
        publish: writes the manifest, last of all, from the entries by piece.
        executor: makes the pieces; None: `workers` processes of this machine.
        workers: processes that check what is there; 0: one per CPU.
    """
    started = time.perf_counter()
    out = pieces[0].out
    (out / FAILURES).unlink(missing_ok=True)
    reasons = {piece.name: NEW for piece in pieces}
    results: dict[str, Result[EntryT]] = {}
    for name, checked in _checked(pieces, workers):
        if isinstance(checked, str):
            reasons[name] = checked
        else:
            results[name] = checked
            del reasons[name]
    missing = [piece for piece in pieces if piece.name in reasons]
    if missing:
        for outcome in (executor or Processes(workers))(missing, pieces[0].product.doing):
            results[outcome.item.name] = _result(outcome)
    ordered = {piece.name: results[piece.name] for piece in pieces}
    entries = {name: result.entry for name, result in ordered.items() if result.entry is not None}
    complete = len(entries) == len(pieces) and any(result.scenes for result in ordered.values())
    if complete:
        publish(entries)
    report = Report(pieces, ordered, reasons, time.perf_counter() - started, complete)
    write_failures(out / FAILURES, report.failures)
    return report


def make(piece: Piece[EntryT]) -> Result[EntryT]:
    """Make a piece; what goes wrong is part of the result."""
    return attempt(piece, piece.make)


def attempt(piece: Piece[EntryT], function: Callable[[], Result[EntryT]]) -> Result[EntryT]:
    """Make a piece by a function of its executor's."""
    started = time.process_time()
    try:
        result = function()
    except LogFailedError as failed:
        result = Result(failures=failed.failures)
    except Exception as error:  # the boundary of one log: the others are made
        result = Result(failures=(failure_of(error, piece.name),))
    return replace(result, seconds=time.process_time() - started)


def make_elsewhere(piece: Piece[EntryT]) -> Result[EntryT]:
    """As `make`, on a machine that may have another navforge installed.

    Raises:
        DataError: this process runs other code than the piece is to be made by.
    """
    if piece.code_here() != piece.code:
        raise DataError(
            "this process runs other code than the one that started the build; install the same navforge on all nodes"
        )
    return make(piece)


def _checked(pieces: Sequence[Piece[EntryT]], workers: int) -> Iterator[tuple[str, Result[EntryT] | str]]:
    """Of every piece that is there: what it holds, or why it is to be made again."""
    existing = [piece for piece in pieces if piece.path.exists()]
    few = sum(piece.path.stat().st_size for piece in existing) < _SERIAL_BYTES
    for outcome in parallel.run(_check, existing, workers=1 if few else workers, label="checking"):
        yield outcome.item.name, outcome.result if outcome.result is not None else str(outcome.error)


def _check(piece: Piece[EntryT]) -> Result[EntryT] | str:
    try:
        return piece.check()
    except DataError as error:
        return str(error)


def _result(outcome: Outcome[Piece[EntryT], Result[EntryT]]) -> Result[EntryT]:
    """The result of a piece, also where its worker ended without one."""
    if outcome.result is not None:
        return outcome.result
    return Result(failures=(Failure(None, outcome.item.name, str(outcome.error), str(outcome.traceback)),))

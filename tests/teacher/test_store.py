"""Opening a store: what is refused, what damage is noticed, and what reading costs in memory."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from navforge.core.errors import DataError
from navforge.core.outside.sealed import read_sealed, write_sealed
from navforge.scoring.protocols import protocol
from navforge.teacher.store import TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary
from tests.teacher.made import random_entries, repeated_store

RULES = protocol("epdms_v2")


def vocabulary(size: int = 100, seed: int = 0) -> Vocabulary:
    return Vocabulary(np.random.default_rng(seed).normal(size=(size, 40, 3)).astype(np.float32))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    repeated_store(tmp_path / "store", vocabulary(), 20, RULES)
    return tmp_path / "store"


def opened(path: Path) -> TeacherStore:
    return TeacherStore.open(path, vocabulary())


def test_rows_belong_to_their_tokens(store: Path) -> None:
    found = opened(store)
    assert len(found) == len(found.tokens) == 20
    for number, token in enumerate(sorted(found.tokens)):
        truth = random_entries(RULES, 100, (number // 4) % 8)
        assert np.abs(found.row(token)["score"] - truth.score).max() < 1e-5


def test_another_vocabulary_is_refused_with_both_fingerprints(store: Path) -> None:
    other = vocabulary(seed=1)
    with pytest.raises(DataError) as caught:
        TeacherStore.open(store, other)
    assert vocabulary().fingerprint in str(caught.value) and other.fingerprint in str(caught.value)


def change(header: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**header, **values}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda h: change(h, format=1), "has format 1, this version reads 2; delete it and run navforge teach again"),
        (lambda h: {"format": 2}, "header.json is damaged"),
        (lambda h: change(h, columns={"x": {"encoding": "unknown"}}), "header.json is damaged"),
        (lambda h: change(h, protocol="unknown"), "header.json is damaged"),
        (lambda h: change(h, entries=101), r"holds \d+ bytes, the header says 20 rows of 368"),
    ],
)
def test_a_header_that_cannot_be_is_refused(store: Path, damage: Callable[[Any], Any], message: str) -> None:
    file = store / "header.json"
    write_sealed(file, damage(read_sealed(file, "header")))
    with pytest.raises(DataError, match=message):
        opened(store)


def test_missing_files_are_named(store: Path, tmp_path: Path) -> None:
    (store / "rows.bin").unlink()
    with pytest.raises(DataError, match=r"rows\.bin not found; teach again"):
        opened(store)
    with pytest.raises(DataError, match="not found"):
        opened(tmp_path / "nothing")
    (tmp_path / "begun" / "shards").mkdir(parents=True)
    with pytest.raises(DataError, match="unfinished; run the same navforge teach again"):
        opened(tmp_path / "begun")


def test_cut_rows_and_other_tokens_are_refused(store: Path) -> None:
    rows = store / "rows.bin"
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"rows\.bin holds \d+ bytes, the header says 20 rows"):
        opened(store)
    rows.write_bytes(whole)
    tokens = store / "tokens.txt"
    tokens.write_text("\n".join(reversed(tokens.read_text().split())) + "\n")
    with pytest.raises(DataError, match=r"tokens\.txt is not the one"):
        opened(store)


def test_a_changed_byte_is_named_when_its_row_is_read_and_when_all_is_checked(store: Path) -> None:
    found = opened(store)
    found.check()
    size, token = found.layout.row_bytes, found.tokens[7]
    rows = bytearray((store / "rows.bin").read_bytes())
    rows[7 * size + 40] ^= 1
    (store / "rows.bin").write_bytes(bytes(rows))
    damaged = opened(store)
    damaged.row(damaged.tokens[6])
    with pytest.raises(DataError, match=f"row 7 .scene {token}.: the bytes have changed"):
        damaged.row(token)
    with pytest.raises(DataError, match=r"shard log_1 \(rows 5 to 9\) has changed"):
        damaged.check()


def test_unknown_scenes_and_columns_are_refused(store: Path) -> None:
    found = opened(store)
    with pytest.raises(DataError, match="scene ffff is not in"):
        found.row("ffff")
    with pytest.raises(DataError, match="has no column comfort; it has no_at_fault"):
        found.row(found.tokens[0], ("comfort",))


def _read_all(path: Path, ready: Any, go: Any, answers: Any) -> None:
    own = psutil.Process()
    found = TeacherStore.open(path, vocabulary(8192))
    found.row(found.tokens[0])
    before = own.memory_info().rss
    ready.wait()
    go.wait()
    tokens = list(found.tokens)
    random.shuffle(tokens)
    total = 0.0
    for token in tokens:
        total += float(found.row(token, ("score",))["score"][:8].sum())
    found.check()
    answers.put((own.memory_info().rss - before, total))


def test_four_readers_of_everything_share_one_copy(tmp_path: Path) -> None:
    """What four processes add by reading 120 MB each, at random and once through: less than 50 MB in all (200 allowed).

    Their resident memory is counted in full, pages that are shared included, so that rows left mapped would show as
    480 MB.
    """
    repeated_store(tmp_path, vocabulary(8192), 4700, RULES)
    assert (tmp_path / "rows.bin").stat().st_size > 120e6
    context = multiprocessing.get_context("spawn")
    ready, go, answers = context.Barrier(5), context.Event(), context.Queue()
    readers = [context.Process(target=_read_all, args=(tmp_path, ready, go, answers)) for _ in range(4)]
    for reader in readers:
        reader.start()
    ready.wait(300)
    go.set()
    found = [answers.get(timeout=300) for _ in readers]
    for reader in readers:
        reader.join(300)
    assert [reader.exitcode for reader in readers] == [0] * 4
    assert len({round(total, 2) for _, total in found}) == 1
    assert sum(added for added, _ in found) < 50e6

"""Teacher store against the field's pickled table: size, packing, random rows, memory of several readers.

    python benchmarks/teacher_store.py [--scenes 12000] [--out FOLDER]

Rows are made up (8 different ones, repeated), as large as real ones: 8192 entries, `epdms_v2`. CPU time unless another
is named; files in the page cache unless "cold" is said.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import ROOT, best_s, machine

sys.path.insert(0, str(ROOT))

from navforge.scoring.protocols import protocol
from navforge.teacher import rows as taught
from navforge.teacher.importing import export_table, import_table
from navforge.teacher.packing import UNIT8, UNIT16
from navforge.teacher.store import ROWS, TeacherStore
from navforge.teacher.tables import GTRS
from navforge.vocabulary.vocabulary import Vocabulary
from tests.teacher.made import random_entries, repeated_store

ENTRIES, NAVTRAIN, READERS, TABLE_SCENES = 8192, 103_288, 4, 1000
RULES = protocol("epdms_v2")


def vocabulary() -> Vocabulary:
    return Vocabulary(np.random.default_rng(0).normal(size=(ENTRIES, 40, 3)).astype(np.float32))


def packing() -> None:
    print("| work | per scene of 8192 entries | entries/s |\n|---|---|---|")
    entries = random_entries(RULES, ENTRIES, 3)
    layout = taught.layout(RULES, ENTRIES, UNIT16)
    row = taught.pack(entries, RULES, layout)
    for name, work in (
        ("pack", lambda: [taught.pack(entries, RULES, layout) for _ in range(50)]),
        ("read back and compare", lambda: [taught.rounding(row, entries, RULES, layout) for _ in range(50)]),
    ):
        seconds = best_s(work) / 50
        print(f"| {name} | {1e6 * seconds:.0f} us | {ENTRIES / seconds / 1e6:.1f} M |")


def sizes() -> None:
    print("\n| ego progress | bytes per scene | bytes per entry | navtrain (103,288 scenes) | rounding of score |")
    print("|---|---|---|---|---|")
    for encoding in (UNIT16, UNIT8):
        layout = taught.layout(RULES, ENTRIES, encoding)
        entries = [random_entries(RULES, ENTRIES, seed) for seed in range(20)]
        lost = max(taught.rounding(taught.pack(e, RULES, layout), e, RULES, layout)["score"] for e in entries)
        per_entry, size = layout.row_bytes / ENTRIES, layout.row_bytes * NAVTRAIN / 1e9
        print(f"| {encoding.bits} bits | {layout.row_bytes:,} | {per_entry:.3f} | {size:.2f} GB | {lost:.1e} |")
    print(f"| public table, float16 | {9 * 2 * ENTRIES:,} | 18 | {9 * 2 * ENTRIES * NAVTRAIN / 1e9:.2f} GB | 4.9e-04 |")


def reading(store: TeacherStore) -> None:
    print("\n| random rows | CPU time | wall time, median | 99th percentile |\n|---|---|---|---|")
    tokens = list(store.tokens)
    random.Random(0).shuffle(tokens)
    kinds = {"all columns and score": None, "sub-scores": RULES.columns, "score": ("score",)}
    for name, columns in kinds.items():
        cpu = best_s(lambda columns=columns: [store.row(token, columns) for token in tokens[:500]]) / 500
        print(f"| {name} | {1e6 * cpu:.0f} us | {' | '.join(walls(store, tokens[:2000], columns))} |")
    with open(store.path / ROWS, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    print(f"| all, cold | | {' | '.join(walls(store, tokens[:300], None))} |")
    seconds = best_s(store.check, 2)
    print(f"\nchecking every byte: {len(store) * store.layout.row_bytes / seconds / 1e9:.2f} GB/s")


def walls(store: TeacherStore, tokens: list[str], columns: tuple[str, ...] | None) -> list[str]:
    taken = []
    for token in tokens:
        started = time.perf_counter()
        store.row(token, columns)
        taken.append(time.perf_counter() - started)
    return [f"{1e6 * value:.0f} us" for value in np.percentile(taken, [50, 99])]


def _reader(path: Path, ready: Any, answers: Any) -> None:
    store, own = TeacherStore.open(path, vocabulary()), psutil.Process()
    tokens = list(store.tokens)
    store.row(tokens[0])
    before = own.memory_info().rss
    ready.wait()
    random.shuffle(tokens)
    for token in tokens:
        store.row(token, ("score",))
    answers.put(own.memory_info().rss - before)


def readers(store: TeacherStore) -> None:
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(READERS), context.Queue()
    found = [context.Process(target=_reader, args=(store.path, ready, answers)) for _ in range(READERS)]
    for reader in found:
        reader.start()
    added = [answers.get(timeout=900) for _ in found]
    for reader in found:
        reader.join()
    size = len(store) * store.layout.row_bytes
    print(f"{READERS} processes reading all of {size / 1e6:.0f} MB: {sum(added) / 1e6:.1f} MB of resident memory more")


def public_table(store: TeacherStore, folder: Path) -> None:
    """The table of public code: what every rank pays, and what import and export cost."""
    small = folder / "small"
    repeated_store(small, vocabulary(), TABLE_SCENES, RULES)
    path = folder / "table.pkl"
    opened = TeacherStore.open(small, vocabulary())
    export_s = best_s(lambda: export_table(opened, path, GTRS), 1) / TABLE_SCENES
    before, started = psutil.Process().memory_info().rss, time.process_time()
    table = pickle.loads(path.read_bytes())
    load_s, held = (time.process_time() - started) / TABLE_SCENES, psutil.Process().memory_info().rss - before
    del table
    started = time.process_time()
    import_table(path, folder / "again", vocabulary(), GTRS, RULES, ep_rule="gated")
    import_s = (time.process_time() - started) / TABLE_SCENES
    print(
        f"public table: loading costs every process {1e3 * load_s:.2f} ms and {held / TABLE_SCENES / 1e3:.0f} kB per "
        f"scene, {load_s * NAVTRAIN:.0f} s and {held / TABLE_SCENES * NAVTRAIN / 1e9:.1f} GB for navtrain\n"
        f"export {1e3 * export_s:.2f} ms, import {1e3 * import_s:.2f} ms per scene: "
        f"{export_s * NAVTRAIN:.0f} and {import_s * NAVTRAIN:.0f} s for navtrain"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=12_000)
    parser.add_argument("--out", type=Path, default=None, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    print(f"{machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    packing()
    sizes()
    with tempfile.TemporaryDirectory(dir=options.out) as name:
        folder = Path(name)
        repeated_store(folder / "store", vocabulary(), options.scenes, RULES)
        store = TeacherStore.open(folder / "store", vocabulary())
        reading(store)
        readers(store)
        public_table(store, folder)


if __name__ == "__main__":
    main()

"""Made-up answers of the scoring engine, true to its rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores, Terms
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import Protocol
from navforge.teacher import rows as taught
from navforge.teacher.packing import UNIT16, RowLayout
from navforge.teacher.rows import HALVES
from navforge.teacher.shards import Row, merge, shard_path, write_shard
from navforge.teacher.store import FORMAT
from navforge.vocabulary.vocabulary import Vocabulary

Float = NDArray[np.float64]


def entries_of(
    unfiltered: dict[str, Float],
    progress_m: Float,
    reference_m: float,
    rules: Protocol,
    forgiven: tuple[str, ...] = (),
) -> Scores[Any]:
    """What the engine would say of these sub-scores and this progress; its score by `scoring.aggregate` alone."""
    gates = aggregate.gate(unfiltered, rules)
    best = np.maximum(progress_m * gates, reference_m)
    values = {**unfiltered, EGO_PROGRESS.name: aggregate.normalised_progress(progress_m, gates, best, rules)}
    filtered = {name: np.ones_like(value) if name in forgiven else value for name, value in values.items()}
    scored = filtered if rules.filter_enters_score or not rules.human_filter else values
    never = np.full(len(progress_m), -1, np.int16)
    return Scores(
        protocol=rules.name,
        values=filtered,
        score=aggregate.score(scored, rules),
        progress_m=progress_m,
        collision_step=never,
        ttc_step=never,
        scored=scored,
        unfiltered=values,
        terms=Terms(reference_m, dict.fromkeys(forgiven, True)),
    )


def random_entries(
    rules: Protocol, count: int, seed: object, *, reference_m: float = 20.0, forgiven: tuple[str, ...] = ()
) -> Scores[Any]:
    """Entries drawn at random."""
    generator = np.random.default_rng(list(str(seed).encode()))
    unfiltered = {}
    for name in rules.columns:
        if name != EGO_PROGRESS.name:
            steps = (0.0, 0.5, 1.0) if name in HALVES else (0.0, 1.0)
            unfiltered[name] = generator.choice(steps, count, p=(0.2, 0.2, 0.6) if name in HALVES else (0.2, 0.8))
    return entries_of(unfiltered, 60 * generator.random(count), reference_m, rules, forgiven)


def repeated_store(out: Path, vocabulary: Vocabulary, scenes: int, rules: Protocol, *, different: int = 8) -> None:
    """A store of any size, quickly: a few random rows, again and again."""
    layout = taught.layout(rules, vocabulary.size, UNIT16)
    rows = []
    for seed in range(different):
        entries = random_entries(rules, vocabulary.size, seed)
        row = taught.pack(entries, rules, layout)
        rows.append(Row(row=row, rounding=taught.rounding(row, entries, rules, layout), best=1.0, mean=0.5))
    tokens = [f"{number:016x}" for number in range(scenes)]
    logs = {f"log_{part}": tuple(tokens[part::4]) for part in range(4)}
    for log, held in logs.items():
        write_shard(shard_path(out, log), "made", ((t, rows[n % different]) for n, t in enumerate(held)))
    merge(out, _header(vocabulary, scenes, rules, layout), logs, layout.row_bytes)


def store_of(out: Path, vocabulary: Vocabulary, rules: Protocol, scenes: dict[str, Scores[Any]]) -> None:
    """A store of these scenes, by token."""
    layout = taught.layout(rules, vocabulary.size, UNIT16)
    rows = []
    for token, entries in scenes.items():
        row = taught.pack(entries, rules, layout)
        rounded = taught.rounding(row, entries, rules, layout)
        rows.append((token, Row(row=row, rounding=rounded, best=1.0, mean=0.5)))
    write_shard(shard_path(out, "log"), "made", rows)
    merge(out, _header(vocabulary, len(scenes), rules, layout), {"log": tuple(scenes)}, layout.row_bytes)


def _header(vocabulary: Vocabulary, scenes: int, rules: Protocol, layout: RowLayout) -> dict[str, Any]:
    return {
        "fingerprint": "made",
        "format": FORMAT,
        "fingerprints": {"vocabulary": vocabulary.fingerprint, "cache": "cafe", "split": "some"},
        "protocol": rules.name,
        "taught": True,
        "columns": {name: {"encoding": encoding.name, "bits": encoding.bits} for name, encoding in layout.columns},
        "scenes": scenes,
        "entries": vocabulary.size,
    }

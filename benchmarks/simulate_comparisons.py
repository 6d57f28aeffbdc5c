"""Do the intervals and verdicts of `navforge compare` keep their word? Data sets with a known truth say.

Run from the repository: `python benchmarks/simulate_comparisons.py [--sets N]`. Scores are made up with the spreads of
the field (`tests/statistics/field.py`): bounded, a mass at 0, logs of unequal size, seeds with a standard deviation of
0.4 to 0.9 points. Per row:

- `covers`: share of data sets whose 95 % interval holds the true difference (goal 93 to 97);
- `logs only`: the same of the interval over logs of scores averaged over seeds, which leaves seeds out;
- `error`: standard deviation of the difference, in points;
- `detectable`: the difference in points that is to be found in 80 % of comparisons, computed from the true spreads;
- `power`: in how many it is found, when that is the true difference;
- `predicted`: the same from the spread that the data sets with this difference have (goal: within 5 of `power`);
- `family`: how often one of four comparisons with equal planners is called better or worse after Holm (goal at most 5).

A second table has planners whose seeds differ in spread or number.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import common
import numpy as np
from rich.table import Table

from navforge.core.screen import screen
from navforge.statistics.contrasts import Errors
from navforge.statistics.families import ALPHA, holm
from navforge.statistics.power import detectable, expected_errors, power
from tests.statistics.field import Field

LOGS = (4, 8, 20, 40, 136)
SEEDS = (1, 2, 3, 5)
SEED_SD = 0.65
UNEQUAL = (
    ("spreads 0.4 and 0.9", Field(logs=136, seeds=(3, 3), seed_sds=(0.4, 0.9), gains=(0.0, 0.0))),
    ("spreads 0.4 and 0.9", Field(logs=20, seeds=(3, 3), seed_sds=(0.4, 0.9), gains=(0.0, 0.0))),
    ("2 and 5 seeds, spread 0.9", Field(logs=136, seeds=(2, 5), seed_sds=(0.9, 0.9), gains=(0.0, 0.0))),
    ("second without seeds", Field(logs=136, seeds=(3, 1), seed_sds=(0.9, 0.0), gains=(0.0, 0.0))),
    ("spread 0.05", Field(logs=136, seeds=(3, 3), seed_sds=(0.05, 0.05), gains=(0.0, 0.0))),
    ("spread 2", Field(logs=136, seeds=(3, 3), seed_sds=(2.0, 2.0), gains=(0.0, 0.0))),
    ("one log holds a third", Field(logs=20, seeds=(3, 3), seed_sds=(0.65, 0.65), gains=(0.0, 0.0),
                                    log_sizes=(200, *[20] * 19))),
)  # fmt: skip


def covered(found: Errors) -> tuple[float, float]:
    """Shares of intervals that hold 0: both parts, logs only."""
    logs_only = dataclasses.replace(found, seed_variance=np.zeros_like(found.value))
    return float(np.mean(found.p() > ALPHA)), float(np.mean(logs_only.p() > ALPHA))


def true_errors(field: Field, null: Errors) -> Errors:
    """Errors with the spreads that the data sets have: of seeds as drawn, of logs as the rest of the variance."""
    planned = expected_errors(logs=field.logs, log_sd=0.0, seeds=field.seeds, seed_sds=field.seed_sds)
    rest = null.value.var() - planned.seed_variance
    return dataclasses.replace(planned, log_variance=np.maximum(rest, 0.0))


def rejected(field: Field, gain: float, rng: np.random.Generator, sets: int) -> tuple[float, float]:
    """Share of data sets in which a first planner better by `gain` is called better, and that predicted."""
    other = dataclasses.replace(field, gains=(gain / 2, -gain / 2))
    found = other.differences(other.draw(rng, sets))
    # Planners of different means spread differently: the prediction is for the spread that there is.
    predicted = power(gain, true_errors(other, found))
    return float(np.mean((found.p() <= ALPHA) & (found.value > 0))), predicted


def family(field: Field, rng: np.random.Generator, sets: int) -> float:
    """Share of data sets in which one of four equal planners differs from a fifth, after Holm."""
    five = dataclasses.replace(field, seeds=field.seeds[:1] * 5, seed_sds=field.seed_sds[:1] * 5, gains=(0.0,) * 5)
    sums = five.draw(rng, sets)
    p = np.stack([five.differences(sums, planner, 4).p() for planner in range(4)], axis=1)
    return float(np.mean([holm(row).min() <= ALPHA for row in p]))


def row(field: Field, rng: np.random.Generator, sets: int, *, with_family: bool) -> list[str]:
    null = field.differences(field.draw(rng, sets))
    covers, logs_only = covered(null)
    cells = [f"{100 * covers:.1f}", f"{100 * logs_only:.1f}", f"{null.value.std():.2f}"]
    if 1 in field.seeds and min(field.seed_sds) > 0:
        return [*cells, "", "", "", ""]
    effect = detectable(true_errors(field, null))
    met, predicted = rejected(field, effect, rng, sets)
    cells += [f"{effect:.2f}", f"{100 * met:.1f}", f"{100 * predicted:.1f}"]
    return [*cells, f"{100 * family(field, rng, sets // 2):.1f}" if with_family else ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000, help="data sets per number")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.perf_counter()
    rng = np.random.default_rng(args.seed)
    heads = ("covers %", "logs only", "error", "detectable", "power %", "predicted", "family %")
    equal, unequal = Table("logs", "seeds", *heads), Table("logs", "planners", *heads)
    for logs in LOGS:
        for seeds in SEEDS:
            field = Field(logs=logs, seeds=(seeds, seeds), seed_sds=(SEED_SD, SEED_SD), gains=(0.0, 0.0))
            equal.add_row(str(logs), str(seeds), *row(field, rng, args.sets, with_family=True))
    for words, field in UNEQUAL:
        unequal.add_row(str(field.logs), words, *row(field, rng, args.sets, with_family=False))
    console = screen(width=120)
    console.print(f"{args.sets} data sets per number (standard error of 95 %: {100 * (0.0475 / args.sets) ** 0.5:.1f})")
    console.print(equal)
    console.print(unequal)
    console.print(f"{time.perf_counter() - started:.0f} s; {common.machine()}")


if __name__ == "__main__":
    main()

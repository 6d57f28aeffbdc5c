"""Single wrong lines of the source, and whether the tests notice them.

Run from the repository: `python benchmarks/mutations.py [WORD ...] [--file YAML] [--limit SECONDS]`; words choose the
mutations whose name holds one of them. Each mutation of `mutations.yaml` is made in a copy of the checkout, never in
the checkout itself, and the test files named with it run there, without the shared data, until a test fails. A mutation
that survives is a line that can be wrong today without a red test. Needs a suite that passes: a test that fails anyway
would seem to notice everything.

Compiled kernels of the checkout come along with the copy, so that only what the mutation touches is compiled again.
The exit status is 1 if a mutation survived, and 2 if one no longer applies or its tests did not run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
MUTATIONS = Path(__file__).with_suffix(".yaml")
PACKAGE = Path("src", "navforge")
LEFT_OUT = {".git", ".venv", ".pytest_cache", ".ruff_cache", "runs"}
"""Folders of the checkout that no test needs; `runs` is also the name of a package."""
KILLED, SURVIVED, TIMED_OUT, BROKEN = "killed", "SURVIVED", "timed out", "BROKEN"
PASSED, FAILED = 0, 1
"""Exit statuses of pytest."""
PROGRAM = """
import sys, pytest, navforge
copy = sys.argv[1]
if not navforge.__file__.startswith(copy):
    sys.exit(f"imported {navforge.__file__}, which does not lie in {copy}")
sys.exit(pytest.main(sys.argv[2:]))
"""


class MutationError(Exception):
    """A mutation that cannot be tried."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One wrong line; fields as at the head of `mutations.yaml`."""

    name: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Make it in a checkout.

        Raises:
            MutationError: its text is not there exactly once, or a test file is missing.
        """
        path = root / PACKAGE / self.file
        source = path.read_text(encoding="utf-8") if path.is_file() else None
        count = 0 if source is None else source.count(self.text)
        if source is None or count != 1:
            where = f"{self.file} holds its text {count} times" if source is not None else f"there is no {self.file}"
            raise MutationError(f"{self.name}: no longer applies: {where}; correct it in {MUTATIONS.name}")
        if missing := [test for test in self.tests if not (root / test).is_file()]:
            raise MutationError(f"{self.name}: there is no {', '.join(missing)}")
        path.write_text(source.replace(self.text, self.replacement), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a mutation."""

    verdict: str
    seconds: float
    by: str = ""
    """The first test that failed, or the last lines of a run that broke."""


def read(path: Path) -> list[Mutation]:
    """The mutations of a YAML file.

    Raises:
        MutationError: an entry has other fields, changes nothing or bears the name of another.
    """
    found: list[Mutation] = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        values: dict[str, Any] = dict(entry)
        tests = values.get("tests", ())
        values["tests"] = (tests,) if isinstance(tests, str) else tuple(tests)
        try:
            mutation = Mutation(**values)
        except TypeError as error:
            raise MutationError(f"{values.get('name', entry)}: {error}") from error
        if mutation.text == mutation.replacement or not mutation.tests:
            raise MutationError(f"{mutation.name}: changes nothing or names no tests")
        if mutation.name in {other.name for other in found}:
            raise MutationError(f"two mutations are called {mutation.name!r}")
        found.append(mutation)
    return found


def _left_out(folder: str, names: list[str]) -> set[str]:
    return LEFT_OUT & set(names) if Path(folder) == ROOT else set()


def attempt(mutation: Mutation, limit_s: float) -> Outcome:
    """Make a mutation in a copy of the checkout and run its tests there.

    Raises:
        MutationError: it cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="navforge-mutation-") as scratch:
        copy = Path(scratch).resolve() / "checkout"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=_left_out)
        mutation.apply(copy)
        words = ["-n0", "-x", "-q", "-rfE", "--no-header", "--color=no", "-p", "no:cacheprovider", *mutation.tests]
        environment = {
            **os.environ,
            "PYTHONPATH": str(copy / "src"),
            "NAVFORGE_TEST_DATA": str(Path(scratch) / "no data"),
        }
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(copy), *words],
            cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output = process.communicate(timeout=limit_s)[0]
        except subprocess.TimeoutExpired:
            return Outcome(verdict=TIMED_OUT, seconds=limit_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - started
    if process.returncode == FAILED:
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
        return Outcome(verdict=KILLED, seconds=seconds, by=failed[1] if failed else "")
    if process.returncode == PASSED:
        return Outcome(verdict=SURVIVED, seconds=seconds, by=" ".join(mutation.tests))
    return Outcome(verdict=BROKEN, seconds=seconds, by="\n".join(output.splitlines()[-8:]))


def show(outcomes: dict[str, Outcome]) -> None:
    """Print the table."""
    table = Table(title=f"{len(outcomes)} mutations", title_justify="left")
    for head in ("mutation", "verdict", "s", "first test that failed"):
        table.add_column(head, justify="right" if head == "s" else "left", overflow="fold")
    for name, outcome in outcomes.items():
        table.add_row(name, outcome.verdict, f"{outcome.seconds:.0f}", outcome.by.removeprefix("tests/"))
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table)
    for verdict in (KILLED, SURVIVED, TIMED_OUT, BROKEN):
        count = sum(outcome.verdict == verdict for outcome in outcomes.values())
        if count:
            print(f"{verdict}: {count}")


def main() -> int:
    """Try the mutations and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutations whose name holds one of these")
    parser.add_argument("--file", type=Path, default=MUTATIONS, help="the mutations")
    parser.add_argument("--limit", type=float, default=600.0, metavar="SECONDS", help="for the tests of one mutation")
    options = parser.parse_args()
    outcomes: dict[str, Outcome] = {}
    errors: list[str] = []
    try:
        mutations = read(options.file)
    except MutationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for mutation in mutations:
        if options.words and not any(word in mutation.name for word in options.words):
            continue
        try:
            outcomes[mutation.name] = outcome = attempt(mutation, options.limit)
        except MutationError as error:
            errors.append(str(error))
            continue
        print(f"{outcome.verdict:9}  {outcome.seconds:4.0f} s  {mutation.name}", flush=True)
    show(outcomes)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    verdicts = {outcome.verdict for outcome in outcomes.values()}
    return 2 if errors or BROKEN in verdicts else int(bool(verdicts - {KILLED}))


if __name__ == "__main__":
    sys.exit(main())

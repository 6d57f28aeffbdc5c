"""The mechanism by itself, on a product of small text files; `tests/e2e/test_build.py` has the real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from navforge.core.build import Piece, Processes, Report, Result, build, make_elsewhere
from navforge.core.errors import DataError
from navforge.core.failures import FAILURES, SceneFailures
from navforge.core.parallel import Outcome
from navforge.core.products import Product

WORDS = Product("a box of words", "words.json", "writing", "written")


@dataclass(frozen=True, kw_only=True)
class Word(Piece[str]):
    """A file with the word and its length; a word with a question mark fails."""

    product = WORDS
    text: str

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}.txt"

    @property
    def key(self) -> str:
        return self.text

    def code_here(self) -> str:
        return "code"

    def check(self) -> Result[str]:
        word, _, length = self.path.read_text().partition(" ")
        if str(len(word)) != length:
            raise DataError("it is damaged")
        if word != self.text:
            raise DataError("the word changed")
        return Result(word, 1, self.path.stat().st_size)

    def make(self) -> Result[str]:
        failures = SceneFailures(self.name)
        with failures.of("scene"):
            if "?" in self.text:
                raise DataError(f"{self.text} is a question")
        failures.require_none()
        with self.writing() as path:
            path.write_text(f"{self.text} {len(self.text)}")
            if "!" in self.text:
                raise OSError(28, "No space left on device")
        return Result(self.text, 1, self.path.stat().st_size)


def write(out: Path, executor: Any = None, **words: str) -> Report[str]:
    pieces = [Word(name=name, scenes=1, out=out, code="code", text=text) for name, text in words.items()]

    def publish(entries: Mapping[str, str]) -> None:
        assert not (out / FAILURES).exists() and list(entries) == list(words)
        (out / WORDS.manifest).write_text(json.dumps(entries))

    return build(pieces, publish, executor=executor or Processes(1), workers=1)


def manifest(out: Path) -> dict[str, str]:
    return json.loads((out / WORDS.manifest).read_text())


def test_what_is_whole_is_kept_and_the_reasons_for_the_rest_are_said(tmp_path: Path) -> None:
    first = write(tmp_path, a="apple", b="bread", c="cheese")
    assert first.complete and dict(first.reasons) == dict.fromkeys("abc", "new")
    kept = (tmp_path / "a.txt").stat().st_mtime_ns
    (tmp_path / "b.txt").write_text("brea 5")
    second = write(tmp_path, a="apple", b="bread", c="chalk", d="dough")
    assert dict(second.reasons) == {"b": "it is damaged", "c": "the word changed", "d": "new"}
    assert (tmp_path / "a.txt").stat().st_mtime_ns == kept and list(second.results) == list("abcd")
    assert manifest(tmp_path) == {"a": "apple", "b": "bread", "c": "chalk", "d": "dough"}
    said = second.describe().splitlines()
    assert said[0].startswith(f"{tmp_path}: 3 scenes written, 1 kept, 0 failed in ")
    assert said[2:] == ["rebuilt b: it is damaged", "rebuilt c: the word changed"]


def test_the_order_in_which_pieces_are_made_changes_nothing(tmp_path: Path) -> None:
    def backwards(pieces: Sequence[Piece[Any]], label: str) -> Iterator[Outcome[Piece[Any], Result[Any]]]:
        assert label == "writing"
        return Processes(1)(pieces[::-1], label)

    assert list(write(tmp_path, backwards, a="apple", b="bread").results) == ["a", "b"]


@pytest.mark.parametrize("wrong", ["why?", "full!"])
def test_a_run_that_replaces_nothing_leaves_the_earlier_product_as_it_was(tmp_path: Path, wrong: str) -> None:
    write(tmp_path, a="apple", b="bread")
    (tmp_path / "a.txt").touch()
    report = write(tmp_path, a="apple", b=wrong, c="cheese")
    assert not report.complete and report.failed_scenes == 1
    assert manifest(tmp_path) == {"a": "apple", "b": "bread"} and (tmp_path / "b.txt").read_text() == "bread 5"
    assert (tmp_path / "c.txt").exists() and not list(tmp_path.glob("*.partial"))
    assert json.loads((tmp_path / FAILURES).read_text())[0]["log_name"] == "b"
    text = str(report.error(", or give up"))
    assert text.startswith(f"1 of 3 scenes could not be written (tracebacks: {tmp_path / FAILURES}):\n")
    assert f"\n{tmp_path} holds what it held before; " in text
    assert text.endswith(
        f"make room on the disk of {tmp_path} and run the command again"
        if wrong == "full!"
        else "remove the causes and run the command again, or give up"
    )
    assert write(tmp_path, a="apple", b="bread", c="cheese").complete and not (tmp_path / FAILURES).exists()


def test_the_manifest_goes_before_the_first_file_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, a="apple", b="bread")
    report = write(tmp_path, a="acorn", b="why?")
    assert not (tmp_path / WORDS.manifest).exists()
    assert f"{tmp_path} is not complete and cannot be opened, its whole files are kept; " in str(report.error())
    again = write(tmp_path, a="acorn", b="bread")
    assert again.complete and not again.reasons, "the file of b was never replaced, that of a is kept"


def test_a_piece_without_a_result_is_a_failure_of_all_its_scenes(tmp_path: Path) -> None:
    def dies(pieces: Sequence[Piece[Any]], label: str) -> Iterator[Outcome[Piece[Any], Result[Any]]]:
        yield Outcome(pieces[0], None, "the worker died", "")
        yield from Processes(1)(pieces[1:], label)

    report = write(tmp_path, dies, a="apple", b="bread")
    assert [(failure.token, failure.log_name, failure.error) for failure in report.failures] == [
        (None, "a", "the worker died")
    ]
    assert report.failed_scenes == 1 and report.results["b"].entry == "bread"


def test_another_machine_refuses_to_make_a_piece_by_other_code(tmp_path: Path) -> None:
    piece = Word(name="a", scenes=1, out=tmp_path, code="code", text="apple")
    assert make_elsewhere(piece).entry == "apple"
    with pytest.raises(DataError, match="install the same navforge on all nodes"):
        make_elsewhere(replace(piece, code="other"))

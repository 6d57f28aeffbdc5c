"""What the restricted unpickler admits, and that nothing else gets through."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from navforge.core.errors import DataError
from navforge.data import pickles


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def save(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


PLAIN = {
    "text": "abc",
    "numbers": [1, -(2**70), 2.5, True, None, 1 + 2j],
    "bytes": b"\x00\xff",
    "no bytes": b"",
    "bytearray": bytearray(b"\x80a"),
    "nested": {"a": (1, [2, {"b": {3, 4}}])},
    "ordered": OrderedDict(x=1),
    "array": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "texts": np.array(["vehicle", "pedestrian"]),
    "empty": np.zeros((0, 7), np.float32),
    "scalar": np.float64(1.5),
    "objects": np.array(["a", None, 3], dtype=object),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_survive_every_protocol(tmp_path: Path, protocol: int) -> None:
    found = pickles.load(save(tmp_path / "a.pkl", PLAIN, protocol))
    assert found.keys() == PLAIN.keys()
    for name, value in PLAIN.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype
        else:
            assert found[name] == value
            assert type(found[name]) is type(value)


def test_module_names_of_old_and_new_numpy(tmp_path: Path) -> None:
    content = pickle.dumps(np.arange(3.0), protocol=2)
    assert b"numpy._core.multiarray" in content
    (tmp_path / "old.pkl").write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_array_equal(pickles.load(tmp_path / "old.pkl"), [0, 1, 2])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Calls(os.system, "touch HACKED"), r"(posix|nt|os)\.system"),
        (Calls(builtins.eval, "open('HACKED', 'w')"), r"_?_?builtins?_?_?\.eval"),
        (Calls(getattr, np.zeros(1), "tofile"), r"_?_?builtins?_?_?\.getattr"),
        (Calls(subprocess.Popen, ["touch", "HACKED"]), r"(subprocess|commands)\.Popen"),
        (Calls(np.load, "x.npy"), r"numpy\.load"),
        (Calls(np.savetxt, "HACKED", [1.0]), r"numpy\.savetxt"),
        (Calls(np.memmap, "HACKED", "u1", "w+", 0, (4,)), r"numpy\.memmap"),
        (Calls(io.open, "HACKED", "w"), r"(io|_io)\.open"),
        (Path("x"), r"pathlib"),
        (np.array([Calls(os.system, "touch HACKED")], dtype=object), r"system"),
        ({"deep": [({"x": Calls(os.system, "touch HACKED")},)]}, r"system"),
        (torch.zeros(2), r"torch"),
        (torch.zeros(2).untyped_storage(), r"torch"),
        (np.ma.masked_array([1.0]), r"numpy\.ma"),
        (DataError("x"), r"navforge\.core\.errors\.DataError"),
        (np.random.default_rng(0), r"numpy\.random"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_other_globals_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "evil.pkl", value, protocol)
    with pytest.raises(DataError, match=rf"evil\.pkl: refused: the pickle names \S*{name}"):
        pickles.load(path)
    assert not (tmp_path / "HACKED").exists()


def test_text_opcodes_cannot_reach_a_global_either(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match=r"names os\.system"):
        pickles.load(path)
    path.write_bytes(b"(S'true'\nios\nsystem\n.")
    with pytest.raises(DataError, match=r"names os\.system"):
        pickles.load(path)
    path.write_bytes(b"Pstorage\n.")
    with pytest.raises(DataError, match="outside storage"):
        pickles.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray\n(I1000000000\ntR.",  # would allocate
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000\ntS'b'\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'zlib_codec'\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'latin1'\ntR(dS'a'\nI1\nsb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(NS'x'\nI1\nsb.",
        b"cbuiltins\nbytearray\n(I1000000000\ntR.",
        b"cbuiltins\nbytes\n(N(dS'_kind'\nI1\nstb(S'x'\ntR.",
    ],
)
def test_admitted_globals_cannot_be_misused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"evil\.pkl"):
        pickles.load(path)


@pytest.mark.parametrize("content", [b"cnumpy\nndarray\n.", b"cnumpy.core.multiarray\nscalar\n.", b"cbuiltins\nset\n."])
def test_a_bare_global_is_no_value(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="refused: a "):
        pickles.load(path)


def test_structured_arrays_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pkl", np.zeros(2, [("a", "f8"), ("b", "i4")]))
    with pytest.raises(DataError, match=r"a\.pkl"):
        pickles.load(path)


@pytest.mark.parametrize("name", [b"numpy\ndtype", b"numpy\nndarray", b"builtins\nbytes", b"_codecs\nencode"])
def test_guards_keep_no_state_between_files(tmp_path: Path, name: bytes) -> None:
    # BUILD on a guard must fail, or one file could change how the next is read.
    path = tmp_path / "evil.pkl"
    for state in (b"(dS'_kind'\nI1\ns", b"(N(dS'_kind'\nI1\nst", b"(N(dS'__call__'\nI1\nst"):
        path.write_bytes(b"c" + name + b"\n" + state + b"b.")
        with pytest.raises(DataError, match="no complete pickle"):
            pickles.load(path)


def test_deep_nesting_and_cycles(tmp_path: Path) -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    found = pickles.load(save(tmp_path / "cycle.pkl", cycle))
    assert found[1] is found
    (tmp_path / "deep.pkl").write_bytes(b"]" * 50_000 + b"a" * 49_999 + b".")
    assert isinstance(pickles.load(tmp_path / "deep.pkl"), list)


def test_truncated_file_is_named_at_any_length(tmp_path: Path) -> None:
    content = pickle.dumps(PLAIN)
    path = tmp_path / "cut.pkl"
    for length in range(0, len(content) - 1, 37):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"cut\.pkl is no complete pickle"):
            pickles.load(path)


def test_garbage_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "garbage.pkl"
    for _ in range(300):
        path.write_bytes(random.integers(0, 256, 200).astype(np.uint8).tobytes())
        try:
            pickles.load(path)  # a few bytes can be a whole plain pickle
        except DataError as error:
            assert "garbage.pkl" in str(error)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pkl cannot be read"):
        pickles.load(tmp_path / "none.pkl")

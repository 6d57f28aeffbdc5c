"""What the restricted unpickler admits, and that nothing else gets through."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
import sys
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


ARRAYS = [
    np.arange(4, dtype=code).reshape(2, 2) for code in ("i1", "u2", "<i4", ">u8", "f2", "<f4", ">f8", "<c8", "c16")
] + [
    np.array([True, False]),
    np.array([b"ab", b""]),
    np.array([["vehicle", "\U0001f6b2"], ["", "\xe4"]], ">U7"),
    np.array(3.5),
    np.zeros((3, 0, 2), "S4"),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([[None, "a"], [np.arange(2), {"b": np.ones(1)}]], dtype=object),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_arrays_are_as_numpy_reads_them(tmp_path: Path, array: np.ndarray[Any, Any], protocol: int) -> None:
    found = pickles.load(save(tmp_path / "a.pkl", [array], protocol))[0]
    assert type(found) is np.ndarray
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.writeable
    assert found.flags.f_contiguous == array.flags.f_contiguous
    assert repr(found.tolist()) == repr(array.tolist())


@pytest.mark.parametrize(
    "value", [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("ab"), np.str_(""), np.bytes_(b"x")]
)
def test_scalars_keep_their_type(tmp_path: Path, value: Any) -> None:
    found = pickles.load(save(tmp_path / "a.pkl", value))
    assert type(found) is type(value)
    assert found == value


def test_arrays_are_found_in_every_kind_of_container_and_stay_shared(tmp_path: Path) -> None:
    array, nested = np.arange(3.0), (1, (np.arange(3.0),))
    value = {"l": [array], "t": (array, nested), "o": OrderedDict(a=array, n=nested), "a": array, "same": ((1, 2), "x")}
    found = pickles.load(save(tmp_path / "a.pkl", value))
    assert found["l"][0] is found["t"][0] is found["o"]["a"] is found["a"]
    assert found["t"][1] is found["o"]["n"]
    np.testing.assert_array_equal(found["t"][1][1][0], [0, 1, 2])
    np.testing.assert_array_equal(pickles.load(save(tmp_path / "b.pkl", array)), array)
    assert found["same"] == value["same"]


def dtype_state(order: Any = "<", size: Any = -1, align: Any = -1, flags: Any = 0, **parts: Any) -> tuple[Any, ...]:
    return (3, order, parts.get("subdtype"), parts.get("names"), parts.get("fields"), size, align, flags)


DANGEROUS_DTYPES = {
    "datetime": ("M8[s]", dtype_state(size=8)),
    "timedelta": ("m8[s]", dtype_state(size=8)),
    "datetime units": ("M8", (4, "<", None, None, None, -1, -1, 0, (None, (b"s", 1, 1, 1)))),
    "all flags": ("S8", dtype_state("|", 8, 1, 63)),
    "objects in bytes": ("S8", dtype_state("|", 8, 1, 1)),
    "half a character": ("U2", dtype_state("<", 3, 4, 8)),
    "wrong size": ("S8", dtype_state("|", 2**30, 1, 0)),
    "negative size": ("S8", dtype_state("|", -8, 1, 0)),
    "pointers": (">f8", dtype_state(">", flags=2)),
    "number with flags": ("f8", dtype_state(flags=2)),
    "fields": ("f8", dtype_state(names=("a",), fields={"a": (np.dtype("O"), 0)})),
    "sub-array": ("f8", dtype_state(subdtype=(np.dtype("f8"), (2**40,)))),
    "metadata": ("f8", (4, "<", None, None, None, -1, -1, 0, {"a": 1})),
    "byte order": ("f8", dtype_state("x")),
    "a list": ("f8", [3, "<", None, None, None, -1, -1, 0]),
    "version": ("f8", (10**30, "<", None, None, None, -1, -1, 0)),
    "objects without flags": ("O8", dtype_state("|", flags=0)),
    "structure": ("V8", dtype_state("|", 8, 1, 0)),
}

READS = """
import sys
from navforge.core.errors import DataError
from navforge.data import pickles
for path in sys.argv[1:]:
    try:
        print("loaded", repr(pickles.load(path)))
    except DataError as error:
        print("refused", error)
"""


def outcomes(*paths: Path) -> list[str]:
    """What reading the files in a process of its own printed, a line each; a process that dies fails the test."""
    command = [sys.executable, "-c", READS, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout.splitlines()


class Array:
    """Pickles as an array of given state."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state  # pyright: ignore[reportAttributeAccessIssue]


class Dtype:
    """Pickles as a dtype of given state."""

    def __init__(self, code: str, state: Any) -> None:
        self.code, self.state = code, state

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, (self.code, False, True), self.state


def test_states_of_dtypes_that_numpy_would_not_survive(tmp_path: Path) -> None:
    scalar = np._core.multiarray.scalar  # pyright: ignore[reportAttributeAccessIssue]
    evil: list[Any] = []
    for code, state in DANGEROUS_DTYPES.values():
        dtype = Dtype(code, state)
        evil += [Array(1, (1,), dtype, False, b"A" * 8), Calls(scalar, dtype, b"A" * 8), dtype]
    paths = [save(tmp_path / f"{index}.pkl", [value]) for index, value in enumerate(evil)]
    found = outcomes(*paths)
    assert len(found) == len(paths)
    assert all(line.startswith("refused ") for line in found), [line for line in found if "loaded" in line]


F8 = Dtype("f8", dtype_state())


@pytest.mark.parametrize(
    "value",
    [
        Array(1, (2,), F8, False, b"A" * 8),
        Array(1, (2**62, 4), F8, False, b""),
        Array(1, (-1,), F8, False, b"A" * 8),
        Array(1, (1.0,), F8, False, b"A" * 8),
        Array(1, 1, F8, False, b"A" * 8),
        Array(1, (1,) * 70, F8, False, b"A" * 8),
        Array(2, (1,), F8, False, b"A" * 8),
        Array(1, (1,), F8, False, [1.0]),
        Array(1, (1,), F8, False, np.zeros(1)),
        Array(1, (1,), "f8", False, b"A" * 8),
        Array(1, (1,), np.dtype("O"), False, b"A" * 8),
        Array(1, (2,), np.dtype("O"), False, [None]),
        Array(1, (2**60,), Dtype("U0", dtype_state("<", 0, 4, 8)), False, b""),
        Array(1, (1,), np.dtype("U1"), False, b"\xff" * 4),
        Array(1, (1,)),
    ],
    ids=lambda value: repr(value.state)[:40],
)
def test_states_of_arrays_that_do_not_fit(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"evil\.pkl is not a complete pickle"):
        pickles.load(save(tmp_path / "evil.pkl", {"a": value}))


def test_arrays_without_a_state_or_with_two(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    empty = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    state = b"(I1\n(I0\ntcnumpy\ndtype\n(S'f8'\ntRI00\nc_codecs\nencode\n(S''\ntRtb"
    path.write_bytes(empty + state + b".")
    assert pickles.load(path).shape == (0,)
    for content in (empty + b".", b"]" + empty + b"a.", empty + state + state + b"."):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a complete pickle"):
            pickles.load(path)


def test_arrays_nested_deeply_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    start = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    start += b"(I1\n(I1\ntcnumpy\ndtype\n(S'O'\ntRI00\n]"
    path = tmp_path / "deep.pkl"
    path.write_bytes(start * 100_000 + b"N" + b"atb" * 100_000 + b".")
    assert "nested deeper" in outcomes(path)[0]
    path.write_bytes(b"(" * 100_000 + b"t" * 100_000 + b".")
    assert "nested deeper" in outcomes(path)[0]


def test_attributes_of_ordered_dictionaries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"ccollections\nOrderedDict\n(tR(dS'keys'\nI1\nsb.")
    with pytest.raises(DataError, match="OrderedDict with attributes"):
        pickles.load(path)


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
        with pytest.raises(DataError, match="not a complete pickle"):
            pickles.load(path)


def test_deep_nesting_and_cycles_are_refused(tmp_path: Path) -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    with pytest.raises(DataError, match=r"cycle\.pkl.*a value holds itself"):
        pickles.load(save(tmp_path / "cycle.pkl", cycle))
    (tmp_path / "deep.pkl").write_bytes(b"]" * 50_000 + b"a" * 49_999 + b".")
    with pytest.raises(DataError, match=r"deep\.pkl.*nested deeper than 64 levels"):
        pickles.load(tmp_path / "deep.pkl")


def test_truncated_file_is_named_at_any_length(tmp_path: Path) -> None:
    content = pickle.dumps(PLAIN)
    path = tmp_path / "cut.pkl"
    for length in range(0, len(content) - 1, 37):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"cut\.pkl is (not a complete pickle|empty)"):
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
    with pytest.raises(DataError, match=r"none\.pkl not found"):
        pickles.load(tmp_path / "none.pkl")

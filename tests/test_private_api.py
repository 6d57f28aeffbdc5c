"""Every use of what the authors of another package may change without notice: what, where, and that it is there.

A release that lacks one of these fails here by name, instead of somewhere in a score or a training run. Each package
has an upper bound in pyproject.toml; torch is pinned.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import navforge

SOURCE = Path(navforge.__file__).parent


class Use(NamedTuple):
    """One use: the distribution (None: Python itself), our file, words that the file must hold, what must be true."""

    distribution: str | None
    file: str
    text: str
    is_there: Callable[[], Any]


def attribute(path: str) -> Any:
    """The value of `package.module:Name.attribute`; raises if a part of it is gone."""
    module, _, names = path.partition(":")
    value: Any = importlib.import_module(module)
    for name in names.split(".") if names else ():
        value = getattr(value, name)
    return value


def _has(*paths: str) -> Callable[[], bool]:
    return lambda: all(attribute(path) is not None for path in paths)


def _takes(path: str, parameter: str) -> Callable[[], bool]:
    return lambda: parameter in inspect.signature(attribute(path)).parameters


def _disk_cache_has_a_version() -> bool:
    from numba import njit  # noqa: PLC0415

    def double(x):  # type: ignore[no-untyped-def]
        return 2 * x

    cache_file = njit(cache=True)(double)._cache._cache_file
    before = cache_file._version
    assert isinstance(before, str)
    assert "self._version" in inspect.getsource(type(cache_file)._load_index)
    return True


def _kernels_without_reference_counts_may_not_allocate() -> bool:
    import numpy as np  # noqa: PLC0415
    from numba import njit  # noqa: PLC0415

    with pytest.raises(Exception, match="nrt required"):
        njit(_nrt=False)(lambda: np.empty(3))()
    return True


def _loader_workers_are_processes() -> bool:
    from torch.utils.data import DataLoader  # noqa: PLC0415

    iterator: Any = iter(DataLoader([1, 2], num_workers=1))
    return [type(worker.pid) for worker in iterator._workers] == [int]


def _shared_storage_has_its_bytes() -> bool:
    import torch  # noqa: PLC0415

    return torch.UntypedStorage._new_shared(8).nbytes() == 8


def _ray_takes_an_address() -> bool:
    return "_node_ip_address" in inspect.getsource(attribute("ray:init"))


def _semaphores_take_the_prefix() -> bool:
    code = (
        "from multiprocessing import process, synchronize; process.current_process()._config['semprefix'] = '/mine'; "
        "assert synchronize.SemLock._make_name().startswith('/mine-')"
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _unpickler_is_python() -> bool:
    reader: Any = pickle._Unpickler  # type: ignore[attr-defined]
    source = inspect.getsource(reader)
    used = ("self.metastack", "self.stack", "self.memo", "def pop_mark")
    return all(word in source for word in used) and pickle.SETITEMS[0] in reader.dispatch


def _precision_can_unscale() -> bool:
    from lightning_fabric.plugins.precision import MixedPrecision, Precision  # noqa: PLC0415

    return MixedPrecision("16-mixed", "cpu").scaler is not None and callable(Precision.unscale_gradients)


USES = (
    Use("numba", "geometry/compiled.py", "_cache_file._version", _disk_cache_has_a_version),
    Use("numba", "geometry/compiled.py", '"_nrt"', _kernels_without_reference_counts_may_not_allocate),
    Use("numba", "geometry/lanes.py", "cgutils.get_item_pointer", _has("numba.core.cgutils:get_item_pointer")),
    Use("numba", "geometry/lanes.py", "cgutils.unpack_tuple", _has("numba.core.cgutils:unpack_tuple")),
    Use(
        "numba",
        "geometry/lane_types.py",
        "cgutils.get_or_insert_function",
        _has("numba.core.cgutils:get_or_insert_function"),
    ),
    Use(
        "numba",
        "geometry/lane_types.py",
        "castgraph import Conversion",
        _has("numba.core.typeconv.castgraph:Conversion"),
    ),
    Use(
        "numba",
        "geometry/lane_types.py",
        "AbstractTemplate, infer_global, signature",
        _has(*(f"numba.core.typing.templates:{name}" for name in ("AbstractTemplate", "infer_global", "signature"))),
    ),
    Use("numba-cuda", "geometry/cuda.py", '"compile_ptx"', _takes("numba.cuda:compile_ptx", "cc")),
    Use(
        "numba-cuda",
        "geometry/cuda.py",
        "nvvm.compile_ir",
        _takes("numba.cuda.cudadrv.nvvm:compile_ir", "options"),
    ),
    Use(
        "numba-cuda",
        "geometry/cuda.py",
        "dispatcher.get_current_device",
        _has("numba.cuda.dispatcher:get_current_device"),
    ),
    Use("numba-cuda", "geometry/cuda.py", "NVVM().get_version", _has("numba.cuda.cudadrv.nvvm:NVVM.get_version")),
    Use("lightning-fabric", "training/loop/stepper.py", "precision.unscale_gradients", _precision_can_unscale),
    Use("lightning-fabric", "training/loop/stepper.py", 'precision, "scaler"', _precision_can_unscale),
    Use("timm", "models/encoders/vovnet.py", "create_attn", _has("timm.layers.create_attn:create_attn")),
    Use("timm", "models/encoders/vovnet.py", "OsaBlock", _has("timm.models.vovnet:OsaBlock")),
    Use(
        "timm",
        "training/ranks/strategy.py",
        "vision_transformer.Block",
        _has("timm.models.vision_transformer:Block"),
    ),
    Use("torch", "preflight/loading.py", "iterator._workers", _loader_workers_are_processes),
    Use("torch", "training/loop/loaders.py", '"_workers"', _loader_workers_are_processes),
    Use(
        "torch",
        "training/ranks/rendezvous.py",
        "torch._C._distributed_c10d import PrefixStore, Store, TCPStore",
        _has(*(f"torch._C._distributed_c10d:{name}" for name in ("PrefixStore", "Store", "TCPStore"))),
    ),
    Use("torch", "inputs/dataset.py", "UntypedStorage._new_shared", _shared_storage_has_its_bytes),
    Use(
        "torch",
        "preflight/stepping.py",
        "torch._subclasses.fake_tensor import FakeTensorMode",
        _takes("torch._subclasses.fake_tensor:FakeTensorMode", "allow_non_fake_inputs"),
    ),
    Use(
        "torch",
        "preflight/stepping.py",
        "torch.utils._pytree import tree_map_only",
        _has("torch.utils._pytree:tree_map_only"),
    ),
    Use(
        "ray",
        "core/ray_pool.py",
        '"_node_ip_address"',
        _ray_takes_an_address,
    ),
    Use(None, "core/semaphores.py", '_config["semprefix"]', _semaphores_take_the_prefix),
    Use(None, "data/pickle_stream.py", "pickle._Unpickler", _unpickler_is_python),
)


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.distribution or 'python'}: {use.file}: {use.text}")
def test_what_is_used_is_there(use: Use) -> None:
    assert use.text in (SOURCE / use.file).read_text(), "no longer used: take it out of USES"
    if use.distribution in ("ray", "numba-cuda"):  # an extra; Linux only
        pytest.importorskip({"ray": "ray", "numba-cuda": "numba.cuda"}[use.distribution])
    assert use.is_there()


def test_every_package_has_an_upper_bound() -> None:
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    stated = [
        *project["dependencies"],
        *(word for words in project["optional-dependencies"].values() for word in words),
    ]
    for distribution in {use.distribution for use in USES} - {None}:
        lines = [line for line in stated if line.split(">")[0].split("=")[0].split("[")[0] == distribution]
        assert lines and all("<" in line or "==" in line for line in lines), f"{distribution} has no upper bound"


def private_names(tree: ast.Module, own: set[str]) -> set[str]:
    """Names with one leading underscore that code reads of other packages: attributes, imports, `getattr`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("navforge"):
            found.update([*node.module.split("."), *(alias.name for alias in node.names)])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr"):
            found.update(word.value for word in node.args[1:2] if isinstance(word, ast.Constant))
    return {name for name in found if name.startswith("_") and not name.startswith("__")} - own - PUBLIC


PUBLIC = {"_fields", "_replace", "_asdict", "_exit"}
"""Documented in spite of their underscore: named tuples, `os._exit`."""


def own_names(trees: list[ast.Module]) -> set[str]:
    """What navforge itself defines: functions, classes, variables, attributes of `self`."""
    names: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif ast.unparse(node.value) in ("self", "cls"):
                names.add(node.attr)
    return names


def test_no_private_name_is_used_that_is_not_listed() -> None:
    trees = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}
    own = own_names(list(trees.values()))
    for file, tree in trees.items():
        listed = " ".join(use.text for use in USES if use.file == file)
        missing = {name for name in private_names(tree, own) if name not in listed and name != "_cache"}
        assert not missing, f"{file} uses {missing}: list it in USES, or use what is public"


def test_a_private_name_is_noticed() -> None:
    tree = ast.parse("import x\nfrom torch._C import y\nx._hidden\nself._mine\nself._mine = 1\ngetattr(x, '_secret')\n")
    assert private_names(tree, own_names([tree])) == {"_C", "_hidden", "_secret"}

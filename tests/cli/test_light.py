"""Help and errors of keys load neither torch nor compiled code, whatever the verb; jobs never does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from navforge.cli.main import VERBS
from navforge.runs.folder import RunFolder

HEAVY = {
    "torch",
    "numba",
    "llvmlite",
    "lightning_fabric",
    "timm",
    "scipy",
    "polars",
    "pyarrow",
    "shapely",
    "matplotlib",
    "sklearn",
    "cv2",
    "PIL",
}
CODE = """
import contextlib, io, json, sys
from navforge.cli.main import main
heavy, results = set(json.loads(sys.argv[1])), []
for command in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(command)
    results.append([status, out.getvalue() + err.getvalue(), sorted(heavy & set(sys.modules))])
print(json.dumps(results))
"""


def run(commands: list[list[str]]) -> list[tuple[int, str, list[str]]]:
    """Status, what was printed and which heavy packages were loaded by then, of commands one after the other."""
    words = [sys.executable, "-c", CODE, json.dumps(sorted(HEAVY)), json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [tuple(result) for result in json.loads(done.stdout)]


def test_help_and_a_wrong_key_of_every_verb() -> None:
    helps = [[*verb.split(), "--help"] for verb in VERBS]
    wrong = [[*verb.split(), "agent=ego_mlp", "no_such_key=1"] for verb in VERBS]
    for command, (status, text, loaded) in zip(helps, results := run(helps + wrong), strict=False):
        assert (status, loaded) == (0, []), command
        assert "meaning" in text, command
    for command, (status, text, loaded) in zip(wrong, results[len(helps) :], strict=True):
        assert (status, loaded) == (2, []), command
        assert "unknown key" in text, command


IMPOSSIBLE = {
    "evaluate agent=ego_mlp split=s cache=c out=o": "agent ego_mlp is a planner; give the file",
    "evaluate agent=nobody split=s cache=c out=o": "agent: expected one of",
    "evaluate agent=human split=s cache=c out=o protocol=x": "protocol: expected one or several of",
    "evaluate agent=human split=s cache=c out=o protocol=pdms_v1 traffic=reactive": "has no reactive traffic",
    "score split=s cache=c trajectories=t out=o.csv": "out: expected a path ending in .parquet",
    "train agent=ego_mlp split=s cache=c out=o launch=slurm": "needs a profile",
    "train agent=ego_mlp split=s cache=c out=o train.epochs=0": "train.epochs: expected int in [1, inf]",
    "pack split=s out=o": "missing required key(s): agent",
    "teach vocabulary=v split=s cache=c out=o executor=ray tasks=2": "tasks: only for executor=slurm",
    "tune checkpoint=c split=s teacher=t out=o search.method=x": "search.method: expected one of",
    "vocab split=s out=v.csv": "ends in .npy",
    "town out=o scale=huge": "scale: expected one of tiny, small, large",
    "demo scale=large": "scale: expected one of small, tiny",
}


def test_impossible_values() -> None:
    results = run([words.split() for words in IMPOSSIBLE])
    for (words, message), (status, text, loaded) in zip(IMPOSSIBLE.items(), results, strict=True):
        assert (status, loaded) == (2, []) and message in text, words


def test_jobs_never_load_them(tmp_path: Path) -> None:
    run_folder = RunFolder(tmp_path / "run")
    run_folder.describe("ego_mlp", launch="local", nodes=1, devices=1)
    run_folder.add_job(f"{socket.gethostname()}.{os.getpid()}.1")
    verbs = (["jobs", "show"], ["jobs", "logs"], ["jobs", "cancel"], ["diagnose"])
    commands = [["jobs", f"root={tmp_path}"], *([*verb, str(run_folder.path)] for verb in verbs)]
    for command, (_, text, loaded) in zip(commands, run(commands), strict=True):
        assert loaded == [] and text, command


def test_a_rank_loads_timm_only_for_its_networks_and_wandb_never_for_timm(tmp_path: Path) -> None:
    (tmp_path / "wandb.py").write_text("installed = True\n")
    code = """
import sys
import navforge.training.run
assert not {"timm", "transformers", "wandb"} & set(sys.modules)
import navforge.models.timm_alone
assert "timm" in sys.modules and "wandb" not in sys.modules
import wandb
assert wandb.installed
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)

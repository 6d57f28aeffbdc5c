"""`navforge train`: a planner by name, trained on a split, on this machine or by Slurm.

What is here is the way of every run, that of `navforge pretrain` too.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from navforge.cli.keys.launching import LaunchKeys
from navforge.cli.keys.train import Config, Together
from navforge.core.errors import ConfigError
from navforge.core.files import sole_use
from navforge.core.screen import say, screen
from navforge.jobs import control
from navforge.launch import snapshot, start
from navforge.preflight import submission
from navforge.preflight.table import show
from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.signals import STATUS, StopSignals
from navforge.runs.status import Failure
from navforge.slurm.profile import ClusterProfile
from navforge.training.ranks.consensus import Stopped
from navforge.training.run_base import RunBase
from navforge.training.run_config import run_part
from navforge.training.together import train_together

AFTER_CHECKPOINT = "after a checkpoint; run the same command again to resume from it"
BEFORE_CHECKPOINT = "before its first checkpoint; the same command starts from the beginning"


def run(config: LaunchKeys | Together) -> int:
    """Check, make the run folder ready, start the ranks; say what to do next."""
    if isinstance(config, Together):
        return _run_together(config.runs)
    folder = RunFolder(config.out.absolute())
    profile = config.profile()
    requested = run_config(config)
    _require_one_task(os.environ)
    requested = _fitting(folder, requested)
    if folder.finished.is_file():
        return _say_finished(requested)
    if start.has_checkpoint(folder):
        _say_code(folder, config)
    if config.preflight:
        requested = _checked(config, requested, profile)
    with sole_use(folder.path):
        requested = _fitting(folder, requested)  # another may have started it, and ended, during the preflight
        if folder.finished.is_file():
            return _say_finished(requested)
        start.prepare(folder, requested, profile=profile, new_code=config.code == "new")
        if profile is not None:
            _submit(folder, requested, profile)
            return exits.FINISHED
        attempt = start.note_here(folder)
    return _train_here(folder, requested, attempt)


def _run_together(configs: Sequence[Config]) -> int:
    """Check all runs, train those that are not finished in this process, say how each ended."""
    _require_one_task(os.environ)
    unfinished = []
    for config in configs:
        folder = RunFolder(config.out.absolute())
        fitting = _fitting(folder, run_config(config))
        if folder.finished.is_file():
            _say_finished(fitting)
        else:
            unfinished.append(_checked(config, fitting, None) if config.preflight else fitting)
    with ExitStack() as stack, StopSignals((signal.SIGINT, *STATUS)) as signals:
        for one in unfinished:
            stack.enter_context(sole_use(one.out))
        ended = train_together(unfinished, signals=signals)
    for one in unfinished:
        _say_end(one, ended.get(one.out))
    if any(not isinstance(error, Stopped) for error in ended.values()):
        return exits.FAILED
    return STATUS[signals.received] if ended else exits.FINISHED


def _say_end(config: RunBase, error: Exception | None) -> None:
    folder = RunFolder(config.out)
    if error is None:
        _say_trained(config)
    elif isinstance(error, Stopped):
        _say_stopped(folder)
    else:
        _say_failed(folder, str(error))


def run_config(config: RunBase) -> RunBase:
    """The part of the keys that describes the run; its folder as an absolute path, the encoder's files here."""
    return dataclasses.replace(run_part(config), out=config.out.absolute()).resolved()


def _require_one_task(environ: Mapping[str, str]) -> None:
    """Raise ConfigError in a step of several tasks: every one of them would start the whole run."""
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks > 1:
        raise ConfigError(
            f"this is one of {tasks} tasks that srun started, and navforge train starts all ranks by itself: run it "
            "once, without srun, with launch=slurm; ranks in a batch script of your own are srun navforge rank RUN"
        )


def _fitting(folder: RunFolder, requested: RunBase) -> RunBase:
    """The config to train with in a folder nobody trains in.

    Raises:
        ConfigError: a run is under way there, or what lies there is of another one.
    """
    control.require_idle(folder)
    if folder.finished.is_file() or start.has_checkpoint(folder):
        return start.continued(requested, folder)
    return requested


def _say_finished(config: RunBase) -> int:
    say(f"{config.out} is finished: {config.result}; to train again, give another out=")
    return exits.FINISHED


def _say_code(folder: RunFolder, config: LaunchKeys) -> None:
    if config.code != "keep" or not folder.code.is_dir():
        return
    if not snapshot.is_current(folder.code, classes=config.classes):
        say(f"continuing with the code the run started with ({folder.code}); code=new takes the current code")


def _checked(config: LaunchKeys, wanted: RunBase, profile: ClusterProfile | None) -> RunBase:
    report = submission.run(wanted, profile=profile, force=config.force, record=True)
    show(report, screen(stderr=True))
    if report.refused:
        names = ", ".join(dict.fromkeys(finding.check for finding in report.refused))
        raise ConfigError(f"preflight refuses this job ({names}), see above; force=[{names}] starts it anyway")
    return report.config or wanted


def _train_here(folder: RunFolder, config: RunBase, attempt: int) -> int:
    ended = start.start_here(folder, attempt)
    if ended == exits.FINISHED:
        _say_trained(config)
    elif ended in (exits.REQUEUE_ME, exits.STOPPED):
        _say_stopped(folder)
    else:
        _say_failed(folder, _first_failure(folder, ended))
    return ended


def _say_trained(config: RunBase) -> None:
    say(f"{config.result}: {config.result_name}; learning curves in {config.out / 'epochs.csv'}")


def _say_stopped(folder: RunFolder) -> None:
    saved = start.has_checkpoint(folder)
    say(f"{folder.path}: stopped {AFTER_CHECKPOINT if saved else BEFORE_CHECKPOINT}", file=sys.stderr)


def _say_failed(folder: RunFolder, why: str) -> None:
    say(f"navforge: error: {why}", file=sys.stderr)
    say(f"  navforge diagnose {folder.path}    says why and what helps", file=sys.stderr)


def _first_failure(folder: RunFolder, ended: int) -> str:
    """What a rank said of its end, unless that another was gone; else how it ended."""
    paths = sorted(folder.path.glob("failures/rank-*.json"), key=lambda path: path.stat().st_mtime)
    for path in paths:
        failure = status.read(path, Failure)
        if failure is not None and failure.cause != "peer":
            return f"rank {failure.rank}: {failure.error}"
    return f"a rank ended with {exits.describe(ended)}; its log is in {folder.logs}"


def _submit(folder: RunFolder, config: RunBase, profile: ClusterProfile) -> None:
    job = start.submit(folder)
    path = os.path.relpath(folder.path)
    say(
        f"job {job} submitted: {config.title}, {config.nodes} node(s) x {config.devices} rank(s) on {profile.name}\n"
        f"  navforge jobs show {path}             how far it is\n"
        f"  navforge jobs logs {path} --follow    what it says\n"
        f"  navforge jobs cancel {path}           end it after a checkpoint"
    )

"""Making a run folder ready, and starting what lies in it: here, or by Slurm."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TypeVar

from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.config import differences
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import write_json, write_text
from navforge.launch import local, snapshot
from navforge.launch.console import Console
from navforge.launch.script import JobFacts, batch_script
from navforge.runs.folder import LAST, PREVIOUS, RunFolder
from navforge.runs.processes import local_job
from navforge.slurm import client as slurm
from navforge.slurm.profile import ClusterProfile
from navforge.training.run_base import RunBase
from navforge.training.run_config import read_run_config, write_run_config
from navforge.training.run_inputs import binding

PROFILE = "cluster.yaml"
COMMAND = "launch.provenance.json"

RunT = TypeVar("RunT", bound=RunBase)


def has_checkpoint(folder: RunFolder) -> bool:
    """Whether a run has something to go on from."""
    return any((folder.checkpoints / name).is_file() for name in (LAST, PREVIOUS))


def continued(config: RunT, folder: RunFolder) -> RunT:
    """The config to resume with in a folder that has a checkpoint or is finished: numbers chosen for `auto` then stay.

    Raises:
        ConfigError: the folder holds another run.
        DataError: the folder has checkpoints and no config.
    """
    old = read_run_config(folder.config)
    kept = {
        name: getattr(old.train, name)
        for name in ("batch_size", "loader_workers")
        if getattr(config.train, name) is None
    }
    new = dataclasses.replace(config, train=dataclasses.replace(config.train, **kept))
    different = [
        line for name, was, now in _pairs(old, new, folder.finished.is_file()) for line in differences(was, now, name)
    ]
    if different:
        raise ConfigError(
            f"out: {folder.path} holds a run that differs in {', '.join(different)}; give another out= or delete it"
        )
    return new


def prepare(
    folder: RunFolder,
    config: RunBase,
    *,
    profile: ClusterProfile | None = None,
    new_code: bool = False,
) -> None:
    """Write everything ranks need into a run folder; a resumed run keeps its jobs and, unless told otherwise, its code.

    Args:
        folder: to make or to go on in; its path is absolute.
        config: without `auto` values.
        profile: for Slurm; None: the run is started here.
        new_code: take a new snapshot even if the run has a checkpoint.

    Raises:
        ConfigError: an `auto` value is left, or the cluster cannot do what is asked for.
    """
    left = [name for name in ("batch_size", "loader_workers") if getattr(config.train, name) is None]
    if left:
        raise ConfigError(f"train.{left[0]}: auto is chosen by the preflight; give a number or let the preflight run")
    script = None
    if profile is not None:
        script = batch_script(job_facts(folder, config), profile)
    folder.logs.mkdir(parents=True, exist_ok=True)
    if new_code or not has_checkpoint(folder) or not folder.code.is_dir():
        snapshot.take(folder.code, classes=config.classes)
    write_run_config(folder.config, config)
    write_json(folder.path / COMMAND, provenance.collect(classes=config.classes))
    if script is not None and profile is not None:
        write_text(folder.path / PROFILE, configs.to_yaml(profile))
        write_text(folder.script, script)
    folder.describe(
        config.title,
        launch="local" if profile is None else "slurm",
        nodes=config.nodes,
        devices=config.devices,
        cluster=None if profile is None else profile.name,
    )


def job_facts(folder: RunFolder, config: RunBase) -> JobFacts:
    """What the batch script of a run has to know, submitted by this process."""
    return JobFacts(
        folder=folder.path,
        agent=config.title,
        nodes=config.nodes,
        devices=config.devices,
        directory=Path.cwd(),
        python=sys.executable,
        gpus=config.train.accelerator != "cpu",
    )


def note_here(folder: RunFolder) -> int:
    """Note that this process runs the folder; return how often the run was started before."""
    before = len(folder.read_record().jobs)
    folder.add_job(local_job())
    return before


def start_here(folder: RunFolder, attempt: int) -> int:
    """Run the ranks on this machine and wait for them; return the exit status of the run (see `local.launch`)."""
    devices = folder.read_record().devices
    console = Console(folder, sys.stderr)
    try:
        return local.launch(folder, devices=devices, attempt=attempt, watch=console.tick)
    finally:
        console.close()


def submit(folder: RunFolder) -> str:
    """Submit the batch script; return the job id, which the record then names; a refusal is kept in the folder.

    Raises:
        SlurmError: Slurm refused the job or cannot be reached.
        DataError: the folder has no script.
    """
    if not folder.script.is_file():
        raise DataError(f"{folder.script} does not exist; navforge train launch=slurm writes it")
    try:
        job = slurm.submit(folder.script)
    except slurm.SlurmError as error:
        write_text(folder.submission, f"{error}\n")
        raise
    folder.submission.unlink(missing_ok=True)
    folder.add_job(job)
    return job


def _pairs(old: RunBase, new: RunBase, finished: bool) -> list[tuple[str, object, object]]:
    """What must not differ: data are compared by the ranks, by fingerprint; where none will start, by name."""
    data = [(name, _place(was), _place(_data(new).get(name))) for name, was in _data(old).items()] if finished else []
    return [
        *data,
        ("agent", old.title, new.title),
        ("planner", old.subject, new.subject),
        *((name, was, new.learned_from.get(name)) for name, was in old.learned_from.items()),
        ("train", binding(configs.to_dict(old.train)), binding(configs.to_dict(new.train))),
        ("nodes x devices", old.nodes * old.devices, new.nodes * new.devices),
    ]


def _data(config: RunBase) -> dict[str, str | Path | None]:
    """What decides what is learnt from; packed inputs are those of the sensor files."""
    files = {
        name: path
        for name, path in config.files.items()
        if name not in ("store", "features") and not name.startswith("data.")
    }
    return {"split": config.split, "val_split": config.val_split, **files}


def _place(name: str | Path | None) -> str | None:
    return None if name is None else str(Path(name).absolute())

"""Paths of a run folder, and the record of what the run is.

RUN/
  run.json                  RunRecord: what was asked for, and every job that ran it
  train.config.yaml         resolved config         train.provenance.json   versions, git state, command
  code/                     the snapshot of navforge the ranks run
  launch.provenance.json    the command that started it, last time
  cluster.yaml              the cluster profile (launch=slurm)
  job.sbatch                the script that was submitted (launch=slurm)
  logs/job-JOBID.log        output of the batch script and of srun
  logs/submission.txt       why sbatch refused the script, if it did so last time (launch=slurm)
  logs/rank-K.log           output of rank K, every attempt appended
  status/rank-K.json        RankStatus: heartbeat of rank K, replaced every few seconds
  failures/rank-K.json      Failure: what ended rank K of the last attempt
  attempts.jsonl            Attempt: one line per start
  exits.jsonl               RankExit: one line per end of a rank of a local run, written by its supervisor
  requests.jsonl            Request: who asked to cancel or requeue it, and when
  history.csv               throughput and memory of rank 0 over time
  steps.csv, epochs.csv     loss curve by step and by epoch
  checkpoints/              last.ckpt, best.ckpt, ...
  labels.json               the label subset that is trained on, scene by scene (labels.fraction below 1)
  finished.json             written once, when training ended as planned
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.core.outside.records import record
from navforge.core.outside.text import read_json

LAST, PREVIOUS, BEST, DAMAGED = "last.ckpt", "previous.ckpt", "best.ckpt", "damaged.ckpt"
"""Names in the folder of checkpoints: the newest, the one before, of the best epoch, and one found damaged."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run is; constant but for `jobs`."""

    agent: str
    launch: str
    """`local` or `slurm`."""
    nodes: int
    devices: int
    """Ranks per node."""
    created: str
    """ISO time, UTC."""
    cluster: str | None = None
    """Name of the cluster profile."""
    jobs: tuple[str, ...] = field(default=())
    """Slurm job ids, oldest first; for local runs `runs.processes.local_job()` of each supervisor."""

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.nodes * self.devices


@dataclass(frozen=True)
class RunFolder:
    """Where things lie in a run folder."""

    path: Path

    @property
    def record_file(self) -> Path:
        """What the run is."""
        return self.path / "run.json"

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "train.config.yaml"

    @property
    def code(self) -> Path:
        """The snapshot of the code."""
        return self.path / "code"

    @property
    def script(self) -> Path:
        """The batch script."""
        return self.path / "job.sbatch"

    @property
    def logs(self) -> Path:
        """Folder of logs."""
        return self.path / "logs"

    def job_log(self, job: str) -> Path:
        """Output of the batch script of a job."""
        return self.logs / f"job-{job}.log"

    @property
    def submission(self) -> Path:
        """Why the batch script was refused; absent once one was accepted."""
        return self.logs / "submission.txt"

    def rank_log(self, rank: int) -> Path:
        """Output of a rank."""
        return self.logs / f"rank-{rank}.log"

    def status_file(self, rank: int) -> Path:
        """Heartbeat of a rank."""
        return self.path / "status" / f"rank-{rank}.json"

    def failure_file(self, rank: int) -> Path:
        """What ended a rank."""
        return self.path / "failures" / f"rank-{rank}.json"

    @property
    def attempts(self) -> Path:
        """One line per start."""
        return self.path / "attempts.jsonl"

    @property
    def exits(self) -> Path:
        """One line per end of a rank of a local run."""
        return self.path / "exits.jsonl"

    @property
    def requests(self) -> Path:
        """Who asked to cancel or requeue it."""
        return self.path / "requests.jsonl"

    @property
    def history(self) -> Path:
        """Throughput and memory over time."""
        return self.path / "history.csv"

    @property
    def steps(self) -> Path:
        """Loss by step."""
        return self.path / "steps.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def labels(self) -> Path:
        """Manifest of the label subset; absent where the whole split is trained on."""
        return self.path / "labels.json"

    @property
    def finished(self) -> Path:
        """There when training ended as planned."""
        return self.path / "finished.json"

    def read_record(self) -> RunRecord:
        """What the run is.

        Raises:
            DataError: not a run folder, or its record is damaged.
        """
        if not self.record_file.exists():
            below = sorted(path.parent for depth in ("*", "*/*") for path in self.path.glob(f"{depth}/run.json"))
            remedy = f"runs below it: {', '.join(map(str, below[:4]))}" if below else "navforge train writes one"
            raise DataError(f"{self.path} is not a run folder: it has no run.json; {remedy}")
        values = read_json(self.record_file, "run record")
        try:
            return record(RunRecord, values)
        except ValueError as error:
            raise DataError(f"{self.record_file} is damaged: {error}") from error

    def write_record(self, what: RunRecord) -> None:
        """Replace the record."""
        write_json(self.record_file, asdict(what))

    def describe(self, agent: str, *, launch: str, nodes: int, devices: int, cluster: str | None = None) -> None:
        """Write what the run is; one that is there already keeps its creation time and its jobs."""
        earlier = self.read_record() if self.record_file.is_file() else None
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.write_record(
            RunRecord(
                agent=agent,
                launch=launch,
                nodes=nodes,
                devices=devices,
                created=now if earlier is None else earlier.created,
                cluster=cluster,
                jobs=() if earlier is None else earlier.jobs,
            )
        )

    def add_job(self, job: str) -> None:
        """Note that a job runs this folder; does nothing if that is known."""
        known = self.read_record()
        if job not in known.jobs:
            self.write_record(replace(known, jobs=(*known.jobs, job)))

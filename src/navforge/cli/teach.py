"""`navforge teach`: what the scoring engine says of every vocabulary entry on every scene of a split."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from navforge.cli.notices import warn
from navforge.core import provenance, ray_pool
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.products import TEACHER, claim
from navforge.core.screen import say
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.launch import teaching
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import PROTOCOLS, protocol
from navforge.slurm.profile import CLUSTER_HELP, read_profile
from navforge.teacher import teach_batched
from navforge.teacher.store import SCORE, TeacherStore
from navforge.teacher.teach import Plan, finish, make, plan, require_own, settle, teach_logs
from navforge.vocabulary.vocabulary import Vocabulary

SELF_CHECK = True

TASKS = 16
"""Of a job array, unless said."""
_ONLY_FOR = {"cluster": "slurm", "cpus": "slurm", "wait": "slurm", "tasks": "slurm", "ray_address": "ray"}
"""Keys that only one executor reads."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge teach`."""

    vocabulary: Path = key(help="vocabulary file (.npy)")
    split: str = key(help="folder of logs or scene-filter YAML")
    cache: Path = key(help="metric cache of the split")
    out: Path = key(help="folder of the teacher store")
    protocol: str = key("epdms_v2", "whose sub-scores", choices=tuple(known.name for known in PROTOCOLS))
    human_filter: str = key(
        "auto",
        "forgive entries what the human driver also fails; auto: where the protocol does",
        choices=("auto", "on", "off"),
    )
    progress_bits: int = key(16, "width of ego progress in the store", choices=(8, 16), unit="bits")
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    executor: str = key(
        "local",
        "who scores: processes of this machine, a Ray cluster, a Slurm job array",
        choices=("local", "ray", "slurm"),
    )
    workers: int = key(0, "threads (with Ray or a GPU: processes) at once, with Slurm per task; 0 one per CPU", low=0)
    device: str = key(
        "auto",
        "what scores; auto: a GPU where torch sees one and executor=local; the store is the same",
        choices=("auto", "cpu", "cuda"),
    )
    ray_address: str | None = key(None, "running Ray cluster (auto, HOST:PORT); null: one of this machine alone")
    cluster: str | None = key(None, f"{CLUSTER_HELP}; for executor=slurm")
    tasks: int | None = key(None, "tasks of the job array at most, for executor=slurm; auto: 16", none="auto", low=1)
    cpus: int | None = key(
        None, "CPUs of a task, for executor=slurm; auto: a GPU's share of a node", none="auto", low=1
    )
    wait: bool = key(True, "wait for the job array and join its shards; off: submit only, for executor=slurm")
    data: DataConfig = key(DataConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError if a key of another executor is given, none for Slurm, or a GPU to all but `local`."""
        given = {"cluster": self.cluster, "cpus": self.cpus, "ray_address": self.ray_address, "wait": not self.wait}
        given["tasks"] = self.tasks
        for name, value in given.items():
            if value and self.executor != _ONLY_FOR[name]:
                raise ConfigError(f"{name}: only for executor={_ONLY_FOR[name]}; give that too or drop it")
        if self.executor == "slurm" and self.cluster is None:
            raise ConfigError("cluster: executor=slurm needs a profile: cluster=NAME or FILE (see docs/clusters.md)")
        if self.device == "cuda" and self.executor != "local":
            raise ConfigError(
                f"device=cuda: workers of executor={self.executor} score on CPUs; use executor=local on a machine with "
                "a GPU, or drop device=cuda"
            )


def run(config: Config) -> None:
    """Build or finish the store and say how good the vocabulary can be."""
    vocabulary = Vocabulary.load(config.vocabulary)
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    split.require_annotations()
    warn(split)
    filtered = protocol(config.protocol).human_filter if config.human_filter == "auto" else config.human_filter == "on"
    with nullcontext() if config.executor == "slurm" else claim(config.out, TEACHER):
        require_own(config.out, vocabulary)
        store = _make_store(config, vocabulary, split, filtered)
    if store is not None:
        say(describe(store))


def _make_store(config: Config, vocabulary: Vocabulary, split: Split, filtered: bool) -> TeacherStore | None:
    """The finished store; None if its shards are still being made by Slurm."""
    made = plan(
        vocabulary,
        split,
        config.cache,
        config.out,
        protocol_name=config.protocol,
        human_filter=filtered,
        progress_bits=config.progress_bits,
    )
    if not made.finished:
        if config.executor == "slurm":
            if not _make_shards_on_slurm(made, config):
                return None
            finish(made)
        elif config.executor == "local" and _pick_device(config.device) == "cuda":
            shards = teach_batched.run(
                made.work,
                made.missing(),
                teach_batched.scorer_on_gpu(made.work),
                workers=config.workers,
                label="teaching",
            )
            settle(made, shards)
        elif config.executor == "local":
            settle(made, teach_logs(made.missing(), made.work, workers=config.workers))
        else:
            make(made, partial(ray_pool.run, address=config.ray_address, workers=config.workers, label="teaching"))
        provenance.record(config.out, config, name="teach")
    store = TeacherStore.open(config.out, vocabulary)
    store.check()
    return store


def describe(store: TeacherStore) -> str:
    """Size, oracle and rounding of a store in words."""
    header = store.header
    bits = sum(about["bits"] for about in header["columns"].values())
    scores = "" if header["oracle"] is None else f"oracle {header['oracle']:.4f}, mean {header['mean_score']:.4f}; "
    rounding = [
        f"{name.replace('_', ' ')} to {header['rounding'][name]:.1e}"
        for name in (EGO_PROGRESS.name, SCORE)
        if name in header["rounding"]
    ]
    return (
        f"{store.path}: {header['entries']} entries on {len(store)} scenes of {header['split']}, {store.protocol}; "
        f"{scores}{len(store) * store.layout.row_bytes / 1e6:.1f} MB, {bits} bits per entry, {', '.join(rounding)}"
    )


def _pick_device(asked: str) -> str:
    """`cpu` or `cuda`; raises ConfigError if cuda is asked for and there is none."""
    if asked == "cpu":
        return asked
    from navforge.agents.planner import pick_device  # noqa: PLC0415 (loads torch)

    return pick_device(asked)


def _make_shards_on_slurm(made: Plan, config: Config) -> bool:
    """Make what is missing; whether all is there now."""
    assert config.cluster is not None
    profile = read_profile(config.cluster)
    job = teaching.running_job(made)
    if job is not None:
        say(f"job {job} makes the shards already", flush=True)
    if job is None and (missing := made.missing()):
        cpus = config.cpus or profile.cpus_per_rank
        job = teaching.submit(made, missing, profile, tasks=config.tasks or TASKS, cpus=cpus, workers=config.workers)
        say(f"job {job}: {len(missing)} logs; its files: {teaching.folder_of(made.out)}", flush=True)
    if job is None:
        return True
    if not config.wait:
        say(f"{made.out}: job {job} makes the shards; the same command, later, waits for it and joins them")
        return False
    teaching.wait(made, job)
    return True

"""Keys of `navforge teach` that do not fit together are refused before any work; `tests/e2e/test_teach.py` runs it."""

from __future__ import annotations

import pytest

from navforge.cli.teach import Config
from navforge.core import config as configs
from navforge.core.errors import ConfigError

NEEDED = ["vocabulary=v.npy", "split=s", "cache=c", "out=o"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["executor=slurm"], "executor=slurm needs a profile"),
        (["cluster=c.yaml"], "cluster: only for executor=slurm"),
        (["wait=off"], "wait: only for executor=slurm"),
        (["tasks=3"], "tasks: only for executor=slurm"),
        (["executor=ray", "cpus=3"], "cpus: only for executor=slurm"),
        (["ray_address=auto"], "ray_address: only for executor=ray"),
        (["executor=cloud"], "executor: expected one of local, ray, slurm"),
        (["progress_bits=12"], "progress_bits: expected one of 8, 16"),
        (["tasks=0"], "tasks: expected int"),
        (["device=gpu"], "device: expected one of auto, cpu, cuda"),
        (["executor=ray", "device=cuda"], "workers of executor=ray score on CPUs; use executor=local"),
        (["executor=slurm", "cluster=c.yaml", "device=cuda"], "workers of executor=slurm score on CPUs"),
    ],
)
def test_keys_that_do_not_fit(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.merge(Config, [*NEEDED, *words])


def test_cpus_are_the_share_of_a_gpu_unless_said() -> None:
    words = [*NEEDED, "executor=slurm", "cluster=c.yaml", "wait=off"]
    chosen = configs.merge(Config, words)
    assert chosen.cpus is None and not chosen.wait and chosen.cluster == "c.yaml"
    assert configs.merge(Config, [*words, "cpus=8"]).cpus == 8

"""Cluster profiles: the shipped ones fit their clusters, and what is wrong in one is named with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.core.errors import ConfigError
from navforge.slurm.profile import SHIPPED, ClusterProfile, read_profile

TEXT = """
name: mine
nodes: 2
gpus_per_node: 3
cpus_per_node: 32
memory_gb: 100
time_limit: "1-02:00:00"
setup: ["module load cuda/12, gcc", 'export A="${B:-1}" # why']
"""


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(("name", "nodes", "gpus", "kind"), [("l40s_4x4", 4, 4, "l40s"), ("h200_1x8", 1, 8, "h200")])
def test_shipped_profiles(name: str, nodes: int, gpus: int, kind: str) -> None:
    profile = read_profile(name)
    assert profile == read_profile(SHIPPED[name])
    assert (profile.name, profile.nodes, profile.gpus_per_node) == (name, nodes, gpus)
    assert profile.gres(gpus) == f"gpu:{kind}:{gpus}"
    assert profile.time_limit_s == 2 * 86400


def test_shares_of_a_node(profile_file: Path) -> None:
    profile = read_profile(profile_file)
    assert profile.cpus_per_rank == 10
    assert [profile.job_memory_gb(devices) for devices in (1, 2, 3)] == [33, 66, 100]
    assert profile.gres(2) == "gpu:2"
    assert profile.time_limit_s == 26 * 3600
    assert profile.setup == ("module load cuda/12, gcc", 'export A="${B:-1}" # why')


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("nodes: 2", "node: 2", ["unknown key 'node'", "did you mean nodes?"]),
        ("nodes: 2", "", ["missing required key(s): nodes"]),
        ("nodes: 2", "nodes: 0", ["nodes: expected int"]),
        ("nodes: 2", "nodes: [", ["is not valid YAML"]),
        ('"1-02:00:00"', "2:00:00", ["YAML reads 7200 as a number", "quotes"]),
        ('"1-02:00:00"', '"2h"', ["'2h' is not a duration"]),
        ('"1-02:00:00"', '"00:05:00"', ["leaves nothing before the signal", "300 s"]),
        ("cpus_per_node: 32", "cpus_per_node: 2", ["2 CPUs cannot serve 3 GPUs"]),
        ("name: mine", "name: a b", ["name: expected letters"]),
        ("setup:", "srun_options:", ["srun_options: expected options such as"]),
    ],
)
def test_refusals_name_file_and_key(profile_file: Path, old: str, new: str, parts: list[str]) -> None:
    profile_file.write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_profile(profile_file)
    assert all(part in str(caught.value) for part in [*parts, str(profile_file)])


def test_no_file_and_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not found.*docs/clusters\.md.* or one of h200_1x8, l40s_4x4"):
        read_profile(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="holds no keys"):
        read_profile(tmp_path / "list.yaml")


def test_an_unlimited_cluster_has_no_limit(profile_file: Path) -> None:
    profile_file.write_text(TEXT.replace("1-02:00:00", "UNLIMITED"))
    profile = read_profile(profile_file)
    assert isinstance(profile, ClusterProfile) and profile.time_limit_s is None

"""Keys of the devkit's scripts are answered with the key that does it here."""

from __future__ import annotations

import pytest

from navforge.cli.devkit_keys import _GROUPS, _NEEDLESS, _SAME
from navforge.cli.main import main
from navforge.core.config import leaves

EVALUATE = ["evaluate", "agent=human", "split=navtest", "cache=C", "out=O"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train_test_split=navtest"], "train_test_split= is a key of the devkit's scripts; here it is split=navtest"),
        (["scene_filter=navtest"], "here it is split=navtest"),
        (["train_test_split/scene_filter=x"], "here it is split=x"),
        (["train_test_split.scene_filter.max_scenes=9"], "give one of your own as split=FILE.yaml"),
        (["+agent.config.latent=true"], "leave it out: what a planner is made of are the planner.* keys"),
        (["scorer.config.progress_weight=1"], "leave it out: the rules are those of the protocol"),
        (["trainer.params.fast_dev_run=true"], "leave it out: how a planner is trained are the train.* keys"),
        (["team_name=x"], "leave it out: navforge writes plans and their scores"),
        (["max_number_of_workers=4"], "here it is workers=4"),
        (["agent.checkpoint_path=a.ckpt"], "here it is checkpoint=a.ckpt"),
        (
            ["experiment_name=mine"],
            "here it is out=PATH, the folder or file of the results themselves, such as out=runs/mine",
        ),
        (["worker=ray_distributed"], "here it is workers=N, the number of processes"),
        (["worker.threads_per_node=8"], "here it is workers=8"),
        (["metric_cache_path=c"], "here it is cache=c"),
        (["navsim_log_path=logs"], "here it is data.logs=logs"),
        (["+workers=2"], "+workers=: the prefixes + and ~ are Hydra's; write workers=2"),
        (["++metric_cache_path=c"], "++metric_cache_path= is a key of the devkit's scripts; here it is cache=c"),
        (["+nonsense=1"], "+nonsense=: the prefixes + and ~ are Hydra's, and there is no key 'nonsense'"),
        (["traffic_agents=non_reactive"], "here it is traffic=log_replay"),
        (["train_test_split.data_split=test"], "leave it out: logs are found by their names"),
        (["hydra.run.dir=x"], "leave it out: the command line is not Hydra's"),
        (["--config-name=x"], "leave it out: the command line is not Hydra's"),
        (["nonsense=1"], None),
    ],
)
def test_evaluate_answers_the_devkits_keys(words, message, capsys):
    assert main([*EVALUATE, *words]) == 2
    err = capsys.readouterr().err
    assert message in err if message is not None else "unknown key" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "agent=constant_velocity_agent"], "is the devkit's name; here it is agent=constant_velocity"),
        (["cache", "metric_cache_path=c"], "here it is out=c"),
        (["cache", "cache.cache_path=c"], "here it is out=c"),
        (["score", "submission_file_path=s"], "here it is trajectories=s"),
        (["vocab", "checkpoint_path=s"], "unknown key"),
    ],
)
def test_the_answer_is_a_key_of_the_verb(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_every_answer_is_a_key_of_some_verb():
    from navforge.cli.keys import cache, evaluate, pack, score, train  # noqa: PLC0415

    verbs = [leaves(verb.Config) for verb in (cache, evaluate, score)]
    verbs += [leaves(verb.template(["agent=transfuser"])) for verb in (train, pack)]
    known = {leaf.name for verb in verbs for leaf in verb}
    assert {own for keys in _SAME.values() for own in keys} <= known
    assert not _SAME.keys() & _NEEDLESS.keys()
    assert not _GROUPS.keys() & {name.split(".")[0] for name in known if "." in name}

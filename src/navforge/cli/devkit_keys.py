"""Keys of the official devkit's scripts (Hydra), answered with the key that does it here."""

from __future__ import annotations

from collections.abc import Collection

_SAME: dict[str, tuple[str, ...]] = {
    "train_test_split": ("split",),
    "scene_filter": ("split",),
    "train_test_split.scene_filter": ("split",),
    "agent.checkpoint_path": ("checkpoint",),
    "checkpoint_path": ("checkpoint",),
    "metric_cache_path": ("cache", "out"),
    "cache.cache_path": ("out", "cache"),
    "cache_path": ("store", "out"),
    "output_dir": ("out",),
    "experiment_name": ("out",),
    "experiment_uid": ("out",),
    "submission_file_path": ("trajectories",),
    "navsim_log_path": ("data.logs",),
    "sensor_blobs_path": ("data.sensors",),
    "original_sensor_path": ("data.sensors",),
    "worker": ("workers", "train.loader_workers"),
    "worker.threads_per_node": ("workers", "train.loader_workers"),
    "worker.max_workers": ("workers", "train.loader_workers"),
    "max_number_of_workers": ("workers", "train.loader_workers"),
    "traffic_agents": ("traffic",),
    "traffic_agents_policy": ("traffic",),
    "dataloader.params.batch_size": ("train.batch_size", "batch_size"),
    "dataloader.params.num_workers": ("train.loader_workers", "workers"),
    "trainer.params.max_epochs": ("train.epochs",),
    "trainer.params.precision": ("train.precision",),
    "trainer.params.strategy": ("train.strategy",),
    "trainer.params.accelerator": ("train.accelerator",),
    "trainer.params.num_nodes": ("nodes",),
    "trainer.params.devices": ("devices",),
    "trainer.params.accumulate_grad_batches": ("train.accumulate",),
    "trainer.params.gradient_clip_val": ("train.clip_gradient",),
    "agent.lr": ("train.learning_rate",),
    "agent.config.lr": ("train.learning_rate",),
    "seed": ("train.seed",),
}
"""Key of the devkit: keys that do the same here, the first that a verb has."""
_FOLDERS = ("experiment_name", "experiment_uid")
"""Keys whose value is not a path."""
_PROCESSES = ("worker",)
"""Keys whose value names an executor."""
_SUBMISSION = "navforge writes plans and their scores, and no submission yet; plans.npz has what one is made of"
_NEEDLESS = {
    "train_test_split.data_split": "logs are found by their names in every folder under data.logs",
    "data_split": "logs are found by their names in every folder under data.logs",
    "use_cache_without_dataset": "store=FOLDER of navforge pack takes the place of the training cache",
    "force_cache_computation": "what is up to date is reused, what is not is computed again",
    "cache.use_cache_without_dataset": "what is up to date is reused, what is not is computed again",
    "cache.force_feature_computation": "what is up to date is reused, what is not is computed again",
    "synthetic_scenes_path": "second-stage (rendered) scenes are not supported yet",
    "synthetic_sensor_path": "second-stage (rendered) scenes are not supported yet",
    "team_name": _SUBMISSION,
    "authors": _SUBMISSION,
    "email": _SUBMISSION,
    "institution": _SUBMISSION,
    "country": _SUBMISSION,
    "submission_pickles": _SUBMISSION,
    "train_logs": "the logs of a split are those that its scene filter lists; give it as split=FILE.yaml",
    "val_logs": "the logs of a split are those that its scene filter lists; give it as val_split=FILE.yaml",
    "gpu": "a GPU is used where there is one",
    "config_name": "the command line is not Hydra's; keys are given one by one",
    "config_path": "the command line is not Hydra's; keys are given one by one",
}
"""Key of the devkit: why there is none here."""
_GROUPS = {
    "train_test_split": "scenes are chosen by a scene filter; give one of your own as split=FILE.yaml",
    "scene_filter": "scenes are chosen by a scene filter; give one of your own as split=FILE.yaml",
    "agent": "what a planner is made of are the planner.* keys of navforge train agent=NAME --help",
    "trainer": "how a planner is trained are the train.* keys of navforge train agent=NAME --help",
    "dataloader": "how a planner is trained are the train.* keys of navforge train agent=NAME --help",
    "traffic_agents_policy": "what others do is traffic=log_replay or traffic=reactive",
    "scorer": "the rules are those of the protocol, protocol=pdms_v1 or protocol=epdms_v2",
    "simulator": "the rules are those of the protocol, protocol=pdms_v1 or protocol=epdms_v2",
    "proposal_sampling": "the rules are those of the protocol, protocol=pdms_v1 or protocol=epdms_v2",
    "hydra": "the command line is not Hydra's; every run records its config",
}
"""Group of keys of the devkit: what is here in place of it."""
_AGENTS = {
    "constant_velocity_agent": "constant_velocity",
    "human_agent": "human",
    "transfuser_agent": "transfuser",
}
_TRAFFIC = {
    "non_reactive": "log_replay",
    "log_replay_traffic_agents": "log_replay",
    "navsim_IDM_traffic_agents": "reactive",
    "reactive": "reactive",
}


def answer(name: str, value: str, known: Collection[str]) -> str | None:
    """What to write in place of a key or value of the devkit; None where it is not one.

    Args:
        name: key as typed, a prefix such as `+` included.
        value: its value.
        known: keys of the verb.
    """
    plain = name.lstrip("+~").replace("/", ".")
    if name == "agent":
        own = _AGENTS.get(value)
        return None if own is None else f"agent={value} is the devkit's name; here it is agent={own}"
    if plain in known:
        if plain == name:
            return None
        return f"{name}=: the prefixes + and ~ are Hydra's; write {plain}={value}"
    devkit = f"{name}= is a key of the devkit's scripts"
    if (needless := _NEEDLESS.get(plain)) is not None:
        return f"{devkit}; leave it out: {needless}"
    own = next((key for key in _SAME.get(plain, ()) if key in known), None)
    if own is not None:
        return f"{devkit}; here it is {_written(plain, own, value)}"
    if (group := _GROUPS.get(plain.split(".")[0])) is not None:
        return f"{devkit}; leave it out: {group}"
    if plain != name:
        return f"{name}=: the prefixes + and ~ are Hydra's, and there is no key {plain!r}; --help lists the keys"
    return None


def _written(devkit: str, own: str, value: str) -> str:
    """The key of navforge with the value that belongs to it."""
    if devkit in _PROCESSES:
        return f"{own}=N, the number of processes"
    if own == "traffic":
        return f"{own}={_TRAFFIC.get(value, 'log_replay or reactive')}"
    if devkit in _FOLDERS:
        return f"{own}=PATH, the folder or file of the results themselves, such as {own}=runs/{value}"
    return f"{own}={value}"

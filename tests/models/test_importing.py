"""Published files into checkpoints: what is read, what is refused, what the checkpoint says of itself."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint
from navforge.models import importing
from navforge.models.checkpoints import read_checkpoint
from navforge.models.conversion import Conversion, Rule
from navforge.models.conversions.transfuser import TRANSFUSER
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.heads.configs import HydraMdpConfig, MlpHeadConfig
from navforge.models.importing import import_checkpoint, read_published
from navforge.models.loading import load_planner
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig
from navforge.vocabulary.vocabulary import Vocabulary
from tests.models.published import as_published
from tests.models.test_transfuser import SMALL, some_inputs

PREFIX = "agent._transfuser_model."
HYDRA = PlannerConfig(
    name="hydra",
    encoder=EgoStatusConfig(),
    head=HydraMdpConfig(width=16, attention_heads=2, feed_forward=16, decoder_layers=1),
)
SAME_NAMES = Conversion(
    name="Ours", marks=("head.status.weight",), rules=(Rule(r"(.+)", r"\1"),), vocabulary="head.vocabulary"
)


def small_planner() -> Planner:
    torch.manual_seed(1)
    return SMALL.build().eval()


def lightning_file(path: Path, planner: Planner, **more: Any) -> Path:
    """As Lightning writes it: the state dict among the state of training."""
    state = as_published(planner, TRANSFUSER, PREFIX)
    values = {"epoch": 99, "global_step": 5, "callbacks": {"best": {"score": torch.tensor(0.5), "path": "x.ckpt"}}}
    torch.save({**values, "optimizer_states": [{"state": {}, "param_groups": []}], "state_dict": state, **more}, path)
    return path


def vocabulary(seed: int = 0) -> Vocabulary:
    return Vocabulary(np.random.default_rng(seed).normal(size=(6, 40, 3)).astype(np.float32))


def test_an_imported_planner_plans_as_the_published_one(tmp_path: Path) -> None:
    planner = small_planner()
    source, out = lightning_file(tmp_path / "transfuser.ckpt", planner), tmp_path / "new" / "ours.ckpt"
    done = import_checkpoint(source, SMALL, out)
    loaded = load_planner(out)
    inputs = some_inputs(SMALL)
    assert torch.equal(loaded.plan(inputs).trajectories, planner.plan(inputs).trajectories)
    assert loaded.config == SMALL
    assert (done.conversion, done.prefix) == ("TransFuser (NAVSIM)", PREFIX)
    assert done.parameters == sum(p.numel() for p in planner.parameters())


def test_the_checkpoint_says_where_it_is_from(tmp_path: Path) -> None:
    source = lightning_file(tmp_path / "transfuser.ckpt", small_planner())
    import_checkpoint(source, SMALL, tmp_path / "ours.ckpt")
    facts = read_checkpoint(tmp_path / "ours.ckpt").facts
    assert facts["imported"] == {
        "conversion": "TransFuser (NAVSIM)",
        "file": "transfuser.ckpt",
        "fingerprint": file_fingerprint(source),
        "prefix": PREFIX,
    }
    assert facts["fingerprints"] == {"vocabulary": None}
    assert facts["provenance"]["libraries"]["torch"]


def test_a_plain_state_dict_is_read_too(tmp_path: Path) -> None:
    planner = small_planner()
    torch.save(as_published(planner, TRANSFUSER), tmp_path / "plain.pth")
    assert import_checkpoint(tmp_path / "plain.pth", SMALL, tmp_path / "ours.ckpt").prefix == ""


def test_nothing_in_a_published_file_is_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'exploded'}",)

    source = lightning_file(tmp_path / "bomb.ckpt", small_planner(), hyper_parameters=Bomb())
    with pytest.raises(DataError, match=r"refused: .*\((posix|nt)\.system\).*save its 'state_dict' alone"):
        import_checkpoint(source, SMALL, tmp_path / "ours.ckpt")
    assert not (tmp_path / "exploded").exists() and not (tmp_path / "ours.ckpt").exists()


def test_files_that_are_no_published_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.ckpt not found"):
        read_published(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(DataError, match=r"text\.ckpt"):
        read_published(tmp_path / "text.ckpt")
    for values in ({}, {"state_dict": {}}, {"weights": [torch.zeros(1)]}, [torch.zeros(1)]):
        torch.save(values, tmp_path / "odd.ckpt")
        with pytest.raises(DataError, match=r"odd\.ckpt holds no state dict"):
            read_published(tmp_path / "odd.ckpt")
    import_checkpoint(lightning_file(tmp_path / "a.ckpt", small_planner()), SMALL, tmp_path / "ours.ckpt")
    with pytest.raises(DataError, match="is a navforge checkpoint already"):
        read_published(tmp_path / "ours.ckpt")


def changed(tmp_path: Path, change: Any) -> Path:
    source = lightning_file(tmp_path / "changed.ckpt", small_planner())
    values = torch.load(source, weights_only=True)
    change(values["state_dict"])
    torch.save(values, source)
    return source


def test_keys_and_shapes_are_strict(tmp_path: Path) -> None:
    key = f"{PREFIX}_status_encoding.bias"
    cases = [
        (lambda state: state.pop(key), r"missing keys: agent\._transfuser_model\._status_encoding\.bias"),
        (lambda state: state.update({f"{PREFIX}_x": torch.zeros(1)}), r"unexpected keys: agent\._transfuser_model\._x"),
        (lambda state: state.update({key: torch.zeros(3)}), r"_status_encoding\.bias gives shape \(3,\), head\.status"),
    ]
    for change, said in cases:
        with pytest.raises(DataError, match=rf"changed\.ckpt is not the planner small: .*{said}"):
            import_checkpoint(changed(tmp_path, change), SMALL, tmp_path / "ours.ckpt")
    assert not (tmp_path / "ours.ckpt").exists()


def test_another_planner_is_refused(tmp_path: Path) -> None:
    source = lightning_file(tmp_path / "a.ckpt", small_planner())
    mlp = PlannerConfig(name="ego_mlp", encoder=EgoStatusConfig(), head=MlpHeadConfig())
    with pytest.raises(DataError, match=r"is not the planner ego_mlp: .*parameters of its own: head\.layers"):
        import_checkpoint(source, mlp, tmp_path / "ours.ckpt")
    encoder = replace(SMALL.encoder, channels=32)  # type: ignore[call-arg]
    with pytest.raises(DataError, match=r"gives shape .* takes .*sizes are not those of the file"):
        import_checkpoint(source, replace(SMALL, encoder=encoder), tmp_path / "ours.ckpt")


def test_the_vocabulary_comes_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CONVERSIONS", (SAME_NAMES,))
    planner = HYDRA.build(vocabulary())
    torch.save({f"agent.model.{name}": value for name, value in planner.state_dict().items()}, tmp_path / "a.pth")
    for given in (None, vocabulary()):
        import_checkpoint(tmp_path / "a.pth", HYDRA, tmp_path / "ours.ckpt", vocabulary=given)
        found = read_checkpoint(tmp_path / "ours.ckpt")
        assert found.facts["fingerprints"]["vocabulary"] == vocabulary().fingerprint
        status = {"status": torch.randn(2, 8)}
        assert torch.equal(load_planner(found).plan(status).trajectories, planner.eval().plan(status).trajectories)
    with pytest.raises(ConfigError, match=f"{vocabulary().fingerprint}.*{vocabulary(1).fingerprint}.*leave the key"):
        import_checkpoint(tmp_path / "a.pth", HYDRA, tmp_path / "ours.ckpt", vocabulary=vocabulary(1))
    with pytest.raises(ConfigError, match="says 70 vocabulary entries"):
        import_checkpoint(tmp_path / "a.pth", replace(HYDRA, name="hydra_v70"), tmp_path / "ours.ckpt")


def test_a_vocabulary_is_needed_where_the_file_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CONVERSIONS", (SAME_NAMES,))
    state = HYDRA.build(vocabulary()).state_dict()
    del state["head.vocabulary"]
    torch.save(dict(state), tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="chooses from a vocabulary"):
        import_checkpoint(tmp_path / "a.pth", HYDRA, tmp_path / "ours.ckpt")

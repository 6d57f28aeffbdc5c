"""Conversion of published state dicts: prefixes, strictness, cuts and joins; every error names its keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from navforge.core.errors import DataError
from navforge.models.conversion import Conversion, Recognised, Rule, State, convert, recognise
from navforge.models.conversions import CONVERSIONS
from navforge.models.conversions.transfuser import TRANSFUSER
from tests.models.published import as_published
from tests.models.test_transfuser import of_size

TOY = Conversion(
    name="Toy",
    marks=("net.first", "net.table"),
    rules=(
        Rule(r"encoder\.(\w+)\.weight", r"net.\1"),
        Rule(r"head\.upper", "net.table", (None, 2)),
        Rule(r"head\.lower", "net.table", (2, None)),
        Rule(r"head\.joined", ("net.query", "net.key")),
        Rule(r"head\.turned", "net.turned", reversed_axis=1),
        Rule(r"head\.count", "net.count"),
    ),
    unused=(r"net\.dead\..*",),
)


def published() -> State:
    return {
        "net.first": torch.arange(4.0),
        "net.table": torch.arange(10.0).reshape(5, 2),
        "net.query": torch.zeros(2, 3),
        "net.key": torch.ones(2, 3),
        "net.turned": torch.tensor([[1.0, 2.0, 3.0]]),
        "net.count": torch.tensor(7),
        "net.dead.weight": torch.ones(3),
    }


def wanted() -> State:
    shapes = {"head.upper": (2, 2), "head.lower": (3, 2), "head.joined": (4, 3), "head.turned": (1, 3)}
    state = {name: torch.full(shape, float("nan")) for name, shape in shapes.items()}
    return {"encoder.first.weight": torch.empty(4), **state, "head.count": torch.tensor(0)}


def of_toy(state: State) -> Recognised:
    return Recognised(TOY, "", state)


def test_renamed_cut_joined_turned_and_left_out() -> None:
    made = convert(of_toy(published()), wanted())
    assert made.keys() == wanted().keys()
    assert made["encoder.first.weight"].tolist() == [0, 1, 2, 3]
    assert made["head.upper"].tolist() == [[0, 1], [2, 3]]
    assert made["head.lower"].tolist() == [[4, 5], [6, 7], [8, 9]]
    assert made["head.joined"].tolist() == [[0] * 3] * 2 + [[1] * 3] * 2
    assert made["head.turned"].tolist() == [[3, 2, 1]]
    assert made["head.count"].item() == 7


@pytest.mark.parametrize("prefix", ["", "agent.", "agent.model.", "agent._transfuser_model."])
def test_any_prefix_is_found(prefix: str) -> None:
    found = recognise({prefix + key: value for key, value in published().items()}, (TRANSFUSER, TOY))
    assert (found.conversion, found.prefix) == (TOY, prefix)
    assert found.state.keys() == published().keys()
    assert found.vocabulary is None


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"no conversion knows these keys: fc\.weight, .* and 2 more; known: TransFuser"
    ):
        recognise({f"{name}.weight": torch.zeros(1) for name in ("fc", "a", "b", "c", "d", "e", "f")}, (TRANSFUSER,))
    without_mark = published()
    del without_mark["net.table"]
    with pytest.raises(DataError, match="known: Toy"):
        recognise(without_mark, (TOY,))
    with pytest.raises(DataError, match="no conversion knows"):
        recognise({"xnet.first": torch.zeros(1), "xnet.table": torch.zeros(1)}, (TOY,))


def test_keys_outside_the_prefix_are_refused() -> None:
    state = {f"agent.{key}": value for key, value in published().items()}
    with pytest.raises(DataError, match=r"outside the prefix 'agent\.': teacher\.weight"):
        recognise({**state, "teacher.weight": torch.zeros(1)}, (TOY,))


def test_missing_unexpected_and_foreign_keys_are_named() -> None:
    less, more = published(), published()
    del less["net.key"]
    with pytest.raises(DataError, match=r"missing keys: p\.net\.key$"):
        convert(Recognised(TOY, "p.", less), wanted())
    more["net.extra.bias"] = torch.zeros(1)
    with pytest.raises(DataError, match=r"unexpected keys: p\.net\.extra\.bias$"):
        convert(Recognised(TOY, "p.", more), wanted())
    with pytest.raises(DataError, match=r"parameters of its own: head\.mine$"):
        convert(of_toy(published()), {**wanted(), "head.mine": torch.zeros(1)})


def test_a_part_that_our_planner_lacks_is_unexpected() -> None:
    ours = wanted()
    del ours["encoder.first.weight"]
    with pytest.raises(DataError, match=r"unexpected keys: net\.first$"):
        convert(of_toy(published()), ours)


def test_shapes_are_exact() -> None:
    state = published()
    state["net.key"] = torch.ones(3, 3)
    with pytest.raises(DataError, match=r"net\.query, net\.key gives shape \(5, 3\), head\.joined takes \(4, 3\)"):
        convert(of_toy(state), wanted())
    state = published()
    state["net.turned"] = state["net.turned"].T  # as many numbers, another shape
    with pytest.raises(DataError, match=r"net\.turned gives shape \(3, 1\)"):
        convert(of_toy(state), wanted())


def test_no_row_is_lost() -> None:
    ours = wanted()
    del ours["head.lower"]
    with pytest.raises(DataError, match=r"net\.table has 5 rows, the planner takes 2"):
        convert(of_toy(published()), ours)


def test_the_converted_is_a_copy() -> None:
    state = published()
    made = convert(of_toy(state), wanted())
    made["head.upper"].zero_()
    assert state["net.table"][1].tolist() == [2, 3]


@pytest.mark.parametrize("latent", [False, True])
def test_transfuser_there_and_back(latent: bool) -> None:
    config = of_size(False, latent=latent)
    planner, other = config.build(), config.build()
    found = recognise(as_published(planner, TRANSFUSER, "agent._transfuser_model."), CONVERSIONS)
    assert found.conversion is TRANSFUSER
    other.load_state_dict(convert(found, other.state_dict()), strict=True)
    state = planner.state_dict()
    assert all(torch.equal(state[name], value) for name, value in other.state_dict().items())


def test_ltf_is_no_transfuser() -> None:
    transfuser, ltf = of_size(False, latent=False).build(), of_size(False, latent=True).build()
    with pytest.raises(DataError, match=r"missing keys: _backbone\.lidar_latent$"):
        convert(recognise(as_published(transfuser, TRANSFUSER), CONVERSIONS), ltf.state_dict())
    with pytest.raises(DataError, match=r"unexpected keys: _backbone\.lidar_latent$"):
        convert(recognise(as_published(ltf, TRANSFUSER), CONVERSIONS), transfuser.state_dict())


def test_every_rule_is_of_use() -> None:
    keys = of_size(False, latent=True).build().state_dict()
    assert all(TRANSFUSER.source(key) is not None for key in keys)
    for rule in TRANSFUSER.rules:
        others = replace(TRANSFUSER, rules=tuple(other for other in TRANSFUSER.rules if other is not rule))
        assert [key for key in keys if others.source(key) != TRANSFUSER.source(key)], rule

"""A study file unfolds into cells, nodes and comparisons; what cannot be meant is refused, with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from navforge.cli.main import main
from navforge.core.errors import ConfigError
from navforge.data.paths import DataConfig
from navforge.reports.study_plan import disk_line
from navforge.studies.disk import Room, rooms
from navforge.studies.graph import Graph, unfold
from navforge.studies.plan import assumed
from navforge.studies.splits import SplitSize, require_no_overlap
from navforge.studies.study_file import SHIPPED, read_study
from tests.studies.world import STUDY, configure, graph, study, write


def test_cells_stages_and_what_reads_what(tmp_path: Path) -> None:
    found = graph(tmp_path)
    assert [cell.name for cell in found.cells] == ["narrow, 50 %", "narrow, 100 %", "wide, 50 %", "wide, 100 %"]
    names = list(found.nodes)
    assert set(names[:4]) == {"town", "cache test", "cache train", "constant velocity, on test"}
    assert len(names) == 3 + 1 + 4 * 2 * 2
    run = found.nodes["wide, 50 %, seed 1"]
    assert set(run.needs) == {"town", "cache train"}
    assert "planner.head.hidden=32" in run.words and "labels.fraction=0.5" in run.words and "train.seed=1" in run.words
    assert set(found.nodes["wide, 50 %, seed 1, on test"].needs) == {"town", "cache test", "wide, 50 %, seed 1"}
    assert all(names.index(read) < names.index(name) for name, node in found.nodes.items() for read in node.needs)
    order = [name for name in names if name.endswith(("seed 0", "seed 1"))]
    assert [name[-1] for name in order] == ["0"] * 4 + ["1"] * 4, "all cells have a seed before one has two"


def test_comparisons_are_made_in_every_level_of_other_factors(tmp_path: Path) -> None:
    assert [(one.name, one.first, one.second, one.factor) for one in graph(tmp_path).comparisons] == [
        ("wide - narrow at 50 %", "wide, 50 %", "narrow, 50 %", "width"),
        ("wide - narrow at 100 %", "wide, 100 %", "narrow, 100 %", "width"),
    ]
    pair = {**STUDY["comparisons"][0], "within": {"labels": ["100 %"]}}
    assert [one.name for one in graph(tmp_path, comparisons=[pair]).comparisons] == ["wide - narrow at 100 %"]
    both = {
        "first": {"width": "wide", "labels": "50 %"},
        "second": {"width": "narrow", "labels": "100 %"},
        "factor": ["width", "labels"],
    }
    assert [one.factor for one in graph(tmp_path, comparisons=[both]).comparisons] == ["width x labels"]


def test_left_out_cells_and_their_comparisons_are_not_there(tmp_path: Path) -> None:
    found = graph(tmp_path, leave_out=[{"width": "narrow", "labels": "50 %"}])
    assert len(found.cells) == 3
    assert [one.name for one in found.comparisons] == ["wide - narrow at 100 %"]


def test_only_what_is_new_has_another_folder(tmp_path: Path) -> None:
    """A further level, seed and split, a renamed stage, another way to work: what was made is found again."""
    before = {node.marker for node in graph(tmp_path).nodes.values()}
    factors = {**STUDY["factors"], "width": {**STUDY["factors"]["width"], "huge": {"planner.head.hidden": 64}}}
    more = graph(
        tmp_path,
        factors=factors,
        seeds=[0, 1, 2],
        evaluate={**STUDY["evaluate"], "val": {**STUDY["evaluate"]["test"], "protocol": "pdms_v1"}},
        shared={**STUDY["shared"], "train": {**STUDY["shared"]["train"], "loader_workers": 2}},
    )
    assert before < {node.marker for node in more.nodes.values()}
    other = graph(tmp_path, shared={**STUDY["shared"], "train": {**STUDY["shared"]["train"], "epochs": 3}})
    kept = before & {node.marker for node in other.nodes.values()}
    assert {path.parent.parent.name for path in kept} == {"stages", "test"}, (
        "runs are new, stages and the floor are not"
    )


def test_what_a_stage_reads_decides_the_folders_of_all_that_reads_it(tmp_path: Path) -> None:
    before = graph(tmp_path).nodes
    town = {**STUDY["stages"]["town"], "seed": 1}
    after = graph(tmp_path, stages={**STUDY["stages"], "town": town}).nodes
    assert all(before[name].out != after[name].out for name in before)


def test_where_the_study_and_the_data_lie_changes_no_fingerprint(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    first = graph(here, stages={**STUDY["stages"]}, data={"logs": "/a", "maps": "/b"}).nodes
    second = graph(there, stages={**STUDY["stages"]}, data={"logs": "/c", "maps": "/d"}).nodes
    assert [node.key for node in first.values()] == [node.key for node in second.values()]


def test_a_stage_per_level_is_made_once_where_levels_share_it(tmp_path: Path) -> None:
    stages = {
        **STUDY["stages"],
        "features": {
            "verb": "encode",
            "agent": "vit_tiny_mlp",
            "split": "train",
            "val_split": "val",
            "per": ["encoder"],
        },
    }
    factors = {
        "encoder": {"small": {"planner.encoder.height": 32}, "large": {"planner.encoder.height": 64}},
        "labels": STUDY["factors"]["labels"],
    }
    shared = {**STUDY["shared"], "agent": "vit_tiny_mlp", "features": "${features}"}
    pairs = [{"first": {"encoder": "small"}, "second": {"encoder": "large"}}]
    found = graph(tmp_path, stages=stages, factors=factors, shared=shared, comparisons=pairs)
    assert [node.name for node in found.nodes.values() if node.verb == "encode"] == [
        "features, small",
        "features, large",
    ]
    assert "features, small" in found.nodes["small, 50 %, seed 0"].needs
    assert "planner.encoder.height=32" in found.nodes["features, small"].words


def test_a_level_may_have_its_own_seeds(tmp_path: Path) -> None:
    """The same planner under two names, trained from other seeds: a null study."""
    factors = {"name": {"one": {}, "another": {"seeds": [2, 3, 4]}}}
    pairs = [{"first": {"name": "one"}, "second": {"name": "another"}}]
    found = graph(tmp_path, factors=factors, comparisons=pairs)
    assert [cell.seeds for cell in found.cells] == [(0, 1), (2, 3, 4)]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a key of the file": ({"factor": {}}, "unknown key 'factor'; did you mean factors"),
    "a key of a verb": (
        {"factors": {"width": {"narrow": {"planner.head.hiden": 1}, "wide": {}}}},
        r"narrow, seed 0 \(navforge train\): unknown key 'planner.head.hiden'; did you mean planner.head.hidden",
    ),
    "a value": ({"shared": {**STUDY["shared"], "labels.fraction": 2}}, "labels.fraction: expected"),
    "a verb": ({"stages": {"c": {"verb": "cach"}}}, "did you mean cache"),
    "a stage": ({"shared": {**STUDY["shared"], "cache": "${cache trian}"}}, "did you mean cache train"),
    "a circle": (
        {"stages": {**STUDY["stages"], "town": {"verb": "cache", "split": "${cache train}"}}},
        "town reads town; a stage cannot read itself",
    ),
    "a level": (
        {"comparisons": [{"first": {"width": "wider"}, "second": {"width": "narrow"}}]},
        "no level 'wider'; did you mean wide",
    ),
    "the same run": (
        {"factors": {"width": {"small": {}, "default": {"planner.head.hidden": 512}}}, "comparisons": []},
        "the same run at seed 0: nothing that is trained differs between levels 'small' and 'default' of factor width",
    ),
    "two differences": (
        {
            "comparisons": [
                {"first": {"width": "wide", "labels": "50 %"}, "second": {"width": "narrow", "labels": "100 %"}}
            ]
        },
        "differ in width and labels, so the difference has several possible causes",
    ),
    "another factor": (
        {"comparisons": [{"first": {"width": "wide"}, "second": {"width": "narrow"}, "factor": "labels"}]},
        "differ in width, which is not labels",
    ),
    "one side only": (
        {"comparisons": [{"first": {"width": "wide", "labels": "50 %"}, "second": {"width": "narrow"}}]},
        "only one side has a level of labels",
    ),
    "a key of two factors": (
        {"factors": {"a": {"x": {"labels.fraction": 0.5}, "y": {}}, "b": {"v": {"labels.fraction": 1.0}, "w": {}}}},
        "a and b both set labels.fraction",
    ),
    "the trained split": (
        {"evaluate": {"test": {**STUDY["evaluate"]["test"], "split": "train"}}},
        "evaluate.test.split: train is trained on",
    ),
    "a key of the study": ({"shared": {**STUDY["shared"], "out": "x"}}, "shared.out: the study sets this itself"),
    "seeds": ({"seeds": [0, 0]}, "holds a seed twice"),
    "nothing left": (
        {"leave_out": [{"width": "wide"}, {"width": "narrow"}], "comparisons": []},
        "no combination of levels is left",
    ),
    "launch": ({"launch": {"at_onc": 2}}, "launch: unknown key 'at_onc'; did you mean at_once"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, name: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        unfold(read_study(write(tmp_path / "study.yaml", study(**changes))), tmp_path, configure)


def test_what_weakens_a_study_is_said(tmp_path: Path) -> None:
    evaluate = {"val": {**STUDY["evaluate"]["test"], "split": "val"}}
    factors = {"width": {"narrow": {"planner.head.hidden": 16, "train.epochs": 3}, "wide": {"train.epochs": 3}}}
    stages = {**STUDY["stages"], "cache val": {"verb": "cache", "split": "val"}}
    warnings = "\n".join(
        graph(tmp_path, seeds=[0], evaluate=evaluate, factors=factors, stages=stages, comparisons=[]).warnings
    )
    labels = {"labels": {"10 %": {"labels.fraction": 0.1}, "100 %": {}}}
    warnings += "\n".join(graph(tmp_path, factors=labels, comparisons=[]).warnings)
    equal = {**STUDY["shared"], "train.updates": 40}
    assert "fewer updates" not in "".join(graph(tmp_path, factors=labels, comparisons=[], shared=equal).warnings)
    for words in (
        "factors.labels: its levels train for equally many epochs, so fewer labels also mean fewer updates",
        "one seed",
        "chooses the best checkpoint",
        "train.epochs is the same",
        "nothing reads cache val",
        "none planned",
    ):
        assert words in warnings


@pytest.mark.parametrize("name", SHIPPED)
def test_the_studies_of_navforge_unfold_without_a_warning(tmp_path: Path, name: str) -> None:
    found = unfold(read_study(Path(name)), tmp_path, configure)
    assert found.warnings == ()
    assert found.comparisons and all(len(cell.seeds) >= 3 for cell in found.cells)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("thesis/")])
def test_thesis_studies_are_predicted_from_the_size_of_the_benchmark(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "plan", name, f"out={tmp_path}", "measure=false"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    duration = r"\d+ (?:min|h|d) \d+ (?:s|min|h)"
    assert re.search(rf"predicted for \d+ of them: {duration} \({duration} to {duration}\) of runs", shown)
    assert re.search(rf"of GPUs: {duration} \(", shown)
    size = r"~ [\d.]+ [MG]iB"
    assert re.search(rf"disk: 0 MiB are there, {size} of stages to come, {size} of runs to come, {size} of eval", shown)
    assert "136 logs), 3 against 3 seeds" in shown and "assumed spreads: 0.65 points over seeds" in shown


def test_room_is_what_lies_there_else_what_its_siblings_take_else_predicted(tmp_path: Path) -> None:
    found = graph(tmp_path)
    first, *others = found.cells[0].runs
    first.out.mkdir(parents=True)
    first.marker.write_text("0123456789")
    (first.out / "again").hardlink_to(first.marker)
    asked = []

    def predict(verb: str, _: object, scenes: int | None) -> int | None:
        asked.append((verb, scenes))
        return 1000 if verb == "train" else None

    sizes = rooms(found, configure, predict)
    assert sizes[first.name] == Room(10, True), "a file with two names counts once"
    assert {sizes[run.name] for run in others} == {Room(10, False)}
    assert {sizes[run.name] for run in found.cells[1].runs} == {Room(1000, False)}
    line = disk_line(found, sizes)
    runs = 10 * len(others) + 1000 * sum(len(cell.runs) for cell in found.cells[1:])
    assert line.startswith("disk: 0 MiB are there") and ", stages to come unknown, " in line
    assert sum(room.bytes or 0 for room in sizes.values() if not room.there) == runs


def test_a_predicted_hour_is_samples_over_speed(tmp_path: Path) -> None:
    found = unfold(read_study(Path("thesis/labels")), tmp_path, configure)
    tenth, whole = (
        assumed(found, configure("train", found.cells[place].runs[0].words), SplitSize(scenes=103_288, logs=1192))
        for place in (0, 3)
    )
    assert tenth is not None and whole is not None
    assert whole.hours[1:] == pytest.approx((64_000 * 32 / 2000 / 3600, 64_000 * 32 / 100 / 3600))
    assert tenth.hours == whole.hours, "of equally many updates"


def test_a_scored_split_that_shares_scenes_with_training_is_refused(tmp_path: Path) -> None:
    data = DataConfig(logs=tmp_path / "logs", splits=tmp_path)
    for name, tokens in (("mine", ["a1", "a2", "a3"]), ("other", ["a3", "a4"]), ("apart", ["a5"])):
        listed = "".join(f"  - {token * 8}\n" for token in tokens)
        (tmp_path / f"{name}.yaml").write_text(f"num_history_frames: 4\nnum_future_frames: 10\ntokens:\n{listed}")
    with pytest.raises(ConfigError, match="1 of 2 scenes of other are in mine too, which is trained on"):
        require_no_overlap("mine", "other", data)
    require_no_overlap("mine", "apart", data)
    for split, log in (("one", "x"), ("two", "x"), ("three", "y")):
        (tmp_path / "logs" / split).mkdir(parents=True)
        (tmp_path / "logs" / split / f"{log}.pkl").touch()
    with pytest.raises(ConfigError, match="1 of 1 logs of two are in one too"):
        require_no_overlap("one", "two", data)
    require_no_overlap("one", "three", data)


def finish(found: Graph) -> None:
    """Write what verbs write last, and the configs that say of which data."""
    for node in found.nodes.values():
        node.out.mkdir(parents=True, exist_ok=True)
        node.marker.write_text("{}")
        places = {
            key.removeprefix("data."): value
            for key, _, value in (w.partition("=") for w in node.words)
            if "data." in key
        }
        (node.out / f"{node.verb}.config.yaml").write_text(yaml.safe_dump({"data": places}))


def test_what_an_earlier_study_has_finished_is_taken_over(tmp_path: Path) -> None:
    first = graph(tmp_path)
    finish(first)
    wider = {**STUDY["factors"], "width": {**STUDY["factors"]["width"], "huge": {"planner.head.hidden": 64}}}
    second = unfold(
        read_study(write(tmp_path / "b.yaml", study(factors=wider, take_over=[str(first.out)]))),
        tmp_path / "B",
        configure,
    )
    assert {node.name for node in second.nodes.values() if not node.done} == {
        name for name in second.nodes if name.startswith("huge")
    }
    assert {name: node.out for name, node in second.nodes.items() if second.takes_over(node)} == {
        name: node.out for name, node in first.nodes.items()
    }
    first.nodes["wide, 50 %, seed 1"].marker.unlink()
    again = unfold(read_study(tmp_path / "b.yaml"), tmp_path / "B", configure)
    assert again.nodes["wide, 50 %, seed 1"].out.is_relative_to(tmp_path / "B"), "what is not done is made here"


def test_nothing_is_taken_over_that_was_made_of_other_data(tmp_path: Path) -> None:
    """Fingerprints do not tell where data lie, so that a study finds what it made when the data move."""
    here, there = ({"logs": f"/{place}/navsim_logs", "maps": f"/{place}/maps"} for place in ("here", "there"))
    plain = {"stages": {**STUDY["stages"]}, "data": here}
    del plain["stages"]["town"]
    first = graph(tmp_path, **plain)
    finish(first)
    for data, taken in ((here, True), (there, False)):
        path = write(tmp_path / "b.yaml", study(**{**plain, "data": data}, take_over=[str(first.out)]))
        second = unfold(read_study(path), tmp_path / "B", configure)
        assert [node.key for node in second.nodes.values()] == [node.key for node in first.nodes.values()]
        assert all(second.takes_over(node) == taken for node in second.nodes.values())


def test_a_folder_to_take_over_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"take_over: no such folder: .*nowhere"):
        graph(tmp_path, take_over=[str(tmp_path / "nowhere")])

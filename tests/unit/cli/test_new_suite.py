"""`nightbench new-suite` writes what `plan` accepts, for every engine and however it is told."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from nightbench.cli import new_suite_command
from nightbench.cli.main import main
from nightbench.cli.new_suite_text import Found, SuiteChoices, suite_text
from nightbench.errors import BadInput
from nightbench.night.planning import PlannedTarget, plan_suite
from nightbench.suite.file import read_suite

NODE = Found(gpus=("NVIDIA H100",) * 4, commands=("ollama", "docker"))
LAPTOP = Found()


def planned(path: Path) -> PlannedTarget:
    file = read_suite(path)
    (target,) = plan_suite(file.suite)
    return target


@pytest.mark.parametrize("found", [NODE, LAPTOP], ids=["node", "laptop"])
@pytest.mark.parametrize(
    ("answers", "command"),
    [
        (
            SuiteChoices(engine="vllm", model="hf:Qwen/Qwen3-8B@main"),
            "vllm serve hf:Qwen/Qwen3-8B@main",
        ),
        (SuiteChoices(engine="lmdeploy", model="modelscope:o/n"), "lmdeploy serve api_server"),
        (SuiteChoices(engine="sglang", model="hf:o/n", tensor_parallel_size=2), "--tp-size 2"),
        (SuiteChoices(engine="ollama", model="gemma3:4b"), "ollama serve"),
        (SuiteChoices(engine="remote", model="m", base_url="http://127.0.0.1:1/v1"), ""),
        (SuiteChoices(engine="remote", model=None, provider="internlm", api_key_env="K"), ""),
        (SuiteChoices(engine="vllm", model="hf:o/n", benchmarks=()), "vllm serve"),
        (
            SuiteChoices(engine="vllm", model="hf:o/n", max_concurrency=(2,), name="no"),
            "vllm serve",
        ),
    ],
)
def test_what_is_written_is_planned(
    tmp_path: Path, answers: SuiteChoices, command: str, found: Found
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(suite_text(answers, found))
    target = planned(path)
    assert command in target.command
    assert len(target.benchmarks) == len(answers.benchmarks)
    assert [load.levels for load in target.loads] == [
        tuple(f"max_concurrency {n}" for n in answers.max_concurrency)
    ]
    assert found.sentence() in path.read_text()
    assert sum(" # " in line or line.startswith("#") for line in path.read_text().splitlines()) > 5


@pytest.mark.parametrize(
    ("engine", "model", "name"),
    [
        ("vllm", "hf:Qwen/Qwen3-8B@v1.0", "qwen3-8b"),
        ("vllm", "/models/ZhipuAI/GLM-4.5-Air", "glm-4.5-air"),
        ("ollama", "gemma3:4b", "gemma3-4b"),
        ("remote", None, "internlm"),
    ],
)
def test_a_suite_is_named_after_its_model(engine: object, model: str | None, name: str) -> None:
    answers = SuiteChoices(engine=engine, model=model, provider="internlm")  # type: ignore[arg-type]
    assert answers.suite_name() == name


def test_flags_write_a_file_that_plan_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["new-suite", "--yes", "--engine", "vllm", "--model", "hf:Qwen/Qwen3-8B"]
    assert main([*flags, "--benchmarks", "iquiz,ceval", "--max-concurrency", "5,10"]) == 0
    assert "nightbench plan qwen3-8b.yaml" in capsys.readouterr().out
    assert main(["plan", "qwen3-8b.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "vllm serve hf:Qwen/Qwen3-8B" in shown
    assert "iquiz" in shown
    assert main(flags) == 2, "a file that is there is not written over"
    assert main([*flags, "--force"]) == 0


def test_a_url_alone_is_a_server_that_runs_already(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    url = "http://127.0.0.1:8200/v1"
    assert main(["new-suite", str(path), "--yes", "--base-url", url]) == 0
    assert url in planned(path).hardware


@pytest.mark.parametrize(
    "flags",
    [
        ["--engine", "lmdeploy"],
        ["--benchmarks", "no-such-benchmark"],
        ["--max-concurrency", "many"],
        ["--provider", "nobody"],
        ["--max-concurrency", "0"],
    ],
)
def test_what_makes_no_suite_is_refused_and_leaves_no_file(
    tmp_path: Path, flags: list[str]
) -> None:
    path = tmp_path / "s.yaml"
    assert main(["new-suite", str(path), "--yes", *flags]) == 2
    assert not path.exists()


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    new_suite_command.add_parser(parser.add_subparsers())
    return parser.parse_args(["new-suite", *argv])


def test_what_no_flag_says_is_asked_and_what_is_usual_may_be_taken() -> None:
    asked: list[str] = []
    replies = {"engine": "sglang", "model": "hf:o/n", "GPUs": "4"}

    def ask(question: str, usual: str) -> str:
        asked.append(question.split(" ", maxsplit=1)[0])
        return replies.get(asked[-1], usual)

    answers = new_suite_command.answers_of(parsed("--benchmarks", "iquiz"), NODE, ask)
    assert asked == ["engine", "model", "GPUs", "load"]
    assert (answers.engine, answers.model, answers.tensor_parallel_size) == ("sglang", "hf:o/n", 4)
    assert answers.max_concurrency == (1, 4, 16)


def written(path: Path, *flags: str) -> str:
    assert main(["new-suite", str(path), "--yes", "--engine", "vllm", "--force", *flags]) == 0
    return path.read_text()


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        (["--for-gpus", "4"], 4),
        (["--for-gpus", "6"], 4),
        (["--for-gpus", "1"], 1),
        (["--for-gpus", "4", "--tensor-parallel-size", "2"], 2),
        (["--tensor-parallel-size", "8"], 8),
    ],
)
def test_a_suite_for_a_node_with_gpus_has_no_settings_of_this_machine_s_cores(
    tmp_path: Path, flags: list[str], size: int
) -> None:
    text = written(tmp_path / "s.yaml", "--model", "hf:o/n", *flags)
    for setting in ("float32", "enforce-eager", "VLLM_CPU_KVCACHE_SPACE"):
        assert setting not in text
    assert f"tensor_parallel_size: {size} " in text


def test_a_suite_for_a_node_without_gpus_has_them(tmp_path: Path) -> None:
    assert "float32" in written(tmp_path / "s.yaml", "--model", "hf:o/n", "--for-gpus", "0")


@pytest.mark.parametrize(
    ("typed", "model"),
    [
        ("Qwen/Qwen3-8B", "hf:Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B@main", "hf:Qwen/Qwen3-8B@main"),
        ("https://huggingface.co/Qwen/Qwen3-8B", "hf:Qwen/Qwen3-8B"),
        ("https://modelscope.cn/models/Qwen/Qwen3-8B/", "modelscope:Qwen/Qwen3-8B"),
        ("/models/Qwen3-8B", "/models/Qwen3-8B"),
        ("./models/Qwen3-8B", "./models/Qwen3-8B"),
    ],
)
def test_a_name_that_looks_like_a_hub_s_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, model: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "s.yaml", "--model", typed)
    assert read_suite(tmp_path / "s.yaml").suite.targets[0].model == model


def test_a_folder_that_is_here_is_found_from_the_suite_s_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "o" / "n").mkdir(parents=True)
    (tmp_path / "suites").mkdir()
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "suites" / "s.yaml", "--model", "o/n")
    model = read_suite(tmp_path / "suites" / "s.yaml").suite.targets[0].model
    assert model == str(tmp_path / "o" / "n")


def test_benchmarks_without_load_make_a_suite(tmp_path: Path) -> None:
    text = written(tmp_path / "s.yaml", "--model", "hf:o/n", "--max-concurrency", "")
    assert "load:" not in text


@pytest.mark.parametrize(
    "flags",
    [
        ["--benchmarks", "humaneval"],
        ["--benchmarks", "", "--max-concurrency", ""],
        ["--for-gpus", "2", "--tensor-parallel-size", "4"],
        ["--for-gpus", "-1"],
    ],
)
def test_what_is_refused_leaves_the_file_of_before(tmp_path: Path, flags: list[str]) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("mine")
    assert main(["new-suite", str(path), "--yes", "--force", *flags]) == 2
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="no engine vlm"):
        new_suite_command.answers_of(parsed(), LAPTOP, lambda question, usual: "vlm")

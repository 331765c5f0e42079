"""A suite travels as its run began with it, whatever became of its file, and with no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.errors import BadInput
from nightbench.resources import suites_dir
from nightbench.suite.file import SuiteFile, read_suite
from nightbench.suite.travelling import MOST_BYTES, received, text_to_send
from tasks import starting

RUN = "20261121T020000Z-s-abcdef"
SUITE = """
# HF_TOKEN=hf_AbCdEfGh1234567890 was for the old ones
name: s
description: "on: 1e-3, 0x1f, 01:30 ✓"
targets:
  - &one
    name: a
    model: models/it
    engine: {kind: vllm, args: {rope: 1.0e-3, dtype: "1"}, env: {PLACE: here}}
  - {<<: *one, name: b}
matrix: {engine.args.seed: [1, 2]}
load: [{name: l, workload: {kind: openqa, path: data/p.jsonl}, max_concurrency: 1, num_prompts: 2}]
"""
REMOTE = """
name: s
targets: [{{name: a, engine: {{kind: remote, base_url: "http://127.0.0.1:1/v1", {engine}}}}}]
accuracy: [{{benchmark: starter, generation: {{extra_body: {body}}}}}]
"""


def suite_in(folder: Path, text: str = SUITE) -> SuiteFile:
    folder.mkdir(exist_ok=True)
    file = folder / "s.yaml"
    file.write_text(text)
    return read_suite(file)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of suites of another node, with nothing in it."""
    folder = tmp_path / "node"
    folder.mkdir()
    monkeypatch.setenv("NIGHTBENCH_SUITES", str(folder))
    return folder


@pytest.mark.parametrize("there", [None, "name: edited\n", "no: [suite", SUITE])
def test_a_node_measures_what_was_sent_whatever_its_own_file_says(
    there: str | None, tmp_path: Path, node: Path
) -> None:
    began = suite_in(tmp_path / "first")
    sent = text_to_send(began, {})
    began.path.write_text("name: edited at midnight\n")
    if there is not None:
        (node / "s.yaml").write_text(there)
    got = starting.suite_of_run("s", RUN, began.digest, sent)
    assert got.suite == began.suite
    assert [target.name for target in got.suite.targets] == ["a-1", "a-2", "b-1", "b-2"]
    assert got.digest == began.digest
    assert got.base_dir == node


def test_relative_paths_start_where_the_node_has_the_suite_of_that_name(
    tmp_path: Path, node: Path
) -> None:
    began = suite_in(tmp_path / "first")
    sent = text_to_send(began, {})
    assert starting.suite_of_run("starter", RUN, began.digest, sent).base_dir == suites_dir()
    assert starting.suite_of_run("../../s", RUN, began.digest, sent).base_dir == node


@pytest.mark.parametrize("forged", ["text", "digest", "seal", "no seal", "no digest"])
def test_what_is_not_what_was_sent_is_refused(forged: str, tmp_path: Path) -> None:
    began = suite_in(tmp_path / "first")
    sent = text_to_send(began, {})
    changed = {
        "text": (sent.replace("num_prompts: 2", "num_prompts: 3"), began.digest),
        "digest": (sent, "0123456789abcdef"),
        "seal": (sent.replace("# ", "# 0", 1), began.digest),
        "no seal": (SUITE, began.digest),
        "no digest": (sent, ""),
    }
    text, digest = changed[forged]
    with pytest.raises(BadInput, match="was changed on its way"):
        received(text, digest, began.path)


def test_comments_stay_at_home(tmp_path: Path) -> None:
    sent = text_to_send(suite_in(tmp_path / "first"), {})
    assert "hf_Ab" not in sent
    assert "PLACE: here" in sent


@pytest.mark.parametrize(
    ("engine", "body"),
    [
        ("headers: {X-Gateway: open-sesame}", "{}"),
        ("headers: {Authorization: 'Bearer ***'}", "{}"),
        ("api_key_env: MY_KEY", "{api_key: sk-AbCd1234Ef}"),
        ("api_key_env: MY_KEY", "{api_keys: [sk-AbCd1234Ef]}"),
        ("api_key_env: MY_KEY", "{credentials: {value: sk-AbCd1234Ef}}"),
        ("api_key_env: MY_KEY", "{note: it is kim-4711-sesame}"),
    ],
)
def test_a_text_that_may_tell_a_secret_is_not_sent(engine: str, body: str, tmp_path: Path) -> None:
    file = suite_in(tmp_path / "first", REMOTE.format(engine=engine, body=body))
    assert text_to_send(file, {"MY_KEY": "kim-4711-sesame"}) == ""


def test_names_of_variables_are_no_secrets(tmp_path: Path) -> None:
    engine = "api_key_env: MY_KEY1, headers: {Authorization: 'Basic ${LOGIN1}'}"
    file = suite_in(tmp_path / "first", REMOTE.format(engine=engine, body="{api_key: null}"))
    sent = text_to_send(file, {"MY_KEY1": "kim-4711-sesame", "LOGIN1": "kim:open-sesame-1"})
    assert received(sent, file.digest, file.path).suite == file.suite


def test_what_prefect_would_not_take_is_not_sent(tmp_path: Path) -> None:
    text = SUITE + f"swanlab: {{level_experiment: {'é' * (MOST_BYTES // 6)}}}\n"
    assert text_to_send(suite_in(tmp_path / "first", text), {}) == ""


def test_a_suite_that_cannot_be_sent_has_to_be_the_same_file(tmp_path: Path, node: Path) -> None:
    began = suite_in(tmp_path / "first")
    assert suite_in(node).digest == began.digest
    assert starting.suite_of_run("s", RUN, began.digest).suite == began.suite
    (node / "s.yaml").write_text(SUITE + "time_budget: 1h\n")
    with pytest.raises(BadInput, match=f"is not what {RUN} began with"):
        starting.suite_of_run("s", RUN, began.digest)


@pytest.mark.parametrize("path", sorted(suites_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_suite_that_ships_is_sent(path: Path) -> None:
    file = read_suite(path)
    assert received(text_to_send(file, {}), file.digest, path).suite == file.suite

"""Prompts from files and from nowhere, in a seeded order, and never too few in silence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from nightbench.errors import DataError
from nightbench.load.plan.workloads import PromptLengths, Prompts, prompt_hash, read_prompts
from nightbench.suite.models import Workload


def read(base_dir: Path, count: int, seed: int = 0, **fields: Any) -> Prompts:
    return read_prompts(Workload.model_validate(fields), count, seed, base_dir)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "q.jsonl"
    lines = [json.dumps({"question": f"问题 {i}?", "id": i}, ensure_ascii=False) for i in range(50)]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def test_openqa_is_read_from_beside_the_suite(questions: Path) -> None:
    prompts = read(questions.parent, 50, kind="openqa", path="q.jsonl")
    assert sorted(prompts.texts) == sorted(f"问题 {i}?" for i in range(50))


def test_the_order_is_seeded_and_not_the_files(questions: Path) -> None:
    first = read(questions.parent, 50, kind="openqa", path="q.jsonl").texts
    assert first == read(questions.parent, 50, kind="openqa", path="q.jsonl").texts
    assert first != read(questions.parent, 50, seed=1, kind="openqa", path="q.jsonl").texts
    assert list(first) != [f"问题 {i}?" for i in range(50)]


def test_asking_for_fewer_takes_the_first_of_the_same_order(questions: Path) -> None:
    all_of_them = read(questions.parent, 50, kind="openqa", path="q.jsonl").texts
    assert read(questions.parent, 10, kind="openqa", path="q.jsonl").texts == all_of_them[:10]


def test_a_short_data_set_is_refused_with_the_numbers(questions: Path) -> None:
    with pytest.raises(DataError, match=r"holds 50 prompts; 51 are asked for"):
        read(questions.parent, 51, kind="openqa", path="q.jsonl")


def test_a_short_data_set_is_repeated_only_where_that_is_said(questions: Path) -> None:
    prompts = read(questions.parent, 120, kind="openqa", path="q.jsonl", repeat=True)
    assert len(prompts) == 120
    assert prompts.texts[0] == prompts.texts[50]
    assert prompts.shares_prefix


def test_lines_are_prompts(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\r\n\n  two \nthree", encoding="utf-8")
    prompts = read(tmp_path, 3, kind="line_by_line", path="lines.txt")
    assert sorted(prompts.texts) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "line 1: not JSON"), ('{"q": 1}', "line 1"), ('{"question": ""}', "line 1")],
)
def test_a_broken_record_is_named_by_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "q.jsonl").write_text(text)
    with pytest.raises(DataError, match=problem):
        read(tmp_path, 1, kind="openqa", path="q.jsonl")


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nope\.jsonl"):
        read(tmp_path, 1, kind="openqa", path="nope.jsonl")


def test_random_prompts_have_their_length_and_differ(tmp_path: Path) -> None:
    prompts = read(tmp_path, 1000, kind="random", random_input_len=20)
    texts = [prompts.texts[i] for i in range(1000)]
    assert {len(text.split()) for text in texts} == {20}
    assert len(set(texts)) == 1000
    assert texts[7] == read(tmp_path, 10, kind="random", random_input_len=20).texts[7]


def test_prompts_of_other_lengths_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("a\nbbb\nccccc\ndddd")
    workload = Workload(kind="line_by_line", path="lines.txt")
    lengths = PromptLengths(shortest=2, longest=4)
    prompts = read_prompts(workload, 2, 0, tmp_path, lengths=lengths)
    assert sorted(prompts.texts) == ["bbb", "dddd"]
    with pytest.raises(DataError, match="holds 2 prompts of the lengths asked for; 3 are"):
        read_prompts(workload, 3, 0, tmp_path, lengths=lengths)


class Letters:
    """A tokenizer whose tokens are letters."""

    def count(self, text: str) -> int:
        return len(text.replace(" ", ""))

    def random_text(self, length: int, rng: random.Random) -> str:
        return "".join(rng.choices("abc", k=length))


def test_with_a_tokenizer_lengths_are_tokens(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("a b\na b c d e")
    lines = Workload(kind="line_by_line", path="lines.txt")
    longest = PromptLengths(longest=2)
    prompts = read_prompts(lines, 1, 0, tmp_path, lengths=longest, tokenizer=Letters())
    assert list(prompts.texts) == ["a b"]
    random_ones = Workload(kind="random", random_input_len=9)
    assert len(read_prompts(random_ones, 5, 0, tmp_path, tokenizer=Letters()).texts[3]) == 9


def test_one_prompt_shares_its_prefix_by_nature(tmp_path: Path) -> None:
    prompts = read(tmp_path, 3, kind="prompt", prompt="Hello")
    assert list(prompts.slice(0, 3)) == ["Hello"] * 3
    assert prompts.shares_prefix


def test_a_digest_tells_prompts_apart_and_not_their_files() -> None:
    one, other = Prompts(["a", "b", "c"]), Prompts(["x", "a", "b"])
    assert one.digest(0, 2) == other.digest(1, 2)
    assert one.digest(0, 2) != one.digest(1, 2)
    assert Prompts(["ab", "c"]).digest(0, 2) != Prompts(["a", "bc"]).digest(0, 2)


def test_a_prompt_hash_is_short_and_stable() -> None:
    assert prompt_hash("hello") == "2cf24dba5fb0a30e"


def test_conversations_in_which_nobody_speaks_are_left_out(tmp_path: Path) -> None:
    turns = [[{"from": "human", "value": f"hi {n}"}] for n in range(3)]
    turns += [[], [{"from": "gpt", "value": "yo"}], [{"from": "human", "value": " "}]]
    file = tmp_path / "sg.json"
    file.write_text(json.dumps([{"conversations": turn} for turn in turns] + [5, {}]))
    workload = Workload(kind="sharegpt", path=str(file))
    prompts = read_prompts(workload, 3, 0, tmp_path)
    assert sorted(prompts.texts) == ["hi 0", "hi 1", "hi 2"]
    file.write_text(json.dumps([{"conversations": []}]))
    with pytest.raises(DataError, match="no record"):
        read_prompts(workload, 1, 0, tmp_path)


def test_half_a_character_of_a_data_set_is_sent_as_the_sign_for_none(tmp_path: Path) -> None:
    file = tmp_path / "su.jsonl"
    file.write_text('{"question": "half \\ud83d"}\n{"question": "\\ud83d\\ude00"}\n')
    prompts = read_prompts(Workload(kind="openqa", path=str(file)), 2, 0, tmp_path)
    assert sorted(prompts.texts) == ["half \ufffd", "😀"]
    assert prompts.digest(0, 2)

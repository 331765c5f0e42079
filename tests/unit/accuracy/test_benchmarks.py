from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nightbench.accuracy import benchmarks
from nightbench.accuracy.questions import PreparedBenchmark, prepare
from nightbench.errors import BadInput
from nightbench.suite.models import AccuracySpec, Generation


@pytest.fixture(scope="module")
def starter() -> PreparedBenchmark:
    return prepare(benchmarks.find("starter"), AccuracySpec(benchmark="starter"), Path())


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_benchmark_is_found_by_its_name(name: str) -> None:
    benchmark = benchmarks.find(name)

    assert benchmark.name == name
    assert benchmark.subsets
    assert (
        benchmark.huggingface
        or benchmark.modelscope
        or benchmark.builtin
        or name
        in (
            "mcq",
            "qa",
        )
    )


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_benchmark_has_its_line_in_the_docs(name: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    assert f"\n| `{name}` |" in text


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(BadInput) as refused:
        benchmarks.find("iqiuz")

    assert "Did you mean iquiz?" in refused.value.hint
    assert "starter" in refused.value.hint


def test_the_starter_has_enough_of_each_kind(starter: PreparedBenchmark) -> None:
    counts = Counter(question.subset for question in starter.questions)

    assert counts["IQ"] + counts["EQ"] >= 60
    assert counts["anchor"] >= 40


def test_the_starters_choices_are_distinct_and_its_answers_among_them(
    starter: PreparedBenchmark,
) -> None:
    for prepared in starter.questions:
        question = prepared.question
        if prepared.subset == "anchor":
            assert question.gold
        else:
            assert len(set(question.choices)) == len(question.choices) >= 3
            assert question.gold in "ABCD"[: len(question.choices)]


def test_no_letter_of_the_starter_is_a_good_guess(starter: PreparedBenchmark) -> None:
    for subset in ("IQ", "EQ"):
        golds = Counter(q.question.gold for q in starter.questions if q.subset == subset)
        assert max(golds.values()) <= sum(golds.values()) * 0.3


def test_the_starter_is_in_chinese_and_in_english(starter: PreparedBenchmark) -> None:
    texts = [q.question.text for q in starter.questions if q.subset != "anchor"]
    chinese = sum(any("\u4e00" <= c <= "\u9fff" for c in text) for text in texts)

    assert chinese >= 20
    assert len(texts) - chinese >= 20


def test_replies_to_the_starter_are_capped_unless_a_suite_says_otherwise() -> None:
    def caps(generation: Generation) -> set[int | None]:
        spec = AccuracySpec(benchmark="starter", generation=generation)
        questions = prepare(benchmarks.find("starter"), spec, Path()).questions
        return {question.generation.max_tokens for question in questions}

    assert caps(Generation(temperature=0)) == {24, 32}
    assert caps(Generation(max_tokens=99)) == {99}
